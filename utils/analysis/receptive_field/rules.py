"""What each operation does to the field of its input: the rules behind ``receptive_field``.

A rule is a function ``rule(call, *args, **kwargs)`` with the arguments of the operation, in which every
tensor that depends on the input is a :class:`~utils.analysis.receptive_field.fields.Field`; other tensors are
as they were, without values. ``call`` is a :class:`Call`. It returns the field of the result: a ``Field``, a
list of them for several results, or ``None`` for a result that does not depend on the input.

Rules are found by the name of the operation (the same for ``torch.relu``, ``F.relu`` and ``x.relu()``), or by
the class of a module, which is then not looked into. To add one::

    @field_rule("my_operation")            # or @field_rule(MyModule)
    def _(call, x, *args, **kwargs):
        return window(x, dim=2, n=call.shape[2], kernel=3, stride=1, padding=1)

An operation without a rule is an error: a guess would be wrong without a sign of it.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import nn

from utils.analysis.receptive_field.fields import Field, MisalignedPaths
from utils.analysis.receptive_field.operations import (
    all_of,
    concatenate,
    everything,
    merge,
    mix,
    reduce,
    resample,
    take,
    transposed_window,
    window,
)
from utils.analysis.receptive_field.shapes import expand, expand_dim, insert, permute, reshape

Rule = Callable[..., "Field | list[Field] | None"]
RULES: dict[str | type[nn.Module], Rule] = {}
MOST_PAIRS = 2**20  # of rows and columns of a product that are told apart, by an array of this size


class NoRule(ValueError):
    """An operation of which it is not known what its units see."""


@dataclass(frozen=True)
class Call:
    """What a rule may need beside the arguments: the name, the shapes of all results, the user's choice."""

    name: str
    shapes: tuple[tuple[int, ...], ...]
    ignore_gates: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the (first) result."""
        return self.shapes[0]


def field_rule(*operations: str | type[nn.Module], replace: bool = False) -> Callable[[Rule], Rule]:
    """Decorator: the rule of these operations (function names without underscores at the end) or modules.

    Raises ``ValueError`` for one that has a rule, unless ``replace``.
    """
    taken = [operation for operation in operations if operation in RULES]
    if taken and not replace:
        raise ValueError(f"there is already a rule for {taken[0]!r}; say replace=True to replace it")

    def add(rule: Rule) -> Rule:
        RULES.update(dict.fromkeys(operations, rule))
        return rule

    return add


def rule_for_module(module: nn.Module) -> Rule | None:
    """The rule of the class of a module or of the nearest class above it."""
    return next((RULES[kind] for kind in type(module).__mro__ if kind in RULES), None)


def found_in(kind: type | tuple[type, ...], *values: Any) -> list[Any]:
    """All of some class in values and in the lists, tuples and dictionaries among them."""
    found = []
    for value in values:
        if isinstance(value, kind):
            found.append(value)
        elif isinstance(value, list | tuple):
            found += found_in(kind, *value)
        elif isinstance(value, dict):
            found += found_in(kind, *value.values())
    return found


def fields_in(*values: Any) -> list[Field]:
    return found_in(Field, *values)


# --- element by element

OPERATORS = ["add", "sub", "truediv", "floordiv", "mod", "pow", "and", "or", "xor"]
COMPARISONS = ["lt", "le", "gt", "ge", "eq", "ne"]
# fmt: off
ELEMENTWISE = [
    "abs", "add", "addcdiv", "addcmul", "alpha_dropout", "bernoulli", "bfloat16", "bool", "ceil",
    "celu", "clamp", "clamp_max", "clamp_min", "clip", "clone", "contiguous", "cos", "cpu", "cuda",
    "data", "detach", "div", "divide", "double", "dropout", "dropout1d", "dropout2d", "dropout3d",
    "elu", "eq", "erf", "exp", "expm1", "feature_alpha_dropout", "feature_dropout", "float", "floor",
    "floor_divide", "fmod", "ge", "gelu", "greater", "gt", "half", "hardshrink", "hardsigmoid",
    "hardswish", "hardtanh", "int", "isfinite", "isinf", "isnan", "le", "leaky_relu", "lerp", "less",
    "log", "log1p", "log2", "logical_and", "logical_not", "logical_or", "logit", "logsigmoid", "long",
    "lt", "masked_fill", "maximum", "minimum", "mish", "nan_to_num", "ne", "neg", "negative",
    "positive", "pow", "prelu", "reciprocal", "relu", "relu6", "remainder", "requires_grad", "round",
    "rrelu", "rsqrt", "rsub", "selu", "sigmoid", "sign", "silu", "sin", "softplus", "softshrink",
    "softsign", "sqrt", "square", "sub", "subtract", "tan", "tanh", "tanhshrink", "threshold", "to",
    "true_divide", "trunc", "type", "type_as", "where",
]
# fmt: on


@field_rule(
    *ELEMENTWISE,
    *(f"__{kind}{op}__" for op in OPERATORS for kind in ("", "r", "i")),
    *(f"__{op}__" for op in COMPARISONS),
    *("__neg__", "__invert__", "__abs__", "__pos__"),
)
def elementwise(call: Call, *args: Any, **kwargs: Any) -> Field:
    """Each unit sees what the units at the same place see."""
    return expand(merge(fields_in(args, kwargs)), call.shape)


@field_rule("mul", "__mul__", "__rmul__", "__imul__", "multiply")
def multiply(call: Call, *args: Any, **kwargs: Any) -> Field:
    """As element by element; a gate may be ignored.

    That is one factor for the whole map that is computed from the whole map.
    """
    fields = fields_in(args, kwargs)
    if call.ignore_gates and len(fields) > 1:
        fields = [field for field in fields if not _is_gate(field)] or fields
    return expand(merge(fields), call.shape)


def _is_gate(field: Field) -> bool:
    return all(span.whole for span in field.spans) and not any(f.place and f.n > 1 for f in field.factors)


@field_rule("zeros_like", "ones_like", "empty_like", "full_like", "rand_like", "randn_like", "randint_like")
@field_rule("new_zeros", "new_ones", "new_empty", "new_full", "new_tensor")
def _only_the_shape(call: Call, *args: Any, **kwargs: Any) -> None:
    return None


@field_rule("batch_norm")
def _batch_norm(
    call: Call, x: Field, mean: Any = None, var: Any = None, weight: Any = None, bias: Any = None,
    training: bool = False, *args: Any, **kwargs: Any,
) -> Field:  # fmt: skip
    """With running statistics each unit sees itself; with those of the batch, all of its map."""
    return all_of(x, range(2, x.ndim)) if training else x


# --- windows


def _each(value: int | Sequence[int], n: int) -> tuple[int, ...]:
    """One number for each of n axes."""
    values = tuple(value) if isinstance(value, list | tuple) else (value,)
    return values * n if len(values) == 1 else values


def _windows(call: Call, x: Field, kernel, stride, padding, dilation=1) -> Field:
    """A window along each of the last dimensions, as many as ``kernel`` has numbers."""
    n = len(kernel)
    settings = zip(kernel, *(_each(value, n) for value in (stride, padding, dilation)), strict=True)
    for dim, (size, step, pad, spacing) in enumerate(settings, start=x.ndim - n):
        x = window(x, dim, call.shape[dim], size, step, pad, spacing)
    return x


def _channels_first(x: Field, n: int) -> int:
    """The dimension of the channels; without a batch dimension it is the first."""
    return x.ndim - n - 1


@field_rule("conv1d", "conv2d", "conv3d")
def _convolution(call: Call, x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1) -> Field:
    _only_first(call, x, weight, bias)
    kernel = tuple(weight.shape[2:])
    n = len(kernel)
    dilation = _each(dilation, n)
    if padding == "valid":
        padding = 0
    elif padding == "same":
        padding = tuple(d * (k - 1) // 2 for k, d in zip(kernel, dilation, strict=True))
    x = mix(x, _channels_first(x, n), weight.shape[0], groups)
    return _windows(call, x, kernel, stride, padding, dilation)


@field_rule("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def _transposed_convolution(
    call: Call, x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
) -> Field:
    _only_first(call, x, weight, bias)
    kernel = tuple(weight.shape[2:])
    n = len(kernel)
    x = mix(x, _channels_first(x, n), weight.shape[1] * groups, groups)
    settings = zip(kernel, *(_each(value, n) for value in (stride, padding, dilation)), strict=True)
    for dim, (size, step, pad, spacing) in enumerate(settings, start=x.ndim - n):
        x = transposed_window(x, dim, call.shape[dim], size, step, pad, spacing)
    return x


def _only_first(call: Call, first: Any, *others: Any) -> None:
    if fields_in(*others) or not isinstance(first, Field):
        raise NoRule(f"{call.name} has weights that are computed from the input")


def _pooling(axes: int) -> Rule:
    def pool(call: Call, x, kernel_size, stride=None, padding=0, *args, dilation=1, **kwargs) -> Any:
        """Also with ceil_mode: then the last window reaches over the border."""
        if call.name.startswith("max_pool") and args:
            dilation = args[0]  # the average has ceil_mode there
        kernel = _each(kernel_size, axes)
        stride = kernel if stride is None or stride == [] else stride
        field = _windows(call, x, kernel, stride, padding, dilation)
        return [field] * len(call.shapes)

    return pool


for _axes in (1, 2, 3):
    field_rule(
        *(f"{kind}_pool{_axes}d{end}" for kind, end in (("max", ""), ("max", "_with_indices"), ("avg", "")))
    )(_pooling(_axes))


@field_rule("lp_pool1d", "lp_pool2d", "lp_pool3d")
def _lp_pool(call: Call, x, norm_type, kernel_size, stride=None, ceil_mode=False) -> Field:
    axes = int(call.name[-2])
    return _pooling(axes)(call, x, kernel_size, stride)[0]


@field_rule(*(f"adaptive_{kind}_pool{axes}d" for kind in ("avg", "max") for axes in (1, 2, 3)))
@field_rule(*(f"adaptive_max_pool{axes}d_with_indices" for axes in (1, 2, 3)))
def _adaptive_pooling(call: Call, x, *args: Any, **kwargs: Any) -> list[Field]:
    """To one unit: the whole input. Otherwise unit o of n averages places ⌊o·N/n⌋ to ⌈(o+1)·N/n⌉ − 1 of N."""
    axes = int(call.name[call.name.index("pool") + 4])
    for dim in range(x.ndim - axes, x.ndim):
        old, new = x.shape[dim], call.shape[dim]
        if new == 1:
            x = reduce(x, [dim], keepdim=True)
            continue
        longest = max(-(-(o + 1) * old // new) - o * old // new for o in range(new))

        def bins(o: np.ndarray, old=old, new=new, longest=longest) -> tuple[np.ndarray, np.ndarray]:
            places = (o * old // new)[:, None] + np.arange(longest)
            return places, places < -(-(o + 1) * old // new)[:, None]

        x = resample(x, dim, new, bins, Fraction(old, new))
    return [x] * len(call.shapes)


@field_rule("local_response_norm")
def _local_response_norm(call: Call, x, size, *args, **kwargs) -> Field:
    """Neighboring maps at the same place: ``size`` // 2 before, (``size`` − 1) // 2 after."""
    return window(x, 1, x.shape[1], size, 1, size // 2)


@field_rule("interpolate", "upsample", "upsample_nearest", "upsample_bilinear")
def _interpolate(
    call: Call, x, size=None, scale_factor=None, mode="nearest", align_corners=None,
    recompute_scale_factor=None, antialias=False,
) -> Field:  # fmt: skip
    if call.name.endswith("bilinear"):
        mode, align_corners = "bilinear", True
    if antialias or mode not in (
        "nearest",
        "nearest-exact",
        "linear",
        "bilinear",
        "trilinear",
        "bicubic",
        "area",
    ):
        raise NoRule(f"{call.name} with mode={mode!r}, antialias={antialias}")
    if mode == "area":
        pool = Call(f"adaptive_avg_pool{x.ndim - 2}d", call.shapes)
        return _adaptive_pooling(pool, x)[0]
    given = None if scale_factor is None or recompute_scale_factor else _each(scale_factor, x.ndim - 2)
    for dim in range(2, x.ndim):
        old, new = x.shape[dim], call.shape[dim]
        if align_corners:
            slope = Fraction(old - 1, new - 1) if new > 1 else Fraction(0)
        elif given is not None:
            slope = 1 / Fraction(given[dim - 2]).limit_denominator(1000)
        else:
            slope = Fraction(old, new)
        x = _interpolate_axis(x, dim, new, slope, mode, bool(align_corners))
    return x


def _interpolate_axis(x: Field, dim: int, new: int, slope: Fraction, mode: str, corners: bool) -> Field:
    """Output o takes the pixels around an input coordinate that have a weight other than 0.

    The coordinate is o·slope (nearest, aligned corners) or (o + ½)·slope − ½.
    """
    old = x.shape[dim]
    num, den = slope.numerator, slope.denominator
    if slope == 0:
        return expand_dim(take(x, dim, [0]), dim, new)
    if mode.startswith("nearest"):
        exact = mode == "nearest-exact"

        def nearest(o: np.ndarray) -> tuple[np.ndarray, None]:
            twice = (2 * o + 1) * num // (2 * den) if exact else o * num // den
            return twice[:, None], None

        return resample(x, dim, new, nearest, slope, lambda places: places.clip(0, old - 1))
    offsets = np.arange(-1, 3) if mode == "bicubic" else np.arange(2)

    def around(o: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        # the coordinate is above / below
        above, below = (o * num, den) if corners else ((2 * o + 1) * num - den, 2 * den)
        between = above % below != 0
        return (above // below)[:, None] + offsets, between[:, None] | (offsets == 0)

    return resample(x, dim, new, around, slope, lambda places: places.clip(0, old - 1))


@field_rule("pad")
def _pad(call: Call, x, pad, mode="constant", value=None) -> Field:
    """Zeros see nothing; a border that is a copy sees what it copies (and counts as padding all the same)."""
    for number in range(len(pad) // 2):
        before = pad[2 * number]
        dim = x.ndim - 1 - number
        old, new = x.shape[dim], call.shape[dim]
        if new == old and before == 0:
            continue
        copies = {
            "constant": None,
            "replicate": lambda places, old=old: places.clip(0, old - 1),
            "reflect": lambda places, old=old: old - 1 - abs(old - 1 - abs(places)),
            "circular": lambda places, old=old: places % old,
        }[mode]
        x = resample(x, dim, new, lambda o, before=before: (o[:, None] - before, None), 1, copies)
    return x


# --- several units together


@field_rule("linear")
def _linear(call: Call, x, weight, bias=None) -> Field:
    """Features at one place are mixed; if the last dimension holds places, those."""
    if not fields_in(weight, bias):
        return mix(x, -1, call.shape[-1])
    turned = permute(weight, range(weight.ndim - 1, -1, -1)) if isinstance(weight, Field) else weight.mT
    return _sum_of(call, bias, _product(x, turned, call.shape))


@field_rule("bilinear")
def _bilinear(call: Call, input1, input2, weight, bias=None) -> Field:
    """Each result takes all features of both operands at its place."""
    fields = fields_in(input1, input2)
    _only_first(call, fields[0], weight, bias)
    return _sum_of(call, *(mix(x, -1, call.shape[-1]) for x in fields))


@field_rule("addmm")
def _addmm(call: Call, x, mat1, mat2, **kwargs: Any) -> Field:
    return _sum_of(call, x, *([_product(mat1, mat2, call.shape)] if fields_in(mat1, mat2) else []))


def _sum_of(call: Call, *terms: Any) -> Field:
    return expand(merge(fields_in(terms)), call.shape)


@field_rule("matmul", "__matmul__", "__rmatmul__", "bmm", "mm", "mv")
def _matrix_product(call: Call, a, *others: Any, **kwargs: Any) -> Field:
    """Rows of the first and columns of the second are mixed; a product of two fields sees both."""
    b = others[0] if others else next(kwargs[name] for name in ("other", "mat2", "vec") if name in kwargs)
    return _product(*((b, a) if call.name == "__rmatmul__" else (a, b)), call.shape)


def _product(a: Any, b: Any, shape: Sequence[int]) -> Field:
    """Unit (…, i, j) sees row i of ``a`` and column j of ``b``, under the same leading indices."""
    seen = []
    if isinstance(a, Field):
        seen.append(reduce(a, [-1], keepdim=b.ndim > 1, mixes_one=False))
    if isinstance(b, Field):
        dim = -1 if b.ndim == 1 else -2
        seen.append(reduce(b, [dim], keepdim=min(a.ndim, b.ndim) > 1, mixes_one=False))
    return _together(seen, shape)


def _together(seen: Sequence[Field], shape: Sequence[int]) -> Field:
    """What several fields see, each with a dimension of size 1 wherever it is the same for all."""
    try:
        return expand(merge(_coarse_pairs(seen, shape)), shape)
    except MisalignedPaths:  # as many rows as columns, of maps that move on differently: no order is left
        return everything(seen, shape)


def _coarse_pairs(seen: Sequence[Field], shape: Sequence[int]) -> Sequence[Field]:
    """The same, or with all units along the last two dimensions as one where there are too many pairs."""
    if len(seen) < 2 or len(shape) < 2 or shape[-1] * shape[-2] <= MOST_PAIRS:
        return seen
    return [reduce(field, range(max(-2, -field.ndim), 0), True, mixes_one=False) for field in seen]


@field_rule("einsum")
def _einsum(call: Call, equation: str, *operands: Any) -> Field:
    """Summed over the letters that the result does not have; a product of fields sees all of them."""
    if len(operands) == 1 and isinstance(operands[0], list | tuple):
        operands = tuple(operands[0])
    if not isinstance(equation, str):
        raise NoRule("einsum without a string of letters")
    inputs, arrow, output = equation.replace(" ", "").partition("->")
    terms = inputs.split(",")
    spare = [letter for letter in string.ascii_letters if letter not in equation]
    behind = [x.ndim - len(term.replace("...", "")) for x, term in zip(operands, terms, strict=True)]
    hidden = "".join(spare[: max(behind)])  # the dimensions behind the dots
    if not arrow:
        once = [letter for letter in inputs if letter.isalpha() and inputs.count(letter) == 1]
        output = ("..." if "..." in inputs else "") + "".join(sorted(once))
    output = output.replace("...", hidden)
    seen = []
    for operand, term, dots in zip(operands, terms, behind, strict=True):
        if not isinstance(operand, Field):
            continue
        letters = list(term.replace("...", hidden[len(hidden) - dots :]))
        if len(set(letters)) < len(letters):
            raise NoRule(f"einsum with a repeated index: {equation}")
        gone = [place for place, letter in enumerate(letters) if letter not in output]
        field = reduce(operand, gone, keepdim=False, mixes_one=False) if gone else operand
        letters = [letter for letter in letters if letter in output]
        field = permute(field, [letters.index(letter) for letter in output if letter in letters])
        for position, letter in enumerate(output):
            if letter not in letters:
                field = insert(field, position)
        seen.append(field)
    return _together(seen, call.shape)


@field_rule("scaled_dot_product_attention")
def _attention(call: Call, query, key, value, attn_mask=None, *args: Any, **kwargs: Any) -> Field:
    """Query i sees itself, and all keys and values under the same leading indices."""
    seen = [reduce(x, [-1], True, mixes_one=False) for x in fields_in(query, attn_mask)]
    seen += [reduce(x, [-2, -1], True, mixes_one=False) for x in fields_in(key)]
    seen += [reduce(x, [-2], True, mixes_one=False) for x in fields_in(value)]
    # groups of query heads that share a key head: all heads as one
    seen = [
        x if x.ndim < 3 or x.shape[-3] in (1, call.shape[-3]) else reduce(x, [-3], True, mixes_one=False)
        for x in seen
    ]
    return _together(seen, call.shape)


@field_rule("multi_head_attention_forward")
def _multi_head_attention(call: Call, query, key, value, *args: Any, **kwargs: Any) -> list[Field]:
    """As attention, of queries ``[L, N, E]`` and keys ``[S, N, E]``; then the weights ``[N, …, L, S]``."""
    mixed = [reduce(x, [-1], True, mixes_one=False) for x in fields_in(query)]
    mixed += [reduce(x, [0, -1], True, mixes_one=False) for x in fields_in(key, value)]
    masks = [everything([x], call.shape) for x in fields_in(args, kwargs)]  # such as one of padding
    if not mixed:
        return [everything(fields_in(args, kwargs), shape) for shape in call.shapes]
    seen = [_together([*mixed, *masks], call.shape)]
    for shape in call.shapes[1:]:
        row = reduce(merge(mixed), [-1], False, mixes_one=False)  # [L] or [L, N]
        row = permute(row, range(row.ndim - 1, -1, -1))
        while row.ndim < len(shape) - 1:
            row = insert(row, row.ndim - 1)
        seen.append(_together([insert(row, row.ndim), *(everything([x], shape) for x in masks)], shape))
    return seen


def _dims(x: Field, dim: Any) -> list[int]:
    if dim is None or dim == () or dim == []:
        return list(range(x.ndim))
    return [dim] if isinstance(dim, int) else list(dim)


@field_rule(
    "mean", "sum", "amax", "amin", "std", "var", "nanmean", "nansum", "norm", "logsumexp", "prod", "any"
)
@field_rule(
    "all", "argmax", "argmin", "median", "std_mean", "var_mean", "vector_norm", "count_nonzero", "aminmax"
)
def _reduction(call: Call, x, *args: Any, **kwargs: Any) -> list[Field]:
    """All units along the given dimensions; along places, the whole input."""
    dim = kwargs.get("dim", kwargs.get("axis"))
    if call.name in ("norm", "vector_norm", "logsumexp"):
        dim = args[1] if len(args) > 1 else dim
        dim = args[0] if call.name == "logsumexp" and args else dim
    elif args and not isinstance(args[0], bool):
        dim = args[0]
    keepdim = len(call.shape) == x.ndim
    return [reduce(x, _dims(x, dim), keepdim)] * len(call.shapes)


@field_rule("max", "min")
def _extreme(call: Call, x, *args: Any, **kwargs: Any) -> Field | list[Field]:
    if fields_in(args, kwargs) or (args and isinstance(args[0], torch.Tensor)):
        return elementwise(call, x, *args, **kwargs)
    return _reduction(call, x, *args, **kwargs)


@field_rule("softmax", "log_softmax", "softmin")
def _softmax(call: Call, x, dim=None, *args: Any, **kwargs: Any) -> Field:
    """Normalized over a dimension: each unit sees all along it."""
    return all_of(x, _dims(x, dim))


@field_rule("normalize")
def _normalize(call: Call, x, p=2.0, dim=1, *args: Any, **kwargs: Any) -> Field:
    return all_of(x, _dims(x, dim))


@field_rule("layer_norm", "rms_norm")
def _layer_norm(call: Call, x, normalized_shape, *args: Any, **kwargs: Any) -> Field:
    return all_of(x, range(x.ndim - len(normalized_shape), x.ndim))


@field_rule("group_norm")
def _group_norm(call: Call, x, num_groups, *args: Any, **kwargs: Any) -> Field:
    """Each unit sees all maps of its group, all over."""
    seen = reduce(x, range(2, x.ndim), keepdim=True, mixes_one=False)
    return merge([x, mix(seen, 1, x.shape[1], num_groups)])


@field_rule("instance_norm")
def _instance_norm(
    call: Call, x, mean=None, var=None, weight=None, bias=None, use_input_stats=True, *args, **kwargs
) -> Field:
    return all_of(x, range(2, x.ndim)) if use_input_stats else x


@field_rule("glu")
def _glu(call: Call, x, dim=-1) -> Field:
    half = x.shape[dim] // 2
    return merge([take(x, dim, range(half), 1), take(x, dim, range(half, 2 * half), 1)])


# --- shape


@field_rule(
    "view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "view_as", "reshape_as", "ravel"
)
def _reshape(call: Call, x, *args: Any, **kwargs: Any) -> Field:
    if call.name in ("unsqueeze",):
        dim = kwargs.get("dim", args[0] if args else None)
        return insert(x, dim % (x.ndim + 1))
    return reshape(x, call.shape)


@field_rule("permute")
def _permute(call: Call, x, *dims: Any, **kwargs: Any) -> Field:
    dims = kwargs.get("dims", dims)
    return permute(x, dims[0] if len(dims) == 1 and not isinstance(dims[0], int) else dims)


@field_rule("transpose", "swapaxes", "swapdims")
def _transpose(call: Call, x, *args: Any, **kwargs: Any) -> Field:
    order = list(range(x.ndim))
    a, b = (*args, *kwargs.values())
    order[a], order[b] = order[b], order[a]
    return permute(x, order)


@field_rule("t", "T", "mT", "H", "mH", "adjoint")
def _turned(call: Call, x) -> Field:
    last = (x.ndim - 1, x.ndim - 2) if call.name in ("mT", "mH", "adjoint") else range(x.ndim - 1, -1, -1)
    return permute(x, [*range(x.ndim - len(last)), *last])


@field_rule("movedim", "moveaxis")
def _movedim(call: Call, x, source, destination) -> Field:
    moved = dict(zip(_dims(x, destination), _dims(x, source), strict=True))
    moved = {x.position(to): x.position(start) for to, start in moved.items()}
    rest = iter(dim for dim in range(x.ndim) if dim not in moved.values())
    return permute(x, [moved[dim] if dim in moved else next(rest) for dim in range(x.ndim)])


@field_rule("expand", "expand_as", "broadcast_to")
def _expand(call: Call, x, *args: Any, **kwargs: Any) -> Field:
    return expand(x, call.shape)


@field_rule("repeat", "tile")
def _repeat(call: Call, x, *args: Any, **kwargs: Any) -> Field:
    while x.ndim < len(call.shape):
        x = insert(x, 0)
    for dim, new in enumerate(call.shape):
        old = x.shape[dim]
        if old == 1 < new:
            x = expand_dim(x, dim, new)
        elif new != old:
            x = take(x, dim, np.arange(new) % old)
    return x


@field_rule("repeat_interleave")
def _repeat_interleave(call: Call, x, repeats, dim=None, **kwargs) -> Field:
    if not isinstance(repeats, int) or dim is None:
        raise NoRule("repeat_interleave without a dimension, or with different numbers of repeats")
    return resample(x, dim, call.shape[dim], lambda o: (o[:, None] // repeats, None), Fraction(1, repeats))


@field_rule("chunk", "split", "split_with_sizes", "tensor_split", "unsafe_chunk", "unsafe_split")
def _split(call: Call, x, *args: Any, **kwargs: Any) -> list[Field]:
    """The dimension is the one that the parts do not fill."""
    dim = kwargs.get("dim", args[1] if len(args) > 1 else 0)
    start, parts = 0, []
    for shape in call.shapes:
        parts.append(take(x, dim, range(start, start + shape[dim]), 1))
        start += shape[dim]
    return parts


@field_rule("unbind")
def _unbind(call: Call, x, dim=0) -> list[Field]:
    return [reshape(take(x, dim, [i], 1), shape) for i, shape in enumerate(call.shapes)]


@field_rule("narrow")
def _narrow(call: Call, x, dim, start, length) -> Field:
    return take(x, dim, range(start % x.shape[dim], start % x.shape[dim] + length), 1)


@field_rule("select")
def _select(call: Call, x, dim, index) -> Field:
    return reshape(take(x, dim, [index % x.shape[dim]], 1), call.shape)


@field_rule("__getitem__")
def _getitem(call: Call, x, index) -> Field:
    """Slices (with strides), numbers, ``None`` and ``...``; lists of channels only if all see the same."""
    parts = list(index) if isinstance(index, tuple) else [index]
    given = sum(part is not None and part is not Ellipsis for part in parts)
    full = [slice(None)] * (x.ndim - given)
    at = next((i for i, part in enumerate(parts) if part is Ellipsis), len(parts))
    parts = [*parts[:at], *full, *parts[at + 1 :]]
    dim = 0
    for part in parts:
        if part is None:
            x = insert(x, dim)
            dim += 1
        elif isinstance(part, slice):
            start, stop, step = part.indices(x.shape[dim])
            if (start, stop, step) != (0, x.shape[dim], 1):
                x = take(x, dim, range(start, stop, step), step)
            dim += 1
        elif isinstance(part, int) and not isinstance(part, bool):
            x = take(x, dim, [part % x.shape[dim]], 1)
            x = reduce(x, [dim], keepdim=False, mixes_one=False)
        elif isinstance(part, list) and all(isinstance(place, int) for place in part):
            if sum(isinstance(other, list) for other in parts) > 1:
                raise NoRule(f"indexing with several lists: {index!r}")
            x = take(x, dim, [place % x.shape[dim] for place in part])
            dim += 1
        else:
            raise NoRule(f"indexing with {type(part).__name__}")
    return x


@field_rule("cat", "concat", "concatenate")
def _cat(call: Call, tensors, dim=0, **kwargs) -> Field:
    dim = kwargs.get("axis", dim)
    present = [tensor for tensor in tensors if 0 not in tensor.shape]
    if len(present) == 1:
        return present[0]
    sizes = [tensor.shape[dim] for tensor in present]
    return concatenate([t if isinstance(t, Field) else None for t in present], sizes, dim)


@field_rule("stack")
def _stack(call: Call, tensors, dim=0) -> Field:
    dim = dim % len(call.shape)
    parts = [insert(tensor, dim) if isinstance(tensor, Field) else None for tensor in tensors]
    return concatenate(parts, [1] * len(parts), dim)


@field_rule("roll")
def _roll(call: Call, x, shifts, dims=None) -> Field:
    """A shift, and at the border the other end (which counts as padding all the same)."""
    if dims is None:
        raise NoRule("roll without dims")
    for shift, dim in zip(_each(shifts, 1), _dims(x, dims), strict=True):
        n = x.shape[dim]

        def moved(o: np.ndarray, shift=shift) -> tuple[np.ndarray, None]:
            return o[:, None] - shift, None

        x = resample(x, dim, n, moved, 1, lambda places, n=n: places % n)
    return x


@field_rule("pixel_shuffle")
def _pixel_shuffle(call: Call, x, upscale_factor) -> Field:
    r = upscale_factor
    *batch, channels, height, width = x.shape
    n = len(batch)
    x = reshape(x, (*batch, channels // r**2, r, r, height, width))
    x = permute(x, [*range(n), n, n + 3, n + 1, n + 4, n + 2])
    return reshape(x, call.shape)


@field_rule("pixel_unshuffle")
def _pixel_unshuffle(call: Call, x, downscale_factor) -> Field:
    r = downscale_factor
    *batch, channels, height, width = x.shape
    n = len(batch)
    x = reshape(x, (*batch, channels, height // r, r, width // r, r))
    x = permute(x, [*range(n), n, n + 2, n + 4, n + 1, n + 3])
    return reshape(x, call.shape)


@field_rule("channel_shuffle", "native_channel_shuffle")
def _channel_shuffle(call: Call, x, groups) -> Field:
    shape = x.shape
    x = reshape(x, (shape[0], groups, shape[1] // groups, *shape[2:]))
    x = permute(x, [0, 2, 1, *range(3, x.ndim)])
    return reshape(x, shape)
