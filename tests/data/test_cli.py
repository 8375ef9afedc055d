"""``python -m utils.data``: what it prints, and its exit codes."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests import tiny_datasets as tiny
from utils.data.__main__ import main

PROJECT = Path(__file__).resolve().parents[2]


def test_list_says_what_is_here(own, capsys):
    tiny.write_archive(own.data / "cifar10-tiny.zip", tiny.class_members(tiny.CIFAR10, per_class=1))
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    for text in (
        "here: cifar10-tiny.zip (decoded at first use)",
        "not here: python -m utils.data fetch cifar100 downloads 169 MB",
        "here: embedded, needs no file",
        "license: MIT",
        "folder:PATH",
    ):
        assert text in out
    assert main(["fetch", "cifar10"]) == 0
    assert "CIFAR-10 (PNG copy): 10 training, 0 validation and 10 test images" in capsys.readouterr().out
    assert main(["list"]) == 0
    assert "here: cifar10-tiny.zip (decoded)" in capsys.readouterr().out


def test_verify_finds_a_changed_byte(own, capsys):
    archive = tiny.cifar10_archive(own.data)
    assert main(["verify", "cifar10"]) == 0
    out = capsys.readouterr().out
    assert (
        "ok       cifar-10-python.tar.gz: sha256" in out and "not byte-identical to the official file" in out
    )
    assert out.count("ok ") == 5
    (images,) = (own.cache / "decoded").glob("*/train_images.npy")
    content = bytearray(images.read_bytes())
    content[5000] ^= 1
    images.write_bytes(content)
    assert main(["verify", "cifar10"]) == 1
    captured = capsys.readouterr()
    assert "DAMAGED" in captured.out and "Delete its folder" in captured.err
    archive.write_bytes(archive.read_bytes()[:-20])
    assert main(["verify", "cifar10"]) == 1
    assert "cifar-10-python.tar.gz is damaged or incomplete" in capsys.readouterr().err


def test_verify_without_data_and_of_embedded_data(own, capsys):
    assert main(["verify", "cifar10"]) == 1
    assert "CIFAR-10 is not on this machine" in capsys.readouterr().err
    assert main(["verify", "digits"]) == 0
    assert "arrays sha256" in capsys.readouterr().out


def test_where_names_the_folders_and_what_was_found(own, capsys):
    assert main(["where"]) == 0
    out = capsys.readouterr().out
    assert str(own.data) in out and str(own.cache / "downloads") in out
    path = tiny.cifar10_archive(own.data)
    assert main(["where", "cifar10"]) == 0
    assert f"found         {path}" in capsys.readouterr().out


def test_wrong_use_is_told_without_a_traceback(own, capsys, monkeypatch):
    assert main(["fetch", "cifar"]) == 2
    assert capsys.readouterr().err.startswith(
        "Error: unknown dataset 'cifar' (did you mean 'cifar10'?); choose one of cifar10"
    )
    monkeypatch.setenv("CNNLAB_DATA", "/no/such/folder")
    assert main(["list"]) == 2
    assert "CNNLAB_DATA is '/no/such/folder', which does not exist" in capsys.readouterr().err
    with pytest.raises(SystemExit) as caught:
        main(["frobnicate"])
    assert caught.value.code == 2


def test_module_can_be_run(own):
    done = subprocess.run(
        [sys.executable, "-m", "utils.data", "where", "nothing"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (
        done.returncode == 2 and "Traceback" not in done.stderr and "unknown dataset 'nothing'" in done.stderr
    )
