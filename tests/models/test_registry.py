"""The registry: names, options and what it says to wrong ones."""

import ast
from pathlib import Path

import pytest
from torch import nn

from tests.models.zoo import families
from utils.models import build_model, list_models, register, registry


@pytest.fixture
def empty_registry(monkeypatch):
    """A registry of its own, so that a test leaves no name behind."""
    monkeypatch.setattr(registry, "_factories", {})


def test_known_names():
    assert {"lenet", "lenet-5", "linear", "mlp"} <= set(list_models())
    assert list_models() == sorted(list_models())


def registering() -> set[str]:
    """The files of ``utils/models`` that call ``register``, without an import of any of them."""
    found = set()
    for path in Path(registry.__file__).parent.glob("*.py"):
        calls = (
            node
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Call)
        )
        if any(getattr(call.func, "id", "") == "register" for call in calls):
            found.add(path.stem)
    return found


def test_every_file_that_registers_is_imported_with_the_package():
    silent = registering() - set(families())
    assert "lenet" in registering()
    assert not silent, f"utils.models does not import {sorted(silent)}: their networks have no name"


def test_a_registered_factory_is_called_with_what_was_given(empty_registry):
    @register("toy-net")
    def toy(num_classes: int = 7, in_channels: int = 3, *, width: int = 2) -> nn.Module:
        return nn.Linear(in_channels * width, num_classes)

    assert list_models() == ["toy-net"]
    assert build_model("toy-net").weight.shape == (7, 6)
    assert build_model("toy-net", 5, in_channels=1, width=4).weight.shape == (5, 4)
    assert toy().weight.shape == (7, 6)  # the decorator gives the factory back as it was


def test_a_name_can_be_taken_once(empty_registry):
    register("toy")(nn.Identity)
    with pytest.raises(ValueError, match="'toy' is registered already"):
        register("toy")(nn.Identity)


@pytest.mark.parametrize("name", ["LeNet", "le_net", "-lenet", "lenet-", "le--net", "", "le net"])
def test_names_are_lower_case_with_hyphens(empty_registry, name):
    with pytest.raises(ValueError, match="lower case words joined by hyphens"):
        register(name)


def test_an_unknown_name_is_answered_with_the_choices_and_the_closest():
    with pytest.raises(
        ValueError, match=r"unknown model 'lenet5' \(did you mean 'lenet-5'\?\); choose from .*mlp"
    ):
        build_model("lenet5")
    with pytest.raises(ValueError, match=r"unknown model 'transformer'; choose from "):
        build_model("transformer")


def test_an_unknown_option_is_answered_with_the_options():
    with pytest.raises(
        ValueError,
        match=r"mlp has no option 'hiden' \(did you mean 'hidden'\?\); options: hidden, input_size",
    ):
        build_model("mlp", hiden=3)


def test_a_model_without_options_says_so(empty_registry):
    @register("plain")
    def plain(num_classes: int = 1, in_channels: int = 1) -> nn.Module:
        return nn.Linear(in_channels, num_classes)

    with pytest.raises(ValueError, match="plain has no option 'depth'; options: none"):
        build_model("plain", depth=3)


@pytest.mark.parametrize("value", [0, -1, 2.0, "10", True])
@pytest.mark.parametrize("key", ["num_classes", "in_channels"])
def test_counts_must_be_positive_whole_numbers(key, value):
    with pytest.raises(ValueError, match=f"{key} must be a positive whole number, got {value!r}"):
        build_model("lenet", **{key: value})
