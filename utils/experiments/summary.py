"""From recorded runs to numbers: means over seeds, and what claims measure, one number for each seed."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from utils.experiments import records
from utils.experiments.configuration import PROFILES
from utils.experiments.differences import unbroken


@dataclass(frozen=True)
class MeanSd:
    """Mean and sample standard deviation over ``n`` seeds (``sd`` is None for a single run)."""

    mean: float
    sd: float | None
    n: int

    @classmethod
    def of(cls, values: Iterable[float]) -> MeanSd:
        """The mean of these values; ``ValueError`` if there are none."""
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
    """Mean ± sample standard deviation and number of the values, as :meth:`MeanSd.text`."""
    return MeanSd.of(values).text(digits, unit, scale)


def percent(values: Iterable[float], digits: int = 1) -> str:
    """As :func:`spread`, for fractions that are shown as percent: ``90.1 ± 0.2 % (n = 3)``."""
    return MeanSd.of(values).percent(digits)


@dataclass(frozen=True)
class Results:
    """All recorded runs of one experiment in one profile.

    ``runs`` are those with a result, ``diverged`` those that ended without one.
    """

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

    def figure(self, label: str, name: str = "test_accuracy") -> MeanSd:
        """Summary of a field of ``result`` over the seeds of one configuration."""
        return MeanSd.of([run["result"][name] for run in self.of(label)])

    def table(self) -> pd.DataFrame:
        """One row for each configuration: parameters, multiply-adds, validation and test accuracy."""
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
            f"{run['configuration']['label']} with seed {run['seed']} diverged "
            f"at step {run['diverged']['step']}"
            for run in self.diverged
        )

    def describe(self) -> str:
        """One line on what was run: data, profile, seeds, device, date; and what diverged."""
        first = self.runs[0]
        epochs = len(first["history"]["train_loss"])
        seeds = sorted({run["seed"] for run in self.runs})
        # older records have the plural
        devices = sorted({run["device"].replace(" 1 threads", " 1 thread") for run in self.runs})
        dates = sorted(run["started"][:10] for run in self.runs)
        ended = f"; {self.describe_diverged()}" if self.diverged else ""
        return (
            f"{self.experiment}: {first['dataset']['title']}, {first['dataset']['train']:,} training images, "
            f"{epochs} epochs, seeds {', '.join(map(str, seeds))}, {' and '.join(devices)}, "
            f"{dates[-1]}{ended}"
        )


def results(experiment: str, profile: str | None = None, folder: Path | None = None) -> Results:
    """The recorded runs of an experiment, of ``profile`` or of the largest profile that has any.

    Each is checked on reading: ``ValueError`` names the file that is damaged, or is a copy of another.
    ``FileNotFoundError`` with the command to make them if there are none, or with what happened if all of
    them diverged.
    """
    from utils.experiments.catalogue import find

    order = [c.label for c in find(experiment).configurations]
    place = folder or (records.folder_of(profile) if profile else records.RESULTS)
    found = {
        name: sorted((place / experiment).glob(f"*-{name}.json"))
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
        _read(experiment, paths, order),
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


def _read(experiment: str, paths: Sequence[Path], labels: Sequence[str]) -> list[dict[str, Any]]:
    read = [(path, records.read(path)) for path in paths]
    for path, record in read:
        if record["configuration"]["label"] not in labels:
            raise ValueError(f"{path}: {experiment} has no such configuration, only {', '.join(labels)}")
    for path, original in records.copies(read).items():
        raise ValueError(f"{path}: {records.COPIED.format(original.name)}")
    return [record for _, record in read]


# label, or another name that a claim uses -> one number for each seed
Measured = Mapping[str, Sequence[float]]


def _each_run(results: Results, value: Callable[[dict[str, Any]], float]) -> Measured:
    return {label: [value(run) for run in results.of(label)] for label in results.labels()}


def accuracy_on_test(results: Results) -> Measured:
    """Label → accuracy on the test split at the end, a fraction."""
    return _each_run(results, lambda run: run["result"]["test_accuracy"])


def train_error(results: Results) -> Measured:
    """Label → share of the training images that were wrong in the last epoch."""
    return _each_run(results, lambda run: 1 - run["history"]["train_accuracy"][-1])


def early_accuracy(results: Results) -> Measured:
    """Label → validation accuracy after the first fifth of the epochs (at least one)."""

    def early(accuracies: Sequence[float]) -> float:
        return accuracies[max(0, len(accuracies) // 5 - 1)]

    return _each_run(results, lambda run: early(run["history"]["valid_accuracy"]))


def overfitting(results: Results) -> Measured:
    """Label → validation loss less training loss, in the last epoch."""
    return _each_run(results, lambda run: run["history"]["valid_loss"][-1] - run["history"]["train_loss"][-1])


def band_width(results: Results) -> Measured:
    """Without BN, with BN → mean width of the band of step losses over the published learning rates."""
    from utils.analysis.landscape import loss_bands
    from utils.experiments.catalogue.batchnorm import PUBLISHED_RATES

    widths: dict[str, list[float]] = {}
    for name, kind in (("without BN", "plain"), ("with BN", "bn")):
        runs = {
            rate: {run["seed"]: run for run in results.of(label)}
            for rate in PUBLISHED_RATES
            if (label := f"{kind}-{rate:g}") in results.labels()
        }
        if len(runs) < len(PUBLISHED_RATES):
            continue
        seeds = sorted(set.intersection(*(set(of_rate) for of_rate in runs.values())))
        widths[name] = [
            loss_bands(
                {f"{rate:g}": of_rate[seed]["history"]["step_loss"] for rate, of_rate in runs.items()}
            ).mean_width
            for seed in seeds
        ]
    return widths
