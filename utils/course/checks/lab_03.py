"""Checks of the exercises of lab 03, the ImageNet decade."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor

from utils.course.checks import core
from utils.course.checks.core import (
    Slips,
    call,
    call_without_convolutions,
    expect_close,
    expect_equal,
    fail,
    hint_for,
    listed,
    number_of,
    passed,
)
from utils.models.googlenet import MODULES
from utils.models.vgg import CHANNELS, CONVOLUTIONS

RANDOM_CASES = 20
FIRST_FC_EXPECTS = 6  # pixels a side of the maps that AlexNet's first fully connected layer reads

# what the papers print, in millions: Simonyan and Zisserman 2015, table 2; Springenberg et al. 2015, table 1
PRINTED_VGG = {"A": 133, "B": 133, "C": 134, "D": 138, "E": 144}
PRINTED_MODEL_C = 1.3
MODEL_C = ((3, 96, 3), (96, 96, 3), (96, 192, 3), (192, 192, 3), (192, 192, 3), (192, 192, 1), (192, 10, 1))

# Szegedy et al. 2015, table 1, in K = 1,024: what is printed for the modules, the stem and the last layer
PRINTED_MODULES = dict(zip(MODULES, (159, 380, 364, 437, 463, 580, 840, 1072, 1388), strict=True))
PRINTED_REST = 2.7 + 112 + 1000
REST = 9_472 + 114_944 + 1_025_000  # the stem's first layer, its other two, and the last layer
K = 1024
FIRST_CHANNELS = 192  # what module 3a reads
OFF = 0.01  # a printed figure is called off from this relative difference on


def use(function: Callable) -> Callable:
    """The student's function if it is right, another way to the same values if it is not written yet."""
    return core.use(
        function,
        {
            "chain_parameters": (chain_parameters, _parameters),
            "one_by_one": (one_by_one, _one_by_one),
            "inception_parameters": (inception_parameters, _module_parameters),
            "alexnet_sides": (alexnet_sides, _counted_sides),
            "averaged_prediction": (averaged_prediction, _averaged),
            "polyak_average": (polyak_average, _mean_of_iterates),
        },
    )


def alexnet_sides(function: Callable) -> None:
    """``function(side, padding)`` gives the sides of AlexNet's maps after conv1, pool1, pool2 and pool5."""
    generator = random.Random(3)
    cases = [(224, 0), (256, 5), (227, 0), (224, 2), (67, 0)]
    cases += [(generator.randint(70, 600), generator.randint(0, 5)) for _ in range(RANDOM_CASES)]
    for side, padding in cases:
        want = _sides(side, padding)
        got = listed(call(function, side, padding))
        hint = "(n + 2p − k) // s + 1, four times: 11×11 with stride 4, then 3×3 with stride 2 three times."
        if isinstance(got, list):
            exact = (side + 2 * padding - 11) / 4 + 1
            hint = hint_for(got, _side_slips(side, padding), hint)
            if got and isinstance(got[0], float) and abs(got[0] - exact) < 1e-9 and got != want:
                hint = (
                    "the rounding: there are whole places only. Two slashes, //, cut off what is left over."
                )
        elif isinstance(got, (int, float)):
            hint = "the return value: a list of four sides, not the last one alone."
        expect_equal(got, want, what=f"alexnet_sides({side}, {padding})", look_at=hint)
        if any(not isinstance(n, int) for n in got):
            kinds = ", ".join(type(n).__name__ for n in got)
            fail(f"alexnet_sides({side}, {padding})", "ints", kinds, "// for /.")
    fits = {case: _sides(*case)[-1] for case in ((224, 0), (224, 2), (227, 0))}
    told = "; ".join(
        f"{side} with padding {padding} ends at {last}, "
        + ("which fits" if last == FIRST_FC_EXPECTS else "which does not fit")
        for (side, padding), last in fits.items()
    )
    passed("alexnet_sides", f"{told}; {RANDOM_CASES} random pairs agree")


def chain_parameters(function: Callable) -> None:
    """``function(layers)`` counts the parameters of a chain of convolutions (channels in, out, kernel)."""
    generator = random.Random(3)
    cases: list[tuple[str, Sequence[tuple[int, int, int]]]] = [
        ("AlexNet's conv1", ((3, 96, 11),)),
        ("one 1×1 convolution", ((5, 2, 1),)),
        ("no layer", ()),
        *((f"VGG-{name}", vgg_layers(name)) for name in PRINTED_VGG),
        ("Model C", MODEL_C),
    ]
    for _ in range(RANDOM_CASES):
        maps = [generator.randint(1, 40) for _ in range(generator.randint(2, 6))]
        chain = [(a, b, generator.choice([1, 2, 3, 5, 7])) for a, b in zip(maps, maps[1:], strict=False)]
        cases.append(("a random chain", chain))
    for label, layers in cases:
        want = _parameters(layers)
        shown = list(layers) if len(layers) < 4 else f"{len(layers)} layers"
        what = f"chain_parameters of {label} ({shown})"
        got = number_of(call(function, list(layers)), what)
        hint = "(channels in · kernel² + 1) · channels out, added up over the layers."
        expect_equal(got, want, what=what, look_at=hint_for(got, _chain_slips(layers), hint))
    vgg = ", ".join(f"{name} {_parameters(vgg_layers(name)):,}" for name in PRINTED_VGG)
    passed(
        "chain_parameters",
        f"VGG {vgg}: all five as printed. Model C {_parameters(MODEL_C):,}: not {PRINTED_MODEL_C} million",
    )


def _chain_slips(layers: Sequence[tuple[int, int, int]]) -> Slips:
    """The likelier first: two may give the same number."""

    def total(of_one: Callable[[int, int, int], int]) -> int:
        return sum(of_one(*layer) for layer in layers)

    yield "the loop: this is the first layer alone.", _parameters(layers[:1])
    yield "the biases: one for each output channel.", total(lambda i, o, k: k * k * i * o)
    yield (
        "the biases: one for each output channel, not input channel.",
        total(lambda i, o, k: k * k * i * o + i),
    )
    yield (
        "the biases: one for an output channel, not for a kernel.",
        total(lambda i, o, k: (k * k + 1) * i * o),
    )
    yield (
        "the input channels: every output channel has one kernel for each.",
        total(lambda i, o, k: (k * k + 1) * o),
    )
    yield "the kernel: it has kernel · kernel weights.", total(lambda i, o, k: i * k * o + o)
    yield "the output channels: each has its own kernels and its own bias.", total(lambda i, o, k: i * k + 1)


def one_by_one(function: Callable) -> None:
    """``function(x, weight, bias)`` is a 1×1 convolution, [B, C, H, W] -> [B, D, H, W], written by hand."""
    generator = torch.Generator().manual_seed(3)
    # batch, channels in, channels out, height, width; equal sizes hide a slip, so most differ
    for batch, c_in, c_out, height, width in (
        (2, 3, 5, 4, 6),
        (1, 4, 1, 5, 2),
        (3, 1, 2, 3, 4),
        (2, 4, 4, 4, 4),
    ):
        x = torch.randn(batch, c_in, height, width, generator=generator)
        weight, bias = torch.randn(c_out, c_in, generator=generator), torch.randn(c_out, generator=generator)
        want = torch.nn.functional.conv2d(x, weight[:, :, None, None], bias)
        got = call_without_convolutions(function, x, weight, bias)
        hint = "output channel d at a position: the bias d and the sum over c of weight[d, c] · x[c] there."
        hint = hint_for(got, _one_by_one_slips(x, weight, bias), hint, atol=1e-4)
        given = f"x [{batch}, {c_in}, {height}, {width}], weight [{c_out}, {c_in}]"
        expect_close(got, want, what=f"one_by_one({given})", look_at=hint, atol=1e-4)
    passed("one_by_one", "a linear layer at every position, as torch's convolution with a kernel of 1×1")


def _one_by_one(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """All positions of an image side by side, and one product of matrices for each image."""
    return (weight @ x.flatten(2) + bias[:, None]).unflatten(2, tuple(x.shape[2:]))


def _one_by_one_slips(x: Tensor, weight: Tensor, bias: Tensor) -> Slips:
    yield "the bias: it is added to each output channel.", _one_by_one(x, weight, torch.zeros_like(bias))
    no_bias = torch.zeros_like(bias)
    if weight.shape[0] == weight.shape[1]:
        yield "the weight: its rows belong to output channels.", _one_by_one(x, weight.T, bias)
    if len(bias) == x.shape[-1]:
        added = _one_by_one(x, weight, no_bias) + bias
        yield "the bias: one for each channel, not for each column: bias[:, None, None].", added
    last = torch.einsum("dc,bchw->bhwd", weight, x) + bias
    yield "the order of the dimensions: channels come second, before rows and columns.", last


def inception_parameters(function: Callable) -> None:
    """``function(maps, row)`` counts weights and biases of an inception module."""
    generator = random.Random(3)
    cases: list[tuple[int, tuple[int, ...]]] = [
        (10, (1, 2, 3, 5, 4, 6)),
        (1, (1, 1, 1, 1, 1, 1)),
        *_modules(),
    ]
    cases += [
        (generator.randint(1, 99), tuple(generator.randint(1, 40) for _ in range(6)))
        for _ in range(RANDOM_CASES)
    ]
    for maps, row in cases:
        convolutions = _convolutions(maps, row)
        want = _parameters(convolutions)
        a, b, c, d, e, f = row
        slips = [
            ("the biases of the two reductions.", want - b - d),
            ("the biases: one for every channel of all six convolutions.", want - sum(row)),
            (
                "the last large window: it is 5×5 in the paper (3×3 in torchvision).",
                _parameters([(i, o, 3 if k == 5 else k) for i, o, k in convolutions]),
            ),
            (
                "the two 1×1 reductions: they have parameters too.",
                want - _parameters([(maps, b, 1), (maps, d, 1)]),
            ),
            (
                "the branch with the pooling: a 1×1 convolution follows it.",
                want - _parameters([(maps, f, 1)]),
            ),
            (
                "the reductions: 3×3 and 5×5 read what a 1×1 convolution before them has made.",
                _parameters([(maps, a, 1), (maps, c, 3), (maps, e, 5), (maps, f, 1)]),
            ),
        ]
        what = f"inception_parameters({maps}, {row})"
        got = number_of(call(function, maps, row), what)
        hint = "six convolutions: four read the module's input, two read what a 1×1 convolution has made."
        expect_equal(got, want, what=what, look_at=hint_for(got, slips, hint))
    exact = {name: _parameters(_convolutions(*case)) for name, case in zip(MODULES, _modules(), strict=True)}
    off = [name for name, printed in PRINTED_MODULES.items() if abs(printed * K / exact[name] - 1) > OFF]
    printed = sum(PRINTED_MODULES.values()) + PRINTED_REST
    passed(
        "inception_parameters",
        f"with stem and last layer {sum(exact.values()) + REST:,} in all; "
        f"the printed column adds up to {printed:,.1f} K, and its rows {', '.join(off)} "
        f"are off by more than {OFF:.0%}",
    )


def averaged_prediction(function: Callable) -> None:
    """``function(scores)`` averages the class probabilities of several networks, [M, N, K] -> [N, K]."""
    generator = torch.Generator().manual_seed(3)
    loud = torch.randn(3, 5, 4, generator=generator) * torch.tensor([10.0, 1.0, 0.1])[:, None, None]
    cases = [
        ("3 networks, one of them ten times as loud", loud),
        ("one network", torch.randn(1, 6, 10, generator=generator)),
        ("4 networks, as many images as classes", torch.randn(4, 4, 4, generator=generator)),
        ("scores of 1000", torch.randn(2, 3, 5, generator=generator) + 1000),
    ]
    for label, scores in cases:
        networks, images, classes = scores.shape
        want = torch.stack([s.double().softmax(dim=1) for s in scores]).mean(dim=0).float()
        got = call(function, scores)
        hint = "softmax over the classes first, then the mean over the networks."
        if isinstance(got, Tensor):
            hint = hint_for(got, _average_slips(scores), hint)
            if got.shape == (networks, classes) and networks != images:
                hint = "the dimension of the mean: networks are the first one."
            elif not got.isfinite().all():
                hint = "large scores: their exponentials overflow. torch's softmax takes care of that."
        expect_close(got, want, what=f"averaged_prediction, {label}", look_at=hint)
    passed(
        "averaged_prediction",
        f"the probabilities of {len(cases)} sets of networks are averaged, each network counts alike",
    )


def _averaged(scores: Tensor) -> Tensor:
    """By logarithms, which cannot overflow."""
    return (scores.log_softmax(dim=-1).logsumexp(dim=0) - math.log(len(scores))).exp()


def _average_slips(scores: Tensor) -> Slips:
    yield "the order: probabilities are averaged, not scores.", scores.mean(dim=0).softmax(dim=-1)
    yield "the softmax: these are averaged scores, not probabilities.", scores.mean(dim=0)
    yield "the mean: the rows must add up to 1.", scores.softmax(dim=-1).sum(dim=0)
    logs = scores.log_softmax(dim=-1).mean(dim=0)
    yield "the logarithm: average probabilities, not their logs.", logs.exp()
    for dim in (1, 0):
        wrong = scores.softmax(dim=dim).mean(dim=0)
        yield "the softmax: it goes over the classes, the last dimension.", wrong


def polyak_average(function: Callable) -> None:
    """``function(iterates, first)`` is the mean of the tensors from number ``first`` on."""
    generator = torch.Generator().manual_seed(3)
    for count, shape, first in ((5, (3,), 0), (5, (3,), 2), (4, (2, 3), 3), (1, (1,), 0), (60, (2, 2), 7)):
        iterates = [torch.randn(shape, generator=generator) + 3 * k for k in range(count)]
        own = [w.clone() for w in iterates]
        want = torch.stack(iterates[first:]).mean(dim=0)
        got = call(function, own, first)
        hint = "add (w − mean) / (number of tensors so far, this one included)."
        if any(not torch.equal(a, b) for a, b in zip(own, iterates, strict=True)):
            look_at = "start from a copy, weights.clone(), or do not update in place."
            fail("polyak_average", "the tensors it was given unchanged", "changed ones", look_at)
        slips = [
            ("the start: tensors before number first are left out.", torch.stack(iterates).mean(dim=0)),
            (
                "the end: all tensors from number first on count.",
                torch.stack(iterates[: first + 1]).mean(dim=0),
            ),
            ("the mean: this is the sum.", torch.stack(iterates[first:]).sum(dim=0)),
            (
                "the start: number first itself counts.",
                torch.stack(iterates[first + 1 :] or iterates).mean(dim=0),
            ),
            ("the average: this is the last tensor.", iterates[-1]),
        ]
        hint = hint_for(got, slips, hint)
        what = f"polyak_average of {count} tensors of shape {shape} from number {first} on"
        expect_close(got, want, what=what, look_at=hint)
    stream = (torch.full((2,), float(k)) for k in range(5))
    got = call(function, stream, 1)
    expect_close(
        got,
        torch.full((2,), 2.5),
        what="polyak_average of a generator, from number 1 on",
        look_at="go through the sequence once, with a for loop: an iterator has no length, no second pass.",
    )
    expect_close(
        call(function, _one_tensor_in_training(5), 1),
        torch.full((2,), 2.5),
        what="polyak_average of one tensor that is changed in place, from number 1 on",
        look_at="keep a mean, not the tensors: they change with the next step. The first needs clone().",
    )
    passed("polyak_average", "means of lists and of iterators, with and without a start that is left out")


def _one_tensor_in_training(steps: int) -> Iterator[Tensor]:
    """The same tensor again and again, filled with the number of the step."""
    weights = torch.zeros(2)
    for k in range(steps):
        yield weights.fill_(float(k))


def _mean_of_iterates(iterates: Iterable[Tensor], first: int) -> Tensor:
    """By a sum in double precision, divided at the end."""
    total, count = torch.zeros(()), 0
    for weights in itertools.islice(iterates, first, None):
        total, count = total + weights.double(), count + 1
    return (total / count).to(weights.dtype)


def vgg_layers(name: str) -> list[tuple[int, int, int]]:
    """VGG ``name`` ("A" to "E") as a chain of convolutions (channels in, out, kernel), with its head."""
    maps, layers = 3, []
    for number, wide in zip(CONVOLUTIONS[name], CHANNELS, strict=True):
        for place in range(1, number + 1):
            layers.append((maps, wide, 1 if name == "C" and place == 3 else 3))
            maps = wide
    return [*layers, (maps, 4096, 7), (4096, 4096, 1), (4096, 1000, 1)]


def _parameters(layers: Sequence[tuple[int, int, int]]) -> int:
    """Counted in the layers of torch, which are made without memory."""
    made = (torch.nn.Conv2d(*layer, device="meta") for layer in layers)
    return sum(tensor.numel() for each in made for tensor in each.parameters())


def _convolutions(maps: int, row: Sequence[int]) -> list[tuple[int, int, int]]:
    """The six convolutions of an inception module."""
    a, b, c, d, e, f = row
    return [(maps, a, 1), (maps, b, 1), (b, c, 3), (maps, d, 1), (d, e, 5), (maps, f, 1)]


def _module_parameters(maps: int, row: Sequence[int]) -> int:
    """Counted in the layers of torch as well."""
    return _parameters(_convolutions(maps, row))


def _modules() -> list[tuple[int, tuple[int, ...]]]:
    """GoogLeNet's nine modules, each as the number of channels it reads and its row."""
    maps, modules = FIRST_CHANNELS, []
    for row in MODULES.values():
        modules.append((maps, row))
        maps = row[0] + row[2] + row[4] + row[5]
    return modules


def _sides(side: int, padding: int) -> list[int]:
    return _pooled((side + 2 * padding - 11) // 4 + 1)


def _counted_sides(side: int, padding: int) -> list[int]:
    """By counting where the windows begin."""
    sides, line = [], side + 2 * padding
    for kernel, stride in ((11, 4), (3, 2), (3, 2), (3, 2)):
        line = len(range(0, line - kernel + 1, stride))
        sides.append(line)
    return sides


def _side_slips(side: int, padding: int) -> Slips:
    want = _sides(side, padding)
    yield "the padding of conv1: 2 · padding pixels are added to the side.", _sides(side, 0)
    if padding:
        yield "the padding: it comes on both ends.", _sides(side + padding, 0)
    yield "the + 1: the first window has a place too.", _pooled(want[0] - 1)
    rounded_up = _pooled(-(-(side + 2 * padding - 11) // 4) + 1)
    yield "the rounding: what is left over is cut off.", rounded_up
    yield "the poolings: their windows are 3×3, not 2×2.", _pooled(want[0], kernel=2)
    yield "the number of sides: conv1, pool1, pool2 and pool5 are four.", want[:1] + want[2:]


def _pooled(side: int, kernel: int = 3) -> list[int]:
    """The side of conv1's maps and the sides after three poolings with stride 2."""
    sides = [side]
    for _ in range(3):
        sides.append((sides[-1] - kernel) // 2 + 1)
    return sides
