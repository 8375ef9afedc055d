"""From recorded runs to the figures that a page prints: mean, standard deviation and number of seeds."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from utils.experiments import records
from utils.experiments.configuration import PROFILES


def unbroken(text: str) -> str:
    """The text with no-break spaces, so that no line ends within it in a narrow column."""
    return text.replace(" ", "\N{NO-BREAK SPACE}")


@dataclass(frozen=True)
class Figure:
    """Mean and sample standard deviation over ``n`` seeds (``sd`` is None for a single run)."""

    mean: float
    sd: float | None
    n: int

    @classmethod
    def of(cls, values: Iterable[float]) -> Figure:
        """The figure of these values; ``ValueError`` if there are none."""
        values = [float(value) for value in values]
        if not values:
            raise ValueError("no values to summarise")
        return cls(
            statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None, len(values)
        )

    def text(self, digits: int = 2, unit: str = "", scale: float = 1.0) -> str:
        """Mean ± standard deviation, times ``scale``, with so many decimals: ``0.25 ± 0.01 (n = 3)``.

        A line may end before the bracket only; the other spaces are no-break spaces.
        """
        sd = "" if self.sd is None else f" ± {scale * self.sd:.{digits}f}"
        figure = f"{scale * self.mean:.{digits}f}{sd}{unit}".replace("-", "−")
        return f"{unbroken(figure)} {unbroken(f'(n = {self.n})')}"

    def percent(self, digits: int = 1) -> str:
        """A fraction as percent: ``90.1 ± 0.2 % (n = 3)``."""
        return self.text(digits, " %", 100)


def spread(values: Iterable[float], digits: int = 2, unit: str = "", scale: float = 1.0) -> str:
    """Mean ± sample standard deviation and number of the values, as :meth:`Figure.text`; a single value has no ±."""
    return Figure.of(values).text(digits, unit, scale)


def percent(values: Iterable[float], digits: int = 1) -> str:
    """As :func:`spread`, for fractions that are shown as percent: ``90.1 ± 0.2 % (n = 3)``."""
    return Figure.of(values).percent(digits)


@dataclass(frozen=True)
class Results:
    """All recorded runs of one experiment in one profile: ``runs`` those with a result, ``diverged`` those that ended without one."""

    experiment: str
    profile: str
    runs: tuple[dict, ...]
    diverged: tuple[dict, ...] = ()

    def labels(self) -> list[str]:
        """The configurations that have runs, in the order in which the experiment lists them."""
        return list(dict.fromkeys(run["configuration"]["label"] for run in self.runs))

    def of(self, label: str) -> list[dict]:
        """The runs of one configuration; ``ValueError`` if there are none."""
        chosen = [run for run in self.runs if run["configuration"]["label"] == label]
        if not chosen:
            raise ValueError(
                f"no recorded run {label!r} of {self.experiment}; there are {', '.join(self.labels())}"
            )
        return chosen

    def figure(self, label: str, name: str = "test_accuracy") -> Figure:
        """Summary of a field of ``result`` over the seeds of one configuration."""
        return Figure.of([run["result"][name] for run in self.of(label)])

    def table(self) -> pd.DataFrame:
        """One row per configuration: parameters, multiply-adds, validation and test accuracy over the seeds."""
        rows = []
        for label in self.labels():
            run = self.of(label)[0]
            rows.append(
                {
                    "model": label,
                    "parameters": f"{run['model']['parameters']:,}",
                    "multiply-adds": f"{run['model']['macs']:,}",
                    "validation accuracy": self.figure(label, "valid_accuracy").percent(),
                    "test accuracy": self.figure(label).percent(),
                }
            )
        return pd.DataFrame(rows).set_index("model")

    def describe_diverged(self) -> str:
        """Which runs diverged, and where; empty if none did."""
        return "; ".join(
            f"{run['configuration']['label']} with seed {run['seed']} diverged at step {run['diverged']['step']}"
            for run in self.diverged
        )

    def describe(self) -> str:
        """One line on what was run: data, profile, seeds, device, date; and what diverged."""
        first = self.runs[0]
        epochs = len(first["history"]["train_loss"])
        seeds = sorted({run["seed"] for run in self.runs})
        devices = sorted(
            {run["device"].replace(" 1 threads", " 1 thread") for run in self.runs}
        )  # older records have the plural
        dates = sorted(run["started"][:10] for run in self.runs)
        ended = f"; {self.describe_diverged()}" if self.diverged else ""
        return (
            f"{self.experiment}: {first['dataset']['title']}, {first['dataset']['train']:,} training images, "
            f"{epochs} epochs, seeds {', '.join(map(str, seeds))}, {' and '.join(devices)}, {dates[-1]}{ended}"
        )


def results(experiment: str, profile: str | None = None, folder: Path | None = None) -> Results:
    """The recorded runs of an experiment, each checked on reading, of the largest profile that has any (or of ``profile``).

    ``FileNotFoundError`` with the command to make them if there are none, or with what happened if all of them diverged.
    """
    from utils.experiments.catalogue import find

    order = [c.label for c in find(experiment).configurations]
    found = {
        name: sorted(((folder or records.RESULTS) / experiment).glob(f"*-{name}.json"))
        for name in ([profile] if profile else reversed(PROFILES))
    }
    found = {name: paths for name, paths in found.items() if paths}
    if not found:
        raise FileNotFoundError(
            f"no recorded {f'{profile} ' if profile else ''}runs of {experiment}; make them with "
            f"`python -m utils.experiments run {experiment} --profile {profile or 'quick'}`"
        )
    profile, paths = next(iter(found.items()))
    runs = sorted(
        (records.read(path) for path in paths),
        key=lambda run: (order.index(run["configuration"]["label"]), run["seed"]),
    )
    finished = Results(
        experiment,
        profile,
        tuple(run for run in runs if run["result"]),
        tuple(run for run in runs if not run["result"]),
    )
    if not finished.runs:
        raise FileNotFoundError(
            f"no {profile} run of {experiment} has a result: {finished.describe_diverged()}"
        )
    return finished
