"""How long each run takes: measured speeds, what checkpoints and records add to them, and guesses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from utils.experiments import records
from utils.experiments.catalogue.order import Run
from utils.experiments.queue.costs import Costs
from utils.experiments.queue.estimates import Estimate, Speed, Stage, corrected, estimate, guessed
from utils.experiments.queue.plan import record_of
from utils.experiments.queue.progress import histories_of
from utils.experiments.queue.speeds import Speeds, shape_of
from utils.experiments.queue.status import Active
from utils.training.history import History


class Forecast:
    """Estimates of runs on one machine, better with every epoch that is done."""

    def __init__(self, results: Path, speeds: Speeds, costs: Costs) -> None:
        self.results, self.speeds, self.costs = results, speeds, costs

    def is_measured(self, run: Run) -> bool:
        """Whether the speed of the run's group was measured with the present code."""
        return self.speeds.is_fresh(run)

    def of(self, run: Run) -> Estimate | None:
        """What is left of a run; from its multiply-adds and marked rough where its group was not measured.

        None if nothing is known. Where it has begun, its own epochs say how fast it is.
        """
        histories = histories_of(record_of(run, self.results))
        done = [len(history) for history in histories]
        measured = self.speeds.of(run)
        speed = measured or self._guess(run) or (self._blank(run) if histories else None)
        if speed is None:
            return None
        own = corrected(speed, histories, speed.images.within(run.budget))
        return estimate(run, own, done, rough=measured is None and not histories)

    def active(self, run: Run, measuring: bool = False) -> Active:
        """A run at work, for the line of progress."""
        histories = histories_of(record_of(run, self.results))
        speed = self.speeds.of(run)
        shares = [stage.share for stage in speed.stages] if speed else [1.0]
        epochs = sum(max(1, round(share * run.budget.epochs)) for share in shares)
        return Active(run, sum(map(len, histories)), epochs, self.of(run), measuring)

    def learn(self, run: Run, speed: Speed) -> None:
        """Keep a measured speed."""
        self.speeds.learn(run, speed)

    def learn_from_checkpoint(self, run: Run) -> None:
        """Correct the speed of a run's group by the epochs that it has done so far."""
        self._correct(run, histories_of(record_of(run, self.results)))

    def learn_from_record(self, run: Run) -> dict[str, Any]:
        """Correct the speed by a finished run, and return its record."""
        found = records.read(record_of(run, self.results))
        stages = [*found.get("stages", {}).values(), found["history"]]
        self._correct(run, [History.from_dict(stage) for stage in stages])
        return found

    def _correct(self, run: Run, histories: list[History]) -> None:
        speed = self.speeds.of(run)
        if speed is not None and any(len(history) for history in histories):
            self.speeds.correct(run, corrected(speed, histories, speed.images.within(run.budget)))

    def _guess(self, run: Run) -> Speed | None:
        measured, known = self.speeds.all(), shape_of(run.dataset)
        if not measured or known is None:
            return None
        macs = self.costs.of(run)
        return None if macs is None else guessed(macs, known[0], measured)

    def _blank(self, run: Run) -> Speed | None:
        """A speed of which nothing is known but the images, to be filled in by the run's own epochs."""
        known = shape_of(run.dataset)
        return None if known is None else Speed((Stage(1.0, 0.0, 0.0),), known[0], 0)
