"""What the tests of the data share."""

import os

import pytest


@pytest.fixture(autouse=True)
def no_waiting_for_the_medium(monkeypatch):
    """Copies made by tests need not survive a power cut, and a slow disk would be most of their time."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
