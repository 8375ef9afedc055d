"""The band between the lowest and the highest loss of several runs, step by step.

Runs that differ in the learning rate walk through different parts of the landscape. The width of the band
says how much the choice matters at a step. (Santurkar et al. 2018, arXiv 1805.11604, draw another band: of
the loss along the gradient of one network, see :class:`utils.analysis.landscape.GradientProbe`.) It is a
statement about the trainings that were run, and about the landscape only as far as these saw it: more runs
can only widen it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

UNEVEN = ("raise", "cut", "drop")


@dataclass(frozen=True, eq=False)
class LossBands:
    """The values of R runs at T recorded steps, and the band they span.

    ``labels``: one for each run. ``steps``: ``[T]`` int, numbers of the steps. ``values``: ``[R, T]``
    float64, all finite. ``left_out``: label → reason, for runs that were dropped. A slice of bands is the
    bands of these recorded steps: ``bands[-391:].mean_width`` is the mean width over the last 391.
    """

    labels: tuple[str, ...]
    steps: np.ndarray
    values: np.ndarray
    left_out: Mapping[str, str]

    @property
    def lower(self) -> np.ndarray:
        """``[T]``: the smallest value of any run at each step."""
        return self.values.min(axis=0)

    @property
    def upper(self) -> np.ndarray:
        """``[T]``: the largest."""
        return self.values.max(axis=0)

    @property
    def width(self) -> np.ndarray:
        """``[T]``: upper − lower."""
        return self.upper - self.lower

    @property
    def mean_width(self) -> float:
        """The mean of ``width`` over the steps."""
        return float(self.width.mean())

    def __len__(self) -> int:
        """Number of recorded steps."""
        return len(self.steps)

    def __getitem__(self, part: slice) -> LossBands:
        if not isinstance(part, slice):
            raise ValueError(f"bands are cut with a slice of steps, such as bands[-100:], got {part!r}")
        steps = self.steps[part]
        if not len(steps):
            raise ValueError(f"no step is left: bands of {len(self)} recorded steps were cut with {part}")
        return replace(self, steps=steps, values=self.values[:, part])


def loss_bands(
    histories: Mapping[str, Any] | Sequence[Any], *, uneven: str = "raise", steps: Sequence[int] | None = None
) -> LossBands:
    """The band over runs that differ in learning rate, and in seed.

    histories: label → run, or a sequence of runs (labeled "run 1", …); at least two. A run is a ``History``
    with ``step_loss`` (``fit(record_steps=True)``), or numbers ``[T]``: losses of every step, or any other
    quantity recorded at the same steps of each run, as ``GradientRecord.smoothness``. steps: their numbers,
    default 0, 1, …

    A run counts up to its last step before the first value that is not finite. Where that differs between
    runs (one diverged, or was stopped), ``uneven`` decides: "raise" names the run; "cut" ends the band where
    the first run ends; "drop" leaves out every run that does not reach the end of the longest, and lists it
    in ``left_out``.

    Raises ``ValueError`` for fewer than two runs, before or after dropping, and for a run without any value.
    """
    if uneven not in UNEVEN:
        raise ValueError(f"uneven is one of {', '.join(UNEVEN)}, got {uneven!r}")
    runs = _labeled(histories)
    longest = max(len(values) for values in runs.values())
    usable = {label: _finite_start(values) for label, values in runs.items()}
    reasons = {label: _reason(runs[label], end, longest) for label, end in usable.items() if end < longest}
    if reasons and uneven == "raise":
        label, reason = next(iter(reasons.items()))
        raise ValueError(
            f"run {label!r} {reason}; say uneven='cut' to end the band there, "
            "or uneven='drop' to leave such runs out"
        )
    kept = [label for label in runs if uneven != "drop" or label not in reasons]
    if len(kept) < 2:
        told = "; ".join(f"{label!r} {reason}" for label, reason in reasons.items())
        raise ValueError(f"a band needs two runs, and {len(kept)} reached the end: {told}")
    end = min(usable[label] for label in kept)
    if end == 0:
        label = next(label for label in kept if usable[label] == 0)
        raise ValueError(f"run {label!r} {reasons.get(label, 'has no values')}: no step is left for the band")
    places = np.arange(longest) if steps is None else np.asarray(steps, dtype=np.int64)
    if places.shape != (longest,):
        raise ValueError(f"{places.size} steps were given for runs of {longest} values")
    left_out = reasons if uneven == "drop" else {}
    return LossBands(tuple(kept), places[:end], np.stack([runs[label][:end] for label in kept]), left_out)


def _labeled(histories: Mapping[str, Any] | Sequence[Any]) -> dict[str, np.ndarray]:
    """label → float64 [T]."""
    if not isinstance(histories, Mapping):
        histories = {f"run {place}": run for place, run in enumerate(histories, start=1)}
    if len(histories) < 2:
        raise ValueError(f"a band needs at least two runs, got {len(histories)}")
    runs = {}
    for label, run in histories.items():
        recorded = getattr(run, "step_loss", run)
        values = np.asarray(recorded, dtype=np.float64)
        if values.ndim != 1:
            raise ValueError(f"run {label!r} must be a list of numbers, got an array of shape {values.shape}")
        if not len(values):
            hint = ": was it trained with record_steps=True?" if recorded is not run else ""
            raise ValueError(f"run {label!r} has no recorded steps{hint}")
        runs[str(label)] = values
    return runs


def _finite_start(values: np.ndarray) -> int:
    """How many values stand before the first that is not finite."""
    bad = np.flatnonzero(~np.isfinite(values))
    return int(bad[0]) if len(bad) else len(values)


def _reason(values: np.ndarray, end: int, longest: int) -> str:
    if end < len(values):
        return f"is {values[end]} at its recorded step {end} (counted from 0)"
    return f"has {len(values)} recorded steps, the longest run has {longest}"
