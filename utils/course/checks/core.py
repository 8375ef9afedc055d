"""What the checks of all labs share: run the student's function, compare, and say what was expected, what came, where to look."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

Slips = Iterator[tuple[str, Tensor]]  # where to look, and what somebody gets who should look there
SHOWN_VALUES = 6  # a message shows at most this many numbers of a tensor


class CheckFailed(AssertionError):
    """An exercise is not solved yet; the message says what was expected, what came and what to look at."""

    def _render_traceback_(self) -> list[str]:
        """In a notebook the message stands alone: the frames of the check would only bury it."""
        return [f"✗ {self}"]


def call(function: Callable, *arguments: Any, **keywords: Any) -> Any:
    """``function(*arguments)``, with an exception of the student's code turned into a ``CheckFailed`` that names it.

    Tensors are handed over as copies, so that a function which writes into its input is found out by ``expect_close``
    on the original and cannot spoil the check.
    """
    name = getattr(function, "__name__", "the function")
    copies = [a.clone() if isinstance(a, Tensor) else a for a in arguments]
    try:
        result = function(*copies, **keywords)
    except NotImplementedError as error:
        raise CheckFailed(
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


def expect_equal(got: Any, want: Any, *, what: str, look_at: str) -> None:
    """Raise ``CheckFailed`` unless ``got == want``; ``what`` names the quantity, ``look_at`` says what to look at."""
    if got != want:
        raise CheckFailed(f"{what}: expected {want!r}, got {got!r}.\nLook at: {look_at}")


def expect_close(
    got: Any, want: Tensor, *, what: str, look_at: str, atol: float = 1e-5, rtol: float = 1e-4
) -> None:
    """Raise ``CheckFailed`` unless ``got`` is a tensor of ``want``'s shape whose values agree within the tolerances."""
    if not isinstance(got, Tensor):
        raise CheckFailed(
            f"{what}: expected a tensor of shape {tuple(want.shape)}, got {type(got).__name__}.\nLook at: {look_at}"
        )
    if got.shape != want.shape:
        raise CheckFailed(
            f"{what}: expected shape {tuple(want.shape)}, got {tuple(got.shape)}.\nLook at: {look_at}"
        )
    got = got.detach().to(want.dtype)
    wrong = ~torch.isclose(got, want, atol=atol, rtol=rtol)
    if not wrong.any():
        return
    first = tuple(int(i) for i in wrong.nonzero()[0])
    place = f" (first at index {first if len(first) != 1 else first[0]})" if first else ""
    raise CheckFailed(
        f"{what}: {int(wrong.sum())} of {want.numel()} values differ{place}.\n"
        f"expected {_values(want)}\ngot      {_values(got)}\nLook at: {look_at}"
    )


def passed(name: str, details: str) -> None:
    """Print the line that tells the student that the exercise is solved, and on what that rests."""
    print(f"✓ {name}: {details}")


def _arguments(arguments: tuple, keywords: dict) -> str:
    shown = [_short(a) for a in arguments] + [f"{k}={_short(v)}" for k, v in keywords.items()]
    return ", ".join(shown)


def _short(value: Any) -> str:
    return f"tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else repr(value)


def _values(tensor: Tensor) -> str:
    flat = tensor.detach().flatten()
    shown = ", ".join(f"{v:.4g}" for v in flat[:SHOWN_VALUES].tolist())
    return f"[{shown}{', …' if flat.numel() > SHOWN_VALUES else ''}]"


def hint_for(got: Any, slips: Slips, otherwise: str) -> str:
    """Where to look: the hint of the first slip that gives what came, or ``otherwise``."""
    if not isinstance(got, Tensor):
        return otherwise
    got = got.detach()
    for text, slip in slips:
        if slip.shape == got.shape and torch.allclose(got.to(slip.dtype), slip, atol=1e-5, rtol=1e-4):
            return text
    return otherwise
