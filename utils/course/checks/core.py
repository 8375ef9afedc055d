"""What the checks of all labs share: run the student's function, compare, and word a failure in one way.

A failure says what was checked, what was expected, what came and what to look at (:func:`fail`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from inspect import signature
from math import isclose, isnan
from numbers import Integral, Real
from typing import Any, NoReturn

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

Slips = Iterable[tuple[str, Any]]  # where to look, and what somebody gets who should look there
SHOWN_VALUES = 6  # a message shows at most this many numbers of a tensor
ONE_LINE = 100  # in a longer message what was expected and what came stand below each other
COUNTED = {2: "two", 3: "three", 4: "four"}

# what an exercise asks to be written by hand
CONVOLUTIONS = {torch.conv1d, torch.conv2d, torch.conv3d, torch.convolution, F.unfold}
CONVOLUTIONS |= {torch.conv_transpose1d, torch.conv_transpose2d, torch.conv_transpose3d}


class CheckFailed(AssertionError):
    """An exercise is not solved yet; the message says what was expected, what came and what to look at."""

    def _render_traceback_(self) -> list[str]:
        """In a notebook the message stands alone: the frames of the check would only bury it."""
        return [f"✗ {self}"]


class NotWritten(CheckFailed):
    """The exercise has not been begun: its line that raises ``NotImplementedError`` is still there."""


def fail(what: str, want: str, got: str, look_at: str) -> NoReturn:
    """Raise ``CheckFailed``, worded as everywhere: what was checked, expected, what came, what to look at."""
    message = f"{what}: expected {want}, got {got}."
    if len(message) > ONE_LINE:
        message = f"{what}:\nexpected {want}\ngot      {got}"
    raise CheckFailed(f"{message}\nLook at: {look_at}")


def passed(name: str, details: str) -> None:
    """Print the line that tells the student that the exercise is solved, and on what that rests."""
    print(f"✓ {name}: {details}")


def call(function: Callable, *arguments: Any, **keywords: Any) -> Any:
    """``function(*arguments)``; an exception of the student's code becomes a ``CheckFailed`` that names it.

    Tensors are handed over as copies, so that a function which writes into its input is found out by
    ``expect_close`` on the original and cannot spoil the check.
    """
    return _called(function, _copies(arguments), keywords)


def call_unchanging(function: Callable, *arguments: Any) -> Any:
    """``call``, which fails if the function writes into a tensor that it was given.

    For functions whose arguments the page goes on to use: there a changed one would spoil what follows.
    """
    copies = _copies(arguments)
    result = _called(function, copies, {})
    names = [*signature(function).parameters]
    for name, before, now in zip(names, arguments, copies, strict=False):
        if isinstance(before, Tensor) and not torch.equal(before, now):
            what = f"{getattr(function, '__name__', 'the function')}({_arguments(arguments, {})})"
            look_at = (
                f"{name} = {name} … in place of {name} -= …, {name} *= … and the like, which write into it."
            )
            fail(what, f"{name} as it was given", "another one afterwards", look_at)
    return result


def _copies(arguments: Sequence[Any]) -> list[Any]:
    return [a.clone() if isinstance(a, Tensor) else a for a in arguments]


def _called(function: Callable, arguments: Sequence[Any], keywords: Mapping[str, Any]) -> Any:
    name = getattr(function, "__name__", "the function")
    try:
        result = function(*arguments, **keywords)
    except NotImplementedError as error:
        raise NotWritten(
            f"{name} is not written yet: replace the line that raises NotImplementedError."
        ) from error
    except CheckFailed:
        raise
    except Exception as error:
        raise CheckFailed(
            f"{name}({_arguments(arguments, keywords)}) stopped with {type(error).__name__}: {error}"
        ) from error
    if result is None:
        raise CheckFailed(
            f"{name}({_arguments(arguments, keywords)}) returned None: is there a return statement?"
        )
    return result


def use(function: Callable, exercises: Mapping[str, tuple[Callable, Callable]]) -> Callable:
    """The student's function if it is right; if it is not written yet the package's own, with a line on it.

    ``exercises``: name of the function → its check, and what the page goes on with. So a page runs to its end
    before anything is written. A wrong function raises ``CheckFailed`` as its check does; ``ValueError`` for
    the name of no exercise.
    """
    name = getattr(function, "__name__", repr(function))
    if name not in exercises:
        raise ValueError(f"no exercise is named {name!r}; there are {', '.join(exercises)}")
    check, own = exercises[name]
    try:
        check(function)
    except NotWritten:
        print(f"○ {name}: not written yet. Until it is, the page goes on with the package's own.")
        return own
    return function


def call_with_originals(function: Callable, *arguments: Any) -> Any:
    """``call`` with the arguments themselves in place of copies, to see whether the function changes them."""
    return call(wraps(function)(lambda: function(*arguments)))


def call_without_convolutions(function: Callable, *arguments: Any, **keywords: Any) -> Any:
    """``call``, which fails if the function uses a convolution of torch: it is to be written by hand."""
    with _Watch(CONVOLUTIONS) as watch:
        result = call(function, *arguments, **keywords)
    if watch.used:
        raise CheckFailed(
            f"{function.__name__} calls {watch.used[0]}: here you write by hand what that function does.\n"
            "Look at: the text of the exercise, which says what is not allowed."
        )
    return result


class _Watch(TorchFunctionMode):
    """Notes the names of the forbidden torch functions that are called while it is active."""

    def __init__(self, forbidden: set[Callable]) -> None:
        super().__init__()
        self.forbidden = forbidden
        self.used: list[str] = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in self.forbidden:
            self.used.append(f"F.{func.__name__}")
        return func(*args, **(kwargs or {}))


def expect_equal(got: Any, want: Any, *, what: str, look_at: str) -> None:
    """Raise ``CheckFailed`` unless ``got == want``."""
    if got != want:
        fail(what, repr(want), repr(got), look_at)


def expect_number(
    got: float, want: float, *, what: str, look_at: str, rtol: float = 1e-4, atol: float = 1e-9
) -> None:
    """Raise ``CheckFailed`` unless the two numbers agree within the tolerances."""
    if not isclose(got, want, rel_tol=rtol, abs_tol=atol):
        fail(what, f"{want:.6g}", f"{got:.6g}", look_at)


def expect_shape(got: Any, shape: Sequence[int], *, what: str, look_at: str) -> None:
    """Raise ``CheckFailed`` unless ``got`` is a tensor of this shape."""
    if not isinstance(got, Tensor):
        fail(what, f"a tensor of shape {tuple(shape)}", kind_of(got), look_at)
    if got.shape != tuple(shape):
        fail(what, f"shape {tuple(shape)}", f"{tuple(got.shape)}", look_at)


def expect_close(
    got: Any, want: Tensor, *, what: str, look_at: str, atol: float = 1e-5, rtol: float = 1e-4
) -> None:
    """Raise ``CheckFailed`` unless ``got`` is a tensor with ``want``'s shape and, nearly, its values."""
    expect_shape(got, want.shape, what=what, look_at=look_at)
    got = got.detach().to(want.dtype)
    wrong = ~torch.isclose(got, want, atol=atol, rtol=rtol)
    if not wrong.any():
        return
    first = tuple(int(i) for i in wrong.nonzero()[0])
    place = f" (first at index {first if len(first) != 1 else first[0]})" if first else ""
    number = f"{int(wrong.sum())} of {want.numel()} values differ{place}"
    fail(f"{what}, {number}", _values(want), _values(got), look_at)


def number_of(value: Any, what: str) -> int | float:
    """The one number that ``value`` is, of Python or numpy, or that a tensor or array holds."""
    if isinstance(value, (Tensor, np.ndarray, np.generic)) and np.prod(value.shape) == 1:
        value = value.item()
    if not isinstance(value, Real):
        fail(what, "one number", kind_of(value), "the return value.")
    return value


def numbers_of(value: Any, count: int, what: str, look_at: str = "the return value.") -> list[float]:
    """The ``count`` numbers of a list, a tuple, or a tensor or array with one dimension, as floats."""
    row = value.tolist() if isinstance(value, (Tensor, np.ndarray)) else value
    if isinstance(row, (list, tuple)):
        row = [one.item() if isinstance(one, (Tensor, np.ndarray)) and one.ndim == 0 else one for one in row]
    if not isinstance(row, list) or not all(isinstance(entry, Real) for entry in row):
        fail(what, f"a list of {count} numbers", kind_of(value), look_at)
    if len(row) != count:
        fail(what, f"{count} numbers", str(len(row)), look_at)
    return [float(entry) for entry in row]


def parts_of(value: Any, names: Sequence[str], what: str, *, of: str = "values") -> Sequence[Any]:
    """The results of a function that returns several; the message calls them ``names``, ``of`` which kind."""
    if not isinstance(value, (tuple, list)) or len(value) != len(names):
        wanted = f"{COUNTED[len(names)]} {of} ({', '.join(names)})"
        fail(what, wanted, kind_of(value), f"the return statement: return {', '.join(names)}.")
    return value


def listed(value: Any) -> Any:
    """A tensor, an array, a tuple, a range or any other row of values as a list, all else as it is."""
    if isinstance(value, (Tensor, np.ndarray)):
        return value.tolist()
    return list(value) if isinstance(value, Iterable) and not isinstance(value, (str, dict)) else value


def hint_for(got: Any, slips: Slips, otherwise: str, *, atol: float = 1e-5, rtol: float = 1e-4) -> str:
    """Where to look: the hint of the first slip that gives what came, or ``otherwise``.

    A slip is a tensor, a number, or a list or tuple of them. Whole numbers must be equal, others agree within
    the tolerances; nan agrees with nan.
    """
    return next((text for text, slip in slips if _agree(got, slip, atol, rtol)), otherwise)


def _agree(got: Any, slip: Any, atol: float, rtol: float) -> bool:
    if isinstance(slip, (list, tuple)):
        return (
            isinstance(got, (list, tuple))
            and len(got) == len(slip)
            and all(_agree(one, other, atol, rtol) for one, other in zip(got, slip, strict=True))
        )
    if isinstance(got, Tensor) and isinstance(slip, Tensor):
        return got.shape == slip.shape and torch.allclose(
            got.detach().double(), slip.detach().double(), atol=atol, rtol=rtol, equal_nan=True
        )
    if isinstance(slip, Tensor) and slip.ndim == 0:
        slip = slip.item()
    if not isinstance(got, Real) or not isinstance(slip, Real):
        return False
    if isinstance(slip, Integral):
        return got == slip
    return isclose(got, slip, rel_tol=rtol, abs_tol=atol) or (isnan(got) and isnan(slip))


def kind_of(value: Any) -> str:
    """What ``value`` is, in a message: its type, and the shape or length if it has one."""
    if isinstance(value, (Tensor, np.ndarray)):
        kind = "tensor" if isinstance(value, Tensor) else "numpy array"
        return f"a {kind} of shape {tuple(value.shape)}"
    name = type(value).__name__
    if isinstance(value, str):
        return f"{name} {value[:20]!r}"
    return f"{name} of length {len(value)}" if isinstance(value, (list, tuple, dict)) else name


def _arguments(arguments: Sequence[Any], keywords: Mapping[str, Any]) -> str:
    shown = [_short(a) for a in arguments] + [f"{k}={_short(v)}" for k, v in keywords.items()]
    return ", ".join(shown)


def _short(value: Any) -> str:
    return f"tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else repr(value)


def _values(tensor: Tensor) -> str:
    flat = tensor.detach().flatten()
    shown = ", ".join(f"{v:.4g}" for v in flat[:SHOWN_VALUES].tolist())
    return f"[{shown}{', …' if flat.numel() > SHOWN_VALUES else ''}]"
