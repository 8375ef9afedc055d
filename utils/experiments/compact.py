"""A history as it is kept in a record: losses of single steps rounded, repeated learning rates left out."""

from __future__ import annotations

from typing import Any

LOSS_DIGITS, RATE_DIGITS = 4, 6  # significant digits


def rounded(value: float, digits: int) -> float:
    """The value to so many significant digits."""
    return float(f"{value:.{digits}g}")


def compacted(history: dict[str, Any]) -> dict[str, Any]:
    """The history as it is recorded; figures of epochs stay as they are.

    ``step_loss`` has 4 significant digits, ``step_lr`` 6. Where every step of an epoch has the learning rate
    ``lr`` of the epoch, ``step_lr`` is empty; :func:`restored` brings it back.
    """
    losses, rates = history.get("step_loss", []), history.get("step_lr", [])
    repeated = bool(rates) and _repeated(history["lr"], len(rates)) == rates
    kept = [] if repeated else [rounded(rate, RATE_DIGITS) for rate in rates]
    return {**history, "step_loss": [rounded(loss, LOSS_DIGITS) for loss in losses], "step_lr": kept}


def restored(history: dict[str, Any]) -> dict[str, Any]:
    """The recorded history with the learning rate of every step, where losses of steps were recorded."""
    losses = history.get("step_loss", [])
    if not losses or history.get("step_lr"):
        return history
    return {**history, "step_lr": _repeated(history["lr"], len(losses))}


def _repeated(rates: list[float], steps: int) -> list[float]:
    """The rate of each epoch once for each of its steps; empty if the steps are no whole number of epochs."""
    if not rates or steps % len(rates):
        return []
    return [rate for rate in rates for _ in range(steps // len(rates))]
