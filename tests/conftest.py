"""Fixtures that tests of several rooms share."""

import os
from types import SimpleNamespace

import pytest

from utils.publishing.suite import chromium


def pytest_configure(config):
    """Workers share the cores: with a pool of threads in each, they would mostly wait for each other."""
    if config.getoption("numprocesses", None):
        os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def browser():
    """Headless Chromium, driven by Playwright; tests that ask for it are skipped where there is none."""
    executable = chromium()
    if executable is None:
        pytest.skip("Chromium was not found (Debian: apt install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        instance = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield instance
        instance.close()


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Empty data and cache folders that the environment points to."""
    folders = SimpleNamespace(data=tmp_path / "data", cache=tmp_path / "cache")
    folders.data.mkdir()
    monkeypatch.setenv("CNNLAB_DATA", str(folders.data))
    monkeypatch.setenv("CNNLAB_CACHE", str(folders.cache))
    monkeypatch.setenv("NO_PROXY", "*")
    return folders
