"""What the queue has to do: each run of the order with its state, and which one comes next."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from utils.experiments import records
from utils.experiments.catalogue.order import Run
from utils.experiments.queue.estimates import Estimate


class State(Enum):
    """How far a run is."""

    DONE = "done"
    RUNNING = "running"
    DUE = "due"
    NO_DATA = "needs data"


def states_of(
    runs: Iterable[Run], results: Path, has_data: Callable[[str], bool], running: Iterable[tuple] = ()
) -> dict[Run, State]:
    """The state of each run; those whose keys are among ``running`` are at work."""
    active = {tuple(key) for key in running}
    found = {}
    for run in runs:
        if record_of(run, results).exists():
            found[run] = State.DONE
        elif run.key in active:
            found[run] = State.RUNNING
        else:
            found[run] = State.DUE if has_data(run.dataset) else State.NO_DATA
    return found


def record_of(run: Run, results: Path) -> Path:
    """Where the record of a run lies."""
    return records.path_of(run.experiment.id, run.configuration.label, run.seed, run.profile, results)


@dataclass(frozen=True)
class Candidate:
    """A run that could be started. ``estimate`` is None where nothing is known of how long it takes."""

    run: Run
    estimate: Estimate | None
    resumable: bool = True


def next_of(candidates: Sequence[Candidate], left: float | None, across: bool = False) -> Run | None:
    """The first run that fits into the seconds that are ``left`` (None: no limit); None if none does.

    A run of which nothing is known is started. ``across``: a run need not end in time, if it can go on
    another day and an epoch of it fits.
    """
    for candidate in candidates:
        known = candidate.estimate
        if left is None or known is None or known.seconds <= left:
            return candidate.run
        if across and candidate.resumable and known.epoch < left:
            return candidate.run
    return None


def is_resumable(run: Run) -> bool:
    """Whether a run that is stopped can go on: what probes have measured so far is in no checkpoint."""
    return not run.configuration.fit_options.get("probes")


def hours_left(estimates: Iterable[Estimate | None], workers: int) -> tuple[float, bool] | None:
    """Hours until all of these are done by so many workers, and whether that is rough.

    It is rough if some are not known, or not measured; None if there are some, and none is known.
    """
    found = list(estimates)
    if found and not any(found):
        return None
    seconds = [one.seconds for one in found if one is not None]
    rough = any(one is None or one.rough for one in found)
    return max(sum(seconds) / max(1, workers), max(seconds, default=0.0)) / 3600, rough
