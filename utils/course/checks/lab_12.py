"""Checks of the exercises of lab 12, transfer learning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from math import isclose
from typing import Any

import torch
from torch import Generator, Tensor, nn

from utils.course.checks import core
from utils.course.checks.core import (
    Slips,
    call,
    call_with_originals,
    expect_close,
    expect_equal,
    expect_number,
    fail,
    hint_for,
    kind_of,
    number_of,
    parts_of,
    passed,
)


def use(function: Callable) -> Callable:
    """The student's function if it is right, another way to the same values if it is not written yet."""
    return core.use(
        function,
        {
            "training_mode": (training_mode, _training_mode),
            "two_speeds": (two_speeds, _two_speeds),
            "renormalize": (renormalize, _renormalized),
            "speed_up": (speed_up, _speed_up),
            "fitting_weights": (fitting_weights, _fitting),
        },
    )


def _training_mode(model: nn.Module, frozen: Sequence[str]) -> nn.Module:
    for name, module in model.named_modules():
        is_frozen = any(_inside(name, path) for path in frozen)
        module.training = not is_frozen
        for parameter in module.parameters(recurse=False):
            parameter.requires_grad_(not is_frozen)
    return model


def _two_speeds(model: nn.Module, head: nn.Module, lr: float, factor: float) -> list[dict[str, Any]]:
    own = {id(parameter) for parameter in head.parameters()}
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [p for p in trained if (id(p) in own) == of_head], "lr": rate}
        for of_head, rate in ((True, lr), (False, factor * lr))
    ]


def _renormalized(x: Tensor, mean: Tensor, std: Tensor, new_mean: Tensor, new_std: Tensor) -> Tensor:
    scale = std / new_std
    shift = (mean - new_mean) / new_std
    return x * _per_channel(scale) + _per_channel(shift)


def _speed_up(encoder: float, head: float, epochs: int) -> float:
    return (encoder + 2 * head) / (encoder / epochs + 2 * head)


def _fitting(state: dict[str, Tensor], saved: dict[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    left = [name for name in state if getattr(saved.get(name), "shape", None) != state[name].shape]
    return {name: saved[name] for name in state if name not in left}, left


def training_mode(function: Callable) -> None:
    """``function(model, frozen)`` puts all but the modules named in ``frozen`` into training."""
    cases = (["0"], ["0", "1"], ["1.norm"], [], ["0", "1", "2"])
    for start, frozen in product((False, True), cases):
        model = _small_network()
        model.train(start).requires_grad_(start)  # "whatever was before": all of it frozen, or nothing
        what = f"training_mode with frozen = {frozen}, {'nothing' if start else 'everything'} frozen before"
        got = call(function, model, frozen)
        if got is not model:
            fail(what, "the model itself back", kind_of(got), "the return statement.")
        _compare_modes(model, frozen, what)
        before = {name: value.clone() for name, value in model.state_dict().items()}
        model(torch.randn(6, 2, 5, 5, generator=Generator().manual_seed(12)))
        for name, value in model.state_dict().items():
            if any(_inside(name, root) for root in frozen) and not torch.equal(before[name], value):
                got = f"a forward pass that changed {name}"
                fail(what, "what is frozen to stay as it is", got, "eval() for batch norm.")
    told = f"{len(cases)} choices of frozen modules agree, running statistics included"
    passed("training_mode", f"{told}, whatever was frozen before")


def _small_network() -> nn.Sequential:
    torch.manual_seed(12)
    block = nn.Sequential()
    block.add_module("conv", nn.Conv2d(3, 4, 3))
    block.add_module("norm", nn.BatchNorm2d(4))
    block.add_module("norm2", nn.BatchNorm2d(4))  # a name that begins like another
    first = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Dropout(0.5))
    return nn.Sequential(first, block, nn.Sequential(nn.Flatten(), nn.Linear(4, 2)))


def _inside(name: str, root: str) -> bool:
    return name == root or name.startswith(f"{root}.")


def _compare_modes(model: nn.Module, frozen: Sequence[str], what: str) -> None:
    for name, module in model.named_modules():
        is_frozen = any(_inside(name, root) for root in frozen)
        if name and module.training == is_frozen:
            hint = "modules that are not frozen must be in training mode: model.train() first."
            if is_frozen:
                hint = "frozen modules need eval(), after model.train(), which puts everything into training."
            mode = {True: "training mode", False: "evaluation mode"}
            fail(f"{what}, {name}", mode[not is_frozen], mode[module.training], hint)
    for name, parameter in model.named_parameters():
        is_frozen = any(_inside(name, root) for root in frozen)
        if parameter.requires_grad == is_frozen:
            if is_frozen:
                hint = "requires_grad_(False) of each frozen module; eval() alone does not stop the gradient."
            else:
                hint = "what is not frozen must learn again: requires_grad_(True) for the model first."
            fail(f"{what}, {name}", f"requires_grad={not is_frozen}", str(parameter.requires_grad), hint)


def two_speeds(function: Callable) -> None:
    """``function(model, head, lr, factor)`` gives an optimizer's two groups, each with its rate."""
    cases = (  # number of the head among the layers, what is frozen, lr, factor
        (4, "", 0.5, 0.1), (4, "0", 0.01, 0.01), (4, "", 2.0, 1.0),
        (4, "4.bias", 0.2, 0.5), (2, "", 0.1, 0.3),
    )  # fmt: skip
    for head, frozen, lr, factor in cases:
        model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2))
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(not (frozen and name.startswith(frozen)))
        what = f"two_speeds with head = model[{head}], lr = {lr:g}, factor = {factor:g}" + (
            f", {frozen} frozen" if frozen else ""
        )
        groups = call(function, model, model[head], lr, factor)
        rates = _rates(groups, what)
        for name, parameter in model.named_parameters():
            found = rates.pop(id(parameter), [])
            want = [lr if _inside(name, str(head)) else factor * lr] if parameter.requires_grad else []
            if len(found) != len(want) or not all(
                isclose(a, b, rel_tol=1e-6) for a, b in zip(found, want, strict=True)
            ):
                hint = _rate_hint(found, want, lr, factor, last=head == 4)
                fail(f"{what}, the rates for {name}", f"{want}", f"{found}", hint)
    passed(
        "two_speeds",
        f"{len(cases)} networks agree: every trained parameter is in one group, with its own rate",
    )


def _rates(groups: Any, what: str) -> dict[int, list[float]]:
    """id of a parameter -> the rates of the groups it is in."""
    if not isinstance(groups, (list, tuple)) or not all(
        isinstance(g, dict) and {"params", "lr"} <= set(g) for g in groups
    ):
        want = "a list of dicts with 'params' and 'lr'"
        fail(what, want, kind_of(groups), "the form [{'params': …, 'lr': …}, …].")
    rates: dict[int, list[float]] = {}
    for group in groups:
        members = group["params"]
        if isinstance(members, Tensor):
            members = [members]
        elif isinstance(members, set):
            fail(f"{what}, the parameters of a group", "a list", "a set", "an optimizer needs an order.")
        for parameter in members:
            rates.setdefault(id(parameter), []).append(float(group["lr"]))
    return rates


def _rate_hint(found: list[float], want: list[float], lr: float, factor: float, last: bool) -> str:
    """``last``: whether the head is the last layer of the network."""
    if not want:
        return "frozen parameters: they do not belong into an optimizer; keep those with requires_grad."
    if len(found) > 1:
        return (
            "the body: model.parameters() has those of the head too. "
            "An optimizer refuses a parameter that is in two groups."
        )
    if not found:
        return "this parameter is in no group, so it would never be trained."
    if isclose(found[0], lr if want[0] != lr else factor * lr, rel_tol=1e-6):
        if not last:
            return "the head: it is the module that is handed over, and need not be the last layer."
        return "the two rates: the new head learns at lr, the trained body at factor · lr."
    return "the rates: lr for the head, factor times lr for the rest."


def speed_up(function: Callable) -> None:
    """``function(encoder, head, epochs)`` is how many times fewer multiply-adds it takes to encode once."""
    for encoder, head, epochs in (
        (1000.0, 1.0, 10),
        (37e6, 16320.0, 60),
        (5.0, 100.0, 3),
        (1.0, 1.0, 1),
        (295e3, 640.0, 1000),
    ):
        want = epochs * (encoder + 2 * head) / (encoder + 2 * head * epochs)
        what = f"speed_up({encoder:g}, {head:g}, {epochs})"
        got = number_of(call(function, encoder, head, epochs), what)
        hint = "the two costs: with the encoder in every epoch, and with the encoder once."
        hint = hint_for(got, _speed_slips(encoder, head, epochs), hint, rtol=1e-6, atol=0.0)
        expect_number(got, want, what=what, look_at=hint, rtol=1e-6)
    passed("speed_up", "five pairs of encoder and head agree")


def _speed_slips(encoder: float, head: float, epochs: int) -> Slips:
    yield (
        "the order: the cost that is saved belongs above the fraction.",
        (encoder + 2 * head * epochs) / (epochs * (encoder + 2 * head)),
    )
    yield (
        "the way back: the frozen encoder has none.",
        epochs * (3 * encoder + 2 * head) / (encoder + 2 * head * epochs),
    )
    yield (
        "the way back through the head: as many multiply-adds as the way up.",
        epochs * (encoder + head) / (encoder + head * epochs),
    )
    yield (
        "the head: its input needs no gradient, so a step costs it 2 and not 3.",
        epochs * (encoder + 3 * head) / (encoder + 3 * head * epochs),
    )
    yield (
        "the head: it is trained in every epoch, also when the images are encoded once, "
        "and that costs something.",
        float(epochs),
    )
    yield (
        "the epochs: the encoder runs in each of them if nothing is stored.",
        (encoder + 2 * head) / (encoder + 2 * head * epochs),
    )


def renormalize(function: Callable) -> None:
    """``function(x, mean, std, new_mean, new_std)`` brings x from one normalization to another."""
    generator = Generator().manual_seed(12)
    for batch, channels, height, width in ((2, 3, 4, 5), (1, 1, 3, 3), (4, 2, 1, 6), (3, 3, 3, 3)):
        pixels = torch.rand(batch, channels, height, width, generator=generator)
        mean, new_mean = (torch.rand(channels, generator=generator) for _ in range(2))
        std, new_std = (0.1 + torch.rand(channels, generator=generator) for _ in range(2))
        x = _normal(pixels, mean, std)
        want = _normal(pixels, new_mean, new_std)
        got = call(function, x, mean, std, new_mean, new_std)
        hint = (
            "back to pixels first, x · std + mean, then (pixels − new_mean) / new_std, "
            "a number for each channel."
        )
        hint = hint_for(got, _normal_slips(x, pixels, mean, std, new_mean, new_std), hint)
        expect_close(got, want, what=f"renormalize of x {list(x.shape)}", look_at=hint)
        given = (x, mean, std, new_mean, new_std)
        kept = [values.clone() for values in given]
        call_with_originals(function, *given)
        for name, values, before in zip(
            ("x", "mean", "std", "new_mean", "new_std"), given, kept, strict=True
        ):
            hint = "an operation in place, such as x *= …: it changes the images of whoever calls."
            expect_equal(
                torch.equal(values, before), True, what=f"renormalize leaves {name} alone", look_at=hint
            )
    passed("renormalize", "four batches agree")


def _per_channel(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1)


def _normal(pixels: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    return (pixels - _per_channel(mean)) / _per_channel(std)


def _normal_slips(
    x: Tensor, pixels: Tensor, mean: Tensor, std: Tensor, new_mean: Tensor, new_std: Tensor
) -> Slips:
    yield (
        "the first half: x is normalized already; undo that with the old mean and std.",
        _normal(x, new_mean, new_std),
    )
    yield "the second half: these are the pixels; normalize them with the new mean and std.", pixels
    yield (
        "which is old and which is new: they have changed places.",
        _normal(x * _per_channel(new_std) + _per_channel(new_mean), mean, std),
    )
    yield (
        "the order: undo with · std first, then + mean.",
        _normal((x + _per_channel(mean)) * _per_channel(std), new_mean, new_std),
    )
    yield (
        "undoing (p − mean) / std: it is x · std + mean.",
        _normal(x * _per_channel(std) - _per_channel(mean), new_mean, new_std),
    )
    yield (
        "the new mean: subtract it before you divide.",
        pixels / _per_channel(new_std) - _per_channel(new_mean),
    )
    yield (
        "the old mean: add it back before you subtract the new one.",
        _normal(x * _per_channel(std), new_mean, new_std),
    )
    if x.shape[-1] == len(mean) and len(mean) > 1:
        yield (
            "the dimension: channels are dimension 1; view(-1, 1, 1) puts the numbers there.",
            (x * std + mean - new_mean) / new_std,
        )


def fitting_weights(function: Callable) -> None:
    """``function(state, saved)`` is (the saved tensors that fit, the names in state that get none)."""
    generator = Generator().manual_seed(12)

    def random(**shapes: tuple[int, ...]) -> dict[str, Tensor]:
        return {
            name.replace("_", "."): torch.randn(shape, generator=generator) for name, shape in shapes.items()
        }

    cases = {
        "another number of classes": (
            random(conv=(4, 3, 3, 3), fc_weight=(5, 8), fc_bias=(5,)),
            random(conv=(4, 3, 3, 3), fc_weight=(10, 8), fc_bias=(10,)),
        ),
        "the same network": (random(a=(2, 2), b=(2,)), random(a=(2, 2), b=(2,))),
        "another network": (random(a=(2, 2), b=(2,)), random(c=(2, 2), d=(2,))),
        "a layer more in the file": (random(b=(3,), a=(2, 2)), random(a=(2, 2), b=(3,), z=(1,))),
        "equal sizes in another shape": (random(a=(2, 6), b=(3,)), random(a=(6, 2), b=(3,))),
        "a shape that would broadcast": (random(a=(2, 6)), random(a=(1, 6))),
    }
    for text, (state, saved) in cases.items():
        fits = {
            name: saved[name] for name in state if name in saved and saved[name].shape == state[name].shape
        }
        left = [name for name in state if name not in fits]
        got = call(function, dict(state), dict(saved))
        _compare_weights(got, fits, left, state, saved, f"fitting_weights for {text}")
    passed("fitting_weights", f"{len(cases)} pairs of network and file agree")


def _compare_weights(
    got: Any,
    fits: dict[str, Tensor],
    left: list[str],
    state: dict[str, Tensor],
    saved: dict[str, Tensor],
    what: str,
) -> None:
    loaded, missing = parts_of(got, ("fits", "left"), what)
    if not isinstance(loaded, dict):
        fail(f"{what}, the first of the two", "a dict", kind_of(loaded), "return fits, left.")
    missing = list(missing)
    if set(loaded) != set(fits):
        more, fewer = sorted(set(loaded) - set(fits)), sorted(set(fits) - set(loaded))
        hint = "the names and the shapes: both must agree."
        if any(name not in state for name in more):
            hint = "names of the file that the network does not have: they fit nowhere."
        elif any(name in saved and saved[name].numel() == state[name].numel() for name in more):
            hint = "the shape, not the number of values: a matrix and its transpose have equally many."
        elif more:
            hint = "the shape: a tensor of the right name and another shape does not fit."
        came = f"{sorted(loaded)} (too many: {more}, missing: {fewer})"
        fail(f"{what}, the entries", f"{sorted(fits)}", came, hint)
    for name, tensor in fits.items():
        if loaded[name] is not tensor and not torch.equal(loaded[name], tensor):
            look_at = "take saved[name]; state[name] are the network's own random numbers."
            fail(f"{what}, {name}", "the tensor of the file", "another one", look_at)
    if sorted(missing) != sorted(left):
        hint = "the names of the network that get nothing; they keep their random start."
        if sorted(missing) == sorted(name for name in saved if name not in fits):
            hint = (
                "whose names: these are entries of the file that fit nowhere, "
                "and what matters are those of the network."
            )
        fail(f"{what}, what is left over", f"{left}", f"{missing}", hint)
    look_at = "the order of the network: go through state, not through saved or a set."
    expect_equal(missing, left, what=f"{what}, what is left over", look_at=look_at)
