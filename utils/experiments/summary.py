"""From recorded runs to numbers: means over seeds, and what claims measure, one number for each seed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
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
            raise ValueError("no values to summarize")
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


AT = " with "  # of a label that also says the number of images: "vit with 1,000 images"


def side_by_side(found: Sequence[Results]) -> Results:
    """Runs of like experiments on different numbers of training images, as those of one experiment.

    The labels say the number. ``ValueError`` if there are no results, or two with the same label.
    """
    if not found:
        raise ValueError("there are no results to put side by side")

    def named(run: dict[str, Any]) -> dict[str, Any]:
        chosen = run["configuration"]
        label = f"{chosen['label']}{AT}{run['dataset']['train']:,} images"
        return {**run, "configuration": {**chosen, "label": label}}

    runs = tuple(named(run) for one in found for run in one.runs)
    keys = [(run["configuration"]["label"], run["seed"]) for run in runs]
    for key in keys:
        if keys.count(key) > 1:
            raise ValueError(f"two of these experiments have a run {key[0]!r} with seed {key[1]}")
    diverged = tuple(named(run) for one in found for run in one.diverged)
    return Results(found[0].experiment, found[0].profile, runs, diverged)


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


def largest_rate(results: Results) -> Measured:
    """Network → the largest rate at which it trains, as a power of ten; labels end in ``-RATE``.

    A run that diverges, or ends at chance, has not trained. Where a seed has no run at a rate, the first seed
    stands for it.
    """
    from utils.experiments.learning import AT_CHANCE, state_of_run

    trained: dict[str, dict[int, dict[float, bool]]] = {}  # network → seed → rate → whether it trained
    for runs, learns in (
        (results.runs, lambda run: state_of_run(run) != AT_CHANCE),
        (results.diverged, lambda run: False),
    ):
        for run in runs:
            kind, _, rate = run["configuration"]["label"].rpartition("-")
            trained.setdefault(kind, {}).setdefault(run["seed"], {})[float(rate)] = learns(run)
    largest: dict[str, list[float]] = {}
    for kind, by_seed in trained.items():
        first = by_seed[min(by_seed)]
        for seed in sorted(by_seed):
            rates = [rate for rate, learns in {**first, **by_seed[seed]}.items() if learns]
            if rates:
                largest.setdefault(kind, []).append(math.log10(max(rates)))
    return largest


LOSSES_COMPARED = (0.5, 1.5)  # of the steps whose gradients are compared: both networks are equally far there


def _along_gradient(results: Results, value: Callable[[Any], Any]) -> Measured:
    """Label → median over the steps with such a loss; a run without any is left out."""
    from utils.experiments.recorded_probes import gradient_record

    found: dict[str, list[float]] = {}
    low, high = LOSSES_COMPARED
    for label in results.labels():
        for run in results.of(label):
            measured = gradient_record(run)
            values = value(measured)[(measured.start_loss >= low) & (measured.start_loss <= high)]
            values = values[np.isfinite(values)]
            if len(values):
                found.setdefault(label, []).append(float(np.median(values)))
    return found


def loss_along_gradient(results: Results) -> Measured:
    """Label → largest less smallest loss along the gradient, median over the steps that are compared."""
    return _along_gradient(results, lambda measured: measured.loss_range[1] - measured.loss_range[0])


def change_along_gradient(results: Results) -> Measured:
    """Label → largest change of the gradient along itself, median over the steps that are compared."""
    return _along_gradient(results, lambda measured: measured.change_range[1])


def smoothness_along_gradient(results: Results) -> Measured:
    """Label → largest change of the gradient per distance moved, median over the steps that are compared."""
    return _along_gradient(results, lambda measured: measured.smoothness)


HIGHEST = 1e12  # a loss beyond this, or one that is not finite, counts as so much


def loss_at_a_distance(results: Results) -> Measured:
    """Label → loss at the largest distance that was walked, as a power of ten.

    The median over the directions and the steps in the last fifth of those that were measured.
    """

    def power(run: dict[str, Any]) -> float:
        losses = np.array(run["probes"]["distances"]["losses"], dtype=float)[:, :, -1]
        last = np.nan_to_num(losses[-max(1, len(losses) // 5) :], nan=HIGHEST, posinf=HIGHEST)
        return math.log10(min(HIGHEST, float(np.median(last))))

    return _each_run(results, power)


def loss_at_half_distance(results: Results) -> Measured:
    """Label → loss at the distance 0.5 from the network, in filter-normalized directions.

    The median over the directions and the steps in the last fifth of those that were measured.
    """

    def loss(run: dict[str, Any]) -> float:
        measured = run["probes"]["distances"]
        losses = np.array(measured["losses"], dtype=float)[:, :, measured["distances"].index(0.5)]
        return float(np.median(losses[-max(1, len(losses) // 5) :]))

    return _each_run(results, loss)


def lead(first: str, second: str) -> Callable[[Results], Measured]:
    """A measure: "lead with 1,000 images" → test accuracy of the first less the second, by seed."""

    def measured(results: Results) -> Measured:
        accuracies: dict[str, dict[str, dict[int, float]]] = {}
        for run in results.runs:
            name, _, images = run["configuration"]["label"].partition(AT)
            of_name = accuracies.setdefault(images, {}).setdefault(name, {})
            of_name[run["seed"]] = run["result"]["test_accuracy"]
        return {
            f"lead{AT}{images}": [by[first][seed] - by[second][seed] for seed in seeds]
            for images, by in accuracies.items()
            if first in by and second in by and (seeds := sorted(set(by[first]) & set(by[second])))
        }

    return measured


def no_memory(results: Results, names: Sequence[str]) -> str:
    """Why runs on wrong labels do not test a remedy against learning them by heart; empty if they do.

    A network that has learned all that is true and nothing by heart agrees with as many of its training
    labels as are right. Looked at are the runs of these labels that have wrong labels and no remedy.
    """
    reasons = []
    for label in names:
        noisy = [
            run
            for run in results.runs
            if run["configuration"]["label"] == label
            and run["configuration"].get("label_noise")
            and run["configuration"].get("method", "supervised") == "supervised"
        ]
        if not noisy:
            continue
        right = statistics.fmean(_right_labels(run) for run in noisy)
        fitted = statistics.fmean(run["history"]["train_accuracy"][-1] for run in noisy)
        if fitted <= right:
            reasons.append(
                f"{label} agrees with {_per_cent(fitted)} of its training labels, of which "
                f"{_per_cent(right)} are right: no sign of memory yet"
            )
    return "; ".join(reasons)


def _per_cent(share: float) -> str:
    return unbroken(f"{100 * share:.0f} %")


def _right_labels(run: Mapping[str, Any]) -> float:
    """The share of the training labels that are right."""
    noise, classes = run["configuration"]["label_noise"], run["dataset"].get("classes", 10)
    return 1 - noise["rate"] * (1 - 1 / classes if noise.get("may_redraw") else 1)
