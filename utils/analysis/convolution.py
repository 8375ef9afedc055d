"""Convolution as a matrix: Toeplitz (1-D), doubly block Toeplitz (2-D), im2col, and the sizes of outputs.

"Convolution" means what deep-learning libraries compute, cross-correlation, with zeros outside the input:
y_i = Σ_j k_j · x[i·stride + j·dilation − padding]. The transposes of the matrices are the backward pass, and
what ``conv_transpose`` computes.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import overload

import torch
from torch import Tensor
from torch.nn import functional as F

from utils.analysis.modules import plain_numbers

IntOrPair = int | tuple[int, int]


@overload
def conv_output_size(
    size: int, kernel_size: int, *, stride: int = 1, padding: int = 0, dilation: int = 1
) -> int: ...


@overload
def conv_output_size(
    size: int | Sequence[int],
    kernel_size: int | Sequence[int],
    *,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
) -> tuple[int, ...]: ...


def conv_output_size(size, kernel_size, *, stride=1, padding=0, dilation=1):
    """Number of outputs of a convolution or pooling, ⌊(n + 2p − d(k − 1) − 1) / s⌋ + 1.

    All numbers gives a number; if any argument is a tuple, one value for each dimension, the others hold for
    all dimensions and the answer is a tuple. Raises ``ValueError`` if the dilated kernel is larger than the
    padded input, for a negative padding and for anything else below 1.
    """
    arguments = {
        "size": size,
        "kernel_size": kernel_size,
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
    }
    return _per_dimension(_conv_output_size, arguments)


@overload
def conv_transpose_output_size(
    size: int,
    kernel_size: int,
    *,
    stride: int = 1,
    padding: int = 0,
    output_padding: int = 0,
    dilation: int = 1,
) -> int: ...


@overload
def conv_transpose_output_size(
    size: int | Sequence[int],
    kernel_size: int | Sequence[int],
    *,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    output_padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
) -> tuple[int, ...]: ...


def conv_transpose_output_size(size, kernel_size, *, stride=1, padding=0, output_padding=0, dilation=1):
    """Number of outputs of a transposed convolution, (n − 1)s − 2p + d(k − 1) + output_padding + 1.

    ``output_padding`` says which of the input sizes is meant that a convolution with this stride maps to
    ``size``. Numbers and tuples as in ``conv_output_size``. Raises ``ValueError`` where nothing is left, for
    an ``output_padding`` that is not smaller than the stride or the dilation, for a negative padding and for
    anything else below 1.
    """
    arguments = {
        "size": size,
        "kernel_size": kernel_size,
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
    }
    return _per_dimension(_conv_transpose_output_size, arguments | {"output_padding": output_padding})


def toeplitz_1d(
    kernel: Tensor | Sequence[float], n: int, padding: int = 0, stride: int = 1, dilation: int = 1
) -> Tensor:
    """The Toeplitz matrix W ``[out, n]`` of a 1-D convolution, dense: ``W @ x == F.conv1d(x)`` for x ``[n]``.

    ``W.T @ y`` is ``F.conv_transpose1d(y)``, with the ``output_padding`` that brings back ``n`` if the stride
    leaves a rest. ``kernel`` is ``[k]``; W has its dtype and device and passes
    gradients on to it. Raises ``ValueError`` for a kernel that is not one-dimensional and where
    ``conv_output_size`` does.
    """
    kernel = torch.as_tensor(kernel)
    if kernel.ndim != 1:
        raise ValueError(f"the kernel must be one row of numbers, got the shape {tuple(kernel.shape)}")
    out = conv_output_size(n, len(kernel), stride=stride, padding=padding, dilation=dilation)
    columns = _source(out, len(kernel), stride, padding, dilation).to(kernel.device)  # [out, k]
    rows, taps = torch.where((columns >= 0) & (columns < n))  # a tap on the zero padding has no column
    matrix = kernel.new_zeros(out, n)
    matrix[rows, columns[rows, taps]] = kernel[taps]
    return matrix


def toeplitz_2d(
    weight: Tensor,
    size: IntOrPair,
    padding: IntOrPair = 0,
    stride: IntOrPair = 1,
    dilation: IntOrPair = 1,
    groups: int = 1,
) -> Tensor:
    """The doubly block Toeplitz matrix W of a 2-D convolution, all channels, as a sparse CSR tensor.

    ``weight`` is ``[O, I/groups, kh, kw]`` as for ``F.conv2d``, ``size`` the image's (H, W). W has the shape
    ``[O·H'·W', I·H·W]``, with ``W @ x.flatten() == F.conv2d(x).flatten()`` for x ``[I, H, W]``, and
    ``W.t() @ y.flatten()`` is ``F.conv_transpose2d(y)`` (torch has no ``.T`` for CSR), with the
    ``output_padding`` that brings back (H, W) if the stride leaves a rest. W has the dtype and device of
    ``weight`` and no gradient. Each tap that lies inside the image is stored, also where the weight
    is zero: what is stored depends on the geometry alone.

    Memory: 8 bytes and a value for each of at most O·H'·W'·I/groups·kh·kw entries, about twice that while it
    is built. Raises ``ValueError`` for a weight that is not four-dimensional, for ``groups`` that do not
    divide O, and where ``conv_output_size`` does.
    """
    if weight.ndim != 4:
        raise ValueError(f"the weight must be [O, I/groups, kh, kw], got the shape {tuple(weight.shape)}")
    if groups < 1 or weight.shape[0] % groups:
        raise ValueError(f"groups must divide the {weight.shape[0]} output channels, got {groups}")
    weight = weight.detach()
    out_channels, in_per_group, *kernel_size = weight.shape
    (height, width), pads, steps, gaps = (_pair(value) for value in (size, padding, stride, dilation))
    out_height, out_width = conv_output_size(
        (height, width), tuple(kernel_size), stride=steps, padding=pads, dilation=gaps
    )
    y = _source(out_height, kernel_size[0], steps[0], pads[0], gaps[0]).to(weight.device)  # [H', kh]
    x = _source(out_width, kernel_size[1], steps[1], pads[1], gaps[1]).to(weight.device)  # [W', kw]
    inside_y, inside_x = (y >= 0) & (y < height), (x >= 0) & (x < width)

    # axes of an entry: output channel, row and column; input channel in its group; kernel row and column
    shape = (out_channels, out_height, out_width, in_per_group, *kernel_size)
    group = torch.arange(out_channels, device=weight.device) // (out_channels // groups)
    channel = torch.arange(in_per_group, device=weight.device) + group[:, None] * in_per_group  # [O, I/g]
    column = (
        channel[:, None, None, :, None, None] * (height * width)
        + y[None, :, None, None, :, None] * width
        + x[None, None, :, None, None, :]
    )
    inside = (inside_y[None, :, None, None, :, None] & inside_x[None, None, :, None, None, :]).expand(shape)
    # a mask picks in the order of the axes, which is that of the rows and, within a row, of the columns
    values, columns = weight[:, None, None].expand(shape)[inside], column.expand(shape)[inside]
    stored = inside.reshape(out_channels * out_height * out_width, -1).sum(dim=1)  # entries of each row
    starts = torch.cat([stored.new_zeros(1), stored.cumsum(dim=0)])
    matrix_shape = (out_channels * out_height * out_width, groups * in_per_group * height * width)
    # not checked, for it is right by construction; said in this way, since torch 2.11 warns of the argument
    with warnings.catch_warnings(), torch.sparse.check_sparse_tensor_invariants(False):
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta state")
        return torch.sparse_csr_tensor(starts, columns, values, matrix_shape)


def im2col(
    x: Tensor,
    kernel_size: IntOrPair,
    *,
    padding: IntOrPair = 0,
    stride: IntOrPair = 1,
    dilation: IntOrPair = 1,
) -> Tensor:
    """Each window of a convolution as a column, as ``F.unfold``: ``[B, C, H, W]`` -> ``[B, C·kh·kw, H'·W']``.

    A convolution is then one matrix product: ``weight.flatten(1) @ im2col(x, ...)``. The windows are a view
    of the padded image in which each pixel has up to kh·kw addresses; only the last reshape copies. Raises
    ``ValueError`` for an x that is not four-dimensional and where ``conv_output_size`` does.
    """
    if x.ndim != 4:
        raise ValueError(f"im2col takes images [B, C, H, W], got the shape {tuple(x.shape)}")
    (kh, kw), pads, steps, gaps = (_pair(value) for value in (kernel_size, padding, stride, dilation))
    out_height, out_width = conv_output_size(
        tuple(x.shape[2:]), (kh, kw), stride=steps, padding=pads, dilation=gaps
    )
    padded = F.pad(x, (pads[1], pads[1], pads[0], pads[0]))
    B, C = padded.shape[:2]
    along_b, along_c, along_y, along_x = padded.stride()
    windows = padded.as_strided(
        (B, C, kh, kw, out_height, out_width),
        (along_b, along_c, along_y * gaps[0], along_x * gaps[1], along_y * steps[0], along_x * steps[1]),
        padded.storage_offset(),
    )
    return windows.reshape(B, C * kh * kw, out_height * out_width)


def _source(out: int, kernel_size: int, stride: int, padding: int, dilation: int) -> Tensor:
    """Which input each tap of each output reads, ``[out, kernel_size]``; outside 0 … n − 1 it is padding."""
    return torch.arange(out)[:, None] * stride + torch.arange(kernel_size)[None, :] * dilation - padding


def _conv_output_size(size: int, kernel_size: int, stride: int, padding: int, dilation: int) -> int:
    _check_positive(size=size, kernel_size=kernel_size, stride=stride, dilation=dilation)
    _check_not_negative(padding=padding)
    span = dilation * (kernel_size - 1) + 1
    if span > size + 2 * padding:
        raise ValueError(
            f"a kernel that spans {span} (kernel_size {kernel_size}, dilation {dilation}) does not fit into "
            f"{size + 2 * padding} (size {size}, padding {padding} on each side)"
        )
    return (size + 2 * padding - span) // stride + 1


def _conv_transpose_output_size(
    size: int, kernel_size: int, stride: int, padding: int, dilation: int, output_padding: int
) -> int:
    _check_positive(size=size, kernel_size=kernel_size, stride=stride, dilation=dilation)
    _check_not_negative(padding=padding, output_padding=output_padding)
    if output_padding >= max(stride, dilation):
        raise ValueError(
            f"output_padding must be smaller than the stride or the dilation, got {output_padding} "
            f"with stride {stride} and dilation {dilation}"
        )
    out = (size - 1) * stride - 2 * padding + dilation * (kernel_size - 1) + output_padding + 1
    if out < 1:
        raise ValueError(
            f"a transposed convolution with size {size}, kernel_size {kernel_size}, stride {stride}, "
            f"padding {padding}, output_padding {output_padding}, dilation {dilation} has no output: "
            f"its size would be {out}"
        )
    return out


def _per_dimension(rule, arguments: dict):
    """Apply ``rule`` to numbers, or to each dimension of tuples of one common length."""
    arguments = {key: plain_numbers(value) for key, value in arguments.items()}
    tuples = {key: value for key, value in arguments.items() if isinstance(value, Sequence)}
    if not tuples:
        return rule(**arguments)
    lengths = {len(value) for value in tuples.values()}
    if len(lengths) > 1:
        raise ValueError(f"the tuples must have one length, got {tuples}")
    return tuple(
        rule(**(arguments | {key: value[axis] for key, value in tuples.items()})) for axis in range(*lengths)
    )


def _check_positive(**values: int) -> None:
    for name, value in values.items():
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")


def _check_not_negative(**values: int) -> None:
    for name, value in values.items():
        if not isinstance(value, int) or value < 0:
            raise ValueError(f"{name} must be a whole number of at least 0, got {value!r}")


def _pair(value: IntOrPair) -> tuple[int, int]:
    value = plain_numbers(value)
    if not isinstance(value, Sequence):
        return (value, value)
    if len(value) != 2:
        raise ValueError(f"one number or a pair is needed, got {value!r}")
    return tuple(value)
