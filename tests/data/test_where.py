"""Names and folders that people give, with spaces or in other spellings: understood, or one sentence."""

import os
import subprocess
from pathlib import Path

import pytest

from utils.data import load_dataset
from utils.data.__main__ import main

PROJECT = Path(__file__).resolve().parents[2]
SHOW = "show:\n\t@printf '%s' \"$$CNNLAB_DATA\"\n"


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("/data/My Files", "/data/My Files"),
        ("/data/a  b/c", "/data/a  b/c"),
        ("My Files/Bilder ä", f"{PROJECT}/My Files/Bilder ä"),
        ("data", f"{PROJECT}/data"),
        ("./data", f"{PROJECT}/./data"),
        ("~/My Files", "~/My Files"),
        ("/price in $USD", "/price in $USD"),
        ("/a#b", "/a#b"),
        ("C:/My Files", "C:/My Files"),
        ("", ""),
    ],
)
def test_make_hands_on_the_data_folder_whole(tmp_path, given, meant):
    (tmp_path / "show.mk").write_text(SHOW)
    done = subprocess.run(
        ["make", "--silent", "-f", "Makefile", "-f", str(tmp_path / "show.mk"), "show"],
        cwd=PROJECT,
        env={**os.environ, "CNNLAB_DATA": given},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == meant


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("CIFAR10", "cifar10"),
        ("cifar-10", "cifar10"),
        ("CIFAR_100", "cifar100"),
        ("FashionMNIST", "fashion-mnist"),
        ("fashion_mnist", "fashion-mnist"),
        ("image nette", "imagenette"),
        ("digit", "digits"),
        ("shape", "shapes"),
    ],
)
def test_wrong_names_are_asked_back(name, meant, capsys):
    with pytest.raises(
        ValueError, match=f"unknown dataset '{name}' .did you mean '{meant}'.*; choose one of"
    ):
        load_dataset(name)
    assert main(["fetch", name]) == 2
    assert f"did you mean '{meant}'?" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["svhn", "", "x", None, 3, "folder", "kitchen"])
def test_names_that_are_close_to_nothing_are_not(name):
    with pytest.raises(ValueError, match="unknown dataset .*; choose one of") as caught:
        load_dataset(name)
    assert "did you mean" not in str(caught.value)
