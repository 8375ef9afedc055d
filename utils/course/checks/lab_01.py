"""Checks of the exercises of lab 01, convolution as a Toeplitz matrix."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from utils.analysis.convolution import im2col, toeplitz_1d
from utils.course.checks import core
from utils.course.checks.core import (
    Slips,
    call,
    call_without_convolutions,
    expect_close,
    expect_equal,
    hint_for,
    listed,
    passed,
)

RANDOM_CASES = 20
CLOSE = 1e-4  # absolute; sums of many products are in another order in the student's function


def use(function: Callable) -> Callable:
    """The student's function if it is right, another way to the same numbers if it is not written yet."""
    return core.use(
        function,
        {
            "toeplitz_matrix": (toeplitz_matrix, toeplitz_1d),
            "correlate_1d": (correlate_1d, _by_matrix),
            "input_sizes": (input_sizes, _inputs),
            "true_convolution": (true_convolution, _full_convolution),
            "conv2d_im2col": (conv2d_im2col, _by_columns),
            "kernel_gradient": (kernel_gradient, _derivative),
        },
    )


def _by_matrix(x: Tensor, w: Tensor, padding: int = 0, stride: int = 1, dilation: int = 1) -> Tensor:
    return toeplitz_1d(w, len(x), padding, stride, dilation) @ x


def _by_columns(x: Tensor, w: Tensor, padding: int = 0, stride: int = 1) -> Tensor:
    columns = im2col(x[None], (w.shape[2], w.shape[3]), stride=stride, padding=padding)[0]
    out = (x.shape[1] + 2 * padding - w.shape[2]) // stride + 1
    return (w.flatten(1) @ columns).view(len(w), out, -1)


def toeplitz_matrix(function: Callable) -> None:
    """``function(w, n, padding)`` is the matrix of a cross-correlation with this kernel."""
    draw = random.Random(3)
    # fewer outputs than inputs, as many, more, an even kernel, a kernel of one, one longer than the signal
    cases = [(3, 6, 0), (3, 6, 1), (3, 5, 2), (2, 5, 1), (1, 4, 0), (1, 3, 2), (5, 2, 2)]
    while len(cases) < RANDOM_CASES:
        k, n, padding = draw.randint(1, 5), draw.randint(1, 9), draw.randint(0, 3)
        if n + 2 * padding >= k:
            cases.append((k, n, padding))
    for k, n, padding in cases:
        (w,) = _draw(n * 79 + k, k)
        want = toeplitz_1d(w, n, padding)
        got = call(function, w, n, padding=padding)
        hint = "row i: the weight w[j] stands in column i + j − padding, where there is such a column."
        hint = _hint(got, _matrix_slips(w, n, padding, want), hint)
        expect_close(got, want, what=f"toeplitz_matrix(w [{k}], n={n}, padding={padding})", look_at=hint)
    passed("toeplitz_matrix", f"{len(cases)} matrices agree: padding, even and long kernels")


def _matrix_slips(w: Tensor, n: int, padding: int, want: Tensor) -> Slips:
    rows, k = want.shape[0], len(w)
    yield (
        "the direction: the kernel stands reversed, this is the true convolution.",
        _bands(w.flip(0), rows, n, padding),
    )
    yield "rows and columns: a row belongs to an output, a column to an input.", want.T
    text = "the padding: row 0 begins that many positions before the signal."
    yield text, _bands(w, max(n - k + 1, 0), n, 0)
    yield "the padding: on both sides, so there are 2 · padding more rows.", want[: max(rows - padding, 0)]
    yield "the column: i + j − padding. The number of rows is right.", _bands(w, rows, n, 0)
    wrapped = _bands(w, rows, n, padding, lowest=-n)
    yield "columns before the first: −1 is Python's name for the last one, but there is none.", wrapped
    yield "the number of rows, n + 2 · padding − k + 1: the + 1 is missing.", want[:-1]


def _bands(w: Tensor, rows: int, n: int, padding: int, lowest: int = 0) -> Tensor:
    """[rows, n] with w[j] in column i + j − padding of row i; a column of −1 is the last one."""
    W = w.new_zeros(rows, n)
    for i, j in itertools.product(range(rows), range(len(w))):
        if lowest <= i + j - padding < n:
            W[i, i + j - padding] = w[j]
    return W


def correlate_1d(function: Callable) -> None:
    """``function(x, w, padding, stride, dilation)`` is the cross-correlation of ``F.conv1d``."""
    for n, k, padding, stride, dilation in _cases_1d(seed=1):
        x, w = _draw(n * 97 + k, n, k)
        options = {"padding": padding, "stride": stride, "dilation": dilation}
        got = call_without_convolutions(function, x, w, **options)
        if isinstance(got, (list, tuple)) and all(isinstance(value, (int, float)) for value in got):
            got = torch.tensor(got)
        want = _conv1d(x, w, **options)
        hint = "y[i] = Σ w[j] · x[i·stride + j·dilation − padding], and x is 0 outside 0 … n − 1."
        hint = _hint(got, _correlation_slips(x, w, want, **options), hint)
        expect_close(got, want, what=f"correlate_1d(x [{n}], w [{k}], {_shown(options)})", look_at=hint)
    passed("correlate_1d", f"edge cases and {RANDOM_CASES} random cases agree with F.conv1d")


def _correlation_slips(x: Tensor, w: Tensor, want: Tensor, padding: int, stride: int, dilation: int) -> Slips:
    yield (
        "the direction: this is the true convolution, w is reversed.",
        _conv1d(x, w.flip(0), padding, stride, dilation),
    )
    yield "the dilation: w[j] meets x[i·stride + j·dilation − padding].", _conv1d(x, w, padding, stride, 1)
    yield "the stride: output i begins at place i·stride − padding.", _conv1d(x, w, padding, 1, dilation)
    yield (
        "the padding: the kernel begins that many places before the signal.",
        _conv1d(x, w, 0, stride, dilation),
    )
    later = _conv1d(x, w, padding, 1, dilation)[stride - 1 :: stride]
    yield "where the stride begins: row 0 of the matrix is kept, then row stride, 2·stride …", later
    wrapped = _wrapped(x, w, padding, stride, dilation)
    yield "places before the signal: x[-1] is Python's name for the last value, but it should be 0.", wrapped
    yield "the number of outputs, ⌊(n + 2p − d(k − 1) − 1) / s⌋ + 1: the + 1 is missing.", want[:-1]


def input_sizes(function: Callable) -> None:
    """``function(m, k, padding, stride, dilation)`` lists the input lengths that give ``m`` outputs."""
    draw = random.Random(1)
    # two lengths, one, AlexNet's four, a dilated kernel, some lengths below 1, all lengths below 1
    cases = [
        (16, 3, 1, 2, 1),
        (8, 3, 1, 1, 1),
        (55, 11, 2, 4, 1),
        (4, 3, 0, 2, 2),
        (1, 2, 1, 4, 1),
        (1, 1, 3, 1, 1),
    ]
    limits = ((1, 20), (1, 7), (0, 3), (1, 5), (1, 3))
    cases += [tuple(draw.randint(*limit) for limit in limits) for _ in range(RANDOM_CASES)]
    for m, k, padding, stride, dilation in cases:
        options = {"padding": padding, "stride": stride, "dilation": dilation}
        got = listed(call(function, m, k, **options))
        want = _inputs(m, k, **options)
        hint = "the n with m − 1 ≤ (n + 2p − d(k − 1) − 1) / s < m. Try yours in the output-size formula."
        if isinstance(got, (int, float)):
            hint = "the return value: a list, also where there is only one length."
        hint = hint_for(got, _input_size_slips(m, k, want, **options), hint)
        expect_equal(got, want, what=f"input_sizes({m}, {k}, {_shown(options)})", look_at=hint)
    passed(
        "input_sizes", f"31 and 32 give 16, and {RANDOM_CASES} random cases agree with a search over all n"
    )


def _input_size_slips(m: int, k: int, want: list[int], padding: int, stride: int, dilation: int) -> Slips:
    least = (m - 1) * stride - 2 * padding + dilation * (k - 1) + 1
    every = list(range(least, least + stride))
    yield "the stride: it stands in the formula.", _inputs(m, k, padding, 1, dilation)
    yield "the dilation: the kernel spans d(k − 1) + 1 places.", _inputs(m, k, padding, stride, 1)
    yield "the padding: it makes the signal longer.", _inputs(m, k, 0, stride, dilation)
    yield "the padding: it is added on both sides, so it counts twice.", [n + padding for n in want]
    yield "the order: rising.", want[::-1]
    yield "how many there are: rounding down gives m for as many lengths as the stride.", want[:1]
    yield "the last one: it already gives one output more.", [*want, least + stride]
    yield "the last one: the next length still gives m outputs.", want[:-1]
    yield "lengths below 1: a signal has at least one value.", every
    yield "length 0: a signal has at least one value.", [n for n in every if n >= 0]


def true_convolution(function: Callable) -> None:
    """``function(x, w)`` is the true 2-D convolution of x ``[H, W]`` and w ``[kh, kw]``, in full."""
    generator = torch.Generator().manual_seed(1)
    # then: not square, one pixel, a kernel larger than the picture, one row, a kernel larger one way only
    shapes = [((5, 5), (3, 3)), ((6, 4), (3, 3)), ((5, 7), (2, 3)), ((4, 4), (1, 1)), ((3, 3), (4, 4))]
    shapes += [((1, 6), (1, 3)), ((2, 3), (5, 2))]
    for size, kernel_size in shapes:
        x, w = torch.randn(size, generator=generator), torch.randn(kernel_size, generator=generator)
        want = _full_convolution(x, w)
        got = call(function, x, w)
        hint = "(x ∗ w)[r, c] = Σ w[u, v] · x[r − u, c − v], over all u and v."
        hint = _hint(got, _full_convolution_slips(x, w, want), hint)
        expect_close(got, want, what=f"true_convolution(x {size}, w {kernel_size})", look_at=hint)
        look_at = "convolution commutes. Does your function need x to be the larger one?"
        expect_close(call(function, w, x), want, what="With x and w exchanged", look_at=look_at)
    passed(
        "true_convolution",
        f"{len(shapes)} shapes agree with the sum written out, and x and w may change places",
    )


def _full_convolution_slips(x: Tensor, w: Tensor, want: Tensor) -> Slips:
    (H, W), (kh, kw) = x.shape, w.shape
    yield "the kernel: it is not reversed, this is the cross-correlation.", _full_convolution(x, w.flip(0, 1))
    yield "the kernel: its rows still run the wrong way, reverse both axes.", _full_convolution(x, w.flip(0))
    yield (
        "the kernel: its columns still run the wrong way, reverse both axes.",
        _full_convolution(x, w.flip(1)),
    )
    yield "the kernel: it is transposed. Reversing is not transposing.", _full_convolution(x, w.T)
    yield "the kernel: it is transposed. Reversing is not transposing.", _full_convolution(x, w.T.flip(0, 1))
    yield "the padding: this is only where the kernel lies inside the picture.", want[kh - 1 : H, kw - 1 : W]
    same = want[kh // 2 : kh // 2 + H, kw // 2 : kw // 2 + W]
    yield "the padding: this has the size of x. The kernel may stick out by k − 1 on each side.", same
    yield (
        "the batch and the channel dimension: F.conv2d needs them, the result should not have them.",
        want[None, None],
    )
    yield "the channel dimension: F.conv2d needs one, the result should not have it.", want[None]


def conv2d_im2col(function: Callable) -> None:
    """``function(x, w, padding, stride)`` is ``F.conv2d``, computed as one matrix product."""
    generator, draw = torch.Generator().manual_seed(1), random.Random(1)
    # channels in and out, size, kernel, padding, stride: one difficulty after the other
    cases = [(1, 1, (5, 5), (3, 3), 0, 1), (1, 1, (5, 5), (3, 3), 1, 1), (2, 3, (6, 5), (3, 3), 1, 1)]
    cases += [(2, 4, (7, 8), (3, 2), 1, 2), (1, 2, (4, 6), (1, 1), 0, 3), (3, 2, (8, 8), (5, 5), 0, 2)]
    cases += [(2, 2, (4, 3), (4, 3), 0, 1)]
    for _ in range(RANDOM_CASES):
        kernel = (draw.randint(1, 4), draw.randint(1, 4))
        size = (draw.randint(kernel[0], 9), draw.randint(kernel[1], 9))
        channels = (draw.randint(1, 3), draw.randint(1, 4))
        cases.append((*channels, size, kernel, draw.randint(0, 2), draw.randint(1, 3)))
    for channels, out, size, kernel, padding, stride in cases:
        x = torch.randn(channels, *size, generator=generator)
        w = torch.randn(out, channels, *kernel, generator=generator)
        want = _conv2d(x, w, padding, stride)
        got = call_without_convolutions(function, x, w, padding=padding, stride=stride)
        hint = "each column holds one window, in the order of a row of w.flatten(1)."
        hint = _hint(got, _im2col_slips(x, w, want, padding, stride), hint)
        what = f"conv2d_im2col(x {tuple(x.shape)}, w {tuple(w.shape)}, padding={padding}, stride={stride})"
        expect_close(got, want, what=what, look_at=hint, atol=CLOSE)
    passed(
        "conv2d_im2col",
        f"{len(cases)} layers agree with F.conv2d: channels, padding, stride, any kernel shape",
    )


def _im2col_slips(x: Tensor, w: Tensor, want: Tensor, padding: int, stride: int) -> Slips:
    yield "the batch dimension: x has none here, so the result has none either.", want[None]
    yield "the last step: make each row of the product a picture [H', W'].", want.flatten(1)
    for turned in (want.transpose(1, 2), want.transpose(1, 2).reshape(want.shape)):
        yield "the order of the outputs: the columns are the windows row by row.", turned
    yield "the direction: F.conv2d does not reverse the kernel.", _conv2d(x, w.flip(2, 3), padding, stride)
    yield "the padding: zeros all round the picture, before the windows are cut.", _conv2d(x, w, 0, stride)
    yield "the stride: windows are that many pixels apart, both ways.", _conv2d(x, w, padding, 1)
    maps, channels, kh, kw = w.shape
    # the weights that are in fact used where the columns run over row, column, channel and the weights do not
    mixed = w.flatten(1).view(maps, kh, kw, channels).permute(0, 3, 1, 2)
    text = "the order inside a column: channel, then row, then column of the window, as in w.flatten(1)."
    yield text, _conv2d(x, mixed, padding, stride)


def kernel_gradient(function: Callable) -> None:
    """``function(x, gradient, k, padding, stride)`` is ∂L/∂w, the gradient of the kernel."""
    for n, k, padding, stride, _ in _cases_1d(seed=2, dilated=False):
        x, w = (drawn.requires_grad_() for drawn in _draw(n * 89 + k, n, k))
        y = _conv1d(x, w, padding, stride)
        (gradient,) = _draw(n * 83 + k, len(y))
        want, by_x = torch.autograd.grad(y, (w, x), gradient)
        x = x.detach()
        got = call(function, x, gradient, k, padding=padding, stride=stride)
        hint = "w[j] enters output i with the factor x[i·stride + j − padding]; sum over i."
        hint = _hint(got, _kernel_gradient_slips(x, gradient, want, by_x, padding, stride), hint)
        what = f"kernel_gradient(x [{n}], gradient [{len(y)}], k={k}, padding={padding}, stride={stride})"
        expect_close(got, want, what=what, look_at=hint, atol=CLOSE)
    passed("kernel_gradient", f"edge cases and {RANDOM_CASES} random cases agree with autograd")


def _kernel_gradient_slips(
    x: Tensor, gradient: Tensor, want: Tensor, by_x: Tensor, padding: int, stride: int
) -> Slips:
    k = len(want)
    yield "the direction: this is the right answer backwards; entry j belongs to w[j].", want.flip(0)
    yield "the sum: every output adds to the derivative, it is not a mean.", want / len(gradient)
    yield "the variable: this is ∂L/∂x. Here the weights are what varies.", by_x
    longer = _conv1d(F.pad(x, (padding, padding)), gradient, dilation=stride)
    yield "the length: with a stride some values of x are read by no window; keep k entries.", longer
    yield "the stride: w[j] meets x[i·stride + j − padding].", _derivative(x, gradient, k, padding, 1)
    yield "the padding: w[j] meets x[i·stride + j − padding].", _derivative(x, gradient, k, 0, stride)


def _cases_1d(seed: int, dilated: bool = True) -> list[tuple[int, int, int, int, int]]:
    """(n, k, padding, stride, dilation): one option after the other, edge cases, then random ones."""
    cases = [(6, 3, 0, 1, 1), (6, 3, 1, 1, 1), (7, 3, 0, 2, 1), (8, 3, 1, 2, 1)]
    # kernel of one, of even size, as long as the signal, longer than the signal, stride beyond the kernel
    cases += [(5, 1, 0, 1, 1), (6, 4, 1, 1, 1), (4, 4, 0, 1, 1), (2, 5, 2, 1, 1), (10, 2, 1, 3, 1)]
    cases += [(9, 3, 0, 1, 2)] if dilated else []
    draw, wanted = random.Random(seed), len(cases) + RANDOM_CASES
    while len(cases) < wanted:
        n, k, padding, stride = (
            draw.randint(1, 12),
            draw.randint(1, 5),
            draw.randint(0, 3),
            draw.randint(1, 4),
        )
        dilation = draw.randint(1, 3) if dilated else 1
        if n + 2 * padding >= dilation * (k - 1) + 1:
            cases.append((n, k, padding, stride, dilation))
    return cases


def _draw(seed: int, *lengths: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(length, generator=generator) for length in lengths]


def _conv1d(x: Tensor, w: Tensor, padding: int = 0, stride: int = 1, dilation: int = 1) -> Tensor:
    """``F.conv1d`` for x [n] and w [k]; no outputs where the kernel does not fit."""
    if len(x) + 2 * padding < dilation * (len(w) - 1) + 1:
        return x.new_zeros(0)
    return F.conv1d(x[None, None], w[None, None], padding=padding, stride=stride, dilation=dilation)[0, 0]


def _conv2d(x: Tensor, w: Tensor, padding: int, stride: int) -> Tensor:
    return F.conv2d(x[None], w, padding=padding, stride=stride)[0]


def _wrapped(x: Tensor, w: Tensor, padding: int, stride: int, dilation: int) -> Tensor:
    """What comes out where a negative place counts from the end, as in Python."""
    n, k = len(x), len(w)
    y = torch.zeros((n + 2 * padding - dilation * (k - 1) - 1) // stride + 1)
    for i, j in itertools.product(range(len(y)), range(k)):
        place = i * stride + j * dilation - padding
        if -n <= place < n:
            y[i] += w[j] * x[place]
    return y


def _inputs(m: int, k: int, padding: int, stride: int, dilation: int) -> list[int]:
    """By search: all n with m outputs."""
    span = dilation * (k - 1) + 1
    fitting = range(max(1, span - 2 * padding), m * stride + span)
    return [n for n in fitting if (n + 2 * padding - span) // stride + 1 == m]


def _full_convolution(x: Tensor, w: Tensor) -> Tensor:
    """Each pixel stamps the kernel onto the output."""
    (H, W), (kh, kw) = x.shape, w.shape
    y = x.new_zeros(H + kh - 1, W + kw - 1)
    for r, c in itertools.product(range(H), range(W)):
        y[r : r + kh, c : c + kw] += x[r, c] * w
    return y


def _derivative(x: Tensor, gradient: Tensor, k: int, padding: int = 0, stride: int = 1) -> Tensor:
    """∂L/∂w if the layer had these options; places beyond the signal count as 0."""
    padded = F.pad(x, (padding, padding + k + len(gradient) * stride))
    return torch.stack([(gradient * padded[j::stride][: len(gradient)]).sum() for j in range(k)])


def _hint(got: object, slips: Slips, otherwise: str) -> str:
    """As ``hint_for``; where no tensor came, that is what to look at."""
    if not isinstance(got, Tensor):
        return "the return value: a tensor."
    return hint_for(got, slips, otherwise, atol=CLOSE)


def _shown(options: dict[str, int]) -> str:
    return ", ".join(f"{name}={value}" for name, value in options.items())
