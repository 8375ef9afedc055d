"""The state of the queue in words: one line while it works, a short table for ``--status``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from utils.experiments.catalogue.order import Run
from utils.experiments.queue.estimates import Estimate
from utils.experiments.queue.plan import State, hours_left

MOST_TIERS, MOST_RUNNING = 12, 8  # lines of the table


@dataclass(frozen=True)
class Active:
    """A run at work: epochs done and in all, over its stages, and what is left of it."""

    run: Run
    epoch: int
    epochs: int
    estimate: Estimate | None
    measuring: bool = False

    def text(self) -> str:
        """``vgg-batchnorm plain-0.001 seed 0: epoch 7/20, 29 min left``."""
        if self.measuring:
            return f"{self.run.title}: measuring its speed"
        left = f", {duration(self.estimate.seconds, self.estimate.rough)} left" if self.estimate else ""
        return f"{self.run.title}: epoch {min(self.epoch + 1, self.epochs)}/{self.epochs}{left}"


def duration(seconds: float, rough: bool = False) -> str:
    """Minutes, or hours from an hour and a half on: ``29 min``, ``1.6 h``, and ``≈ 29 min`` if rough."""
    text = f"{seconds / 3600:.1f} h" if seconds >= 5400 else f"{max(1, round(seconds / 60))} min"
    return f"≈ {text}" if rough else text


def counted(number: int) -> str:
    """``1 run``, ``2 runs``."""
    return f"{number} run{'' if number == 1 else 's'}"


def line(active: Sequence[Active], done: int, due: int, failed: int, left: tuple[float, bool] | None) -> str:
    """The one line of progress: what runs, how many are done and due, about how long it all takes."""
    at_work = f" ({'; '.join(one.text() for one in active)})" if active else ""
    parts = [f"{len(active)} running{at_work}", f"{done} done", f"{due} due"]
    if failed:
        parts.append(f"{failed} failed")
    if left is not None:
        parts.append(duration(3600 * left[0], left[1]) if left[1] else f"about {duration(3600 * left[0])}")
    return " · ".join(parts)


def shortened(text: str, width: int) -> str:
    """The text on one line of a terminal of that width."""
    return text if len(text) < width else text[: max(0, width - 2)] + "…"


def table(
    states: Mapping[Run, State],
    estimates: Mapping[Run, Estimate | None],
    active: Sequence[Active],
    workers: int,
    pid: int | None,
) -> str:
    """At most about 25 lines: each tier, what runs, then the totals."""
    tiers: dict[int, list[Run]] = {}
    for run in states:
        tiers.setdefault(run.tier, []).append(run)
    lines = []
    for tier in sorted(tiers)[:MOST_TIERS]:
        runs = tiers[tier]
        named = ", ".join(dict.fromkeys(run.experiment.id for run in runs))
        left = _time(runs, states, estimates, workers)
        lines.append(f"tier {tier}: {_counts(runs, states)}{left}   {shortened(named, 60)}")
    if len(tiers) > MOST_TIERS:
        lines.append(f"and {len(tiers) - MOST_TIERS} more tiers")
    lines += [f"running: {one.text()}" for one in active[:MOST_RUNNING]]
    if len(active) > MOST_RUNNING:
        lines.append(f"and {len(active) - MOST_RUNNING} more")
    lines.append(f"a queue is at work (process {pid})" if pid else "no queue is at work")
    lines.append(f"total: {_counts(list(states), states)}{_time(list(states), states, estimates, workers)}")
    return "\n".join(lines)


def _counts(runs: Sequence[Run], states: Mapping[Run, State]) -> str:
    counted = Counter(states[run] for run in runs)
    return ", ".join(
        f"{counted[state]} {state.value}"
        for state in State
        if counted[state] or state in (State.DONE, State.DUE)
    )


def _time(
    runs: Sequence[Run], states: Mapping[Run, State], estimates: Mapping[Run, Estimate | None], workers: int
) -> str:
    """What is left of these, and how many of them nobody has measured."""
    open_runs = [run for run in runs if states[run] in (State.DUE, State.RUNNING)]
    if not open_runs:
        return ""
    known = [estimates.get(run) for run in open_runs]
    unknown = sum(one is None for one in known)
    left = hours_left([one for one in known if one is not None] or known, workers)
    if left is None:
        return "; not measured yet"
    hours, rough = left
    cores = "one core" if workers == 1 else f"{workers} cores"
    rest = f", {unknown} not measured yet" if unknown else ""
    return f"; {'≈ ' if rough else ''}{hours:.1f} h on {cores}{rest}"
