"""What a claim is about, as one number for each seed: functions of the recorded runs of an experiment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from utils.experiments.summary import Results

Measured = Mapping[str, Sequence[float]]


def test_accuracy(results: Results) -> Measured:
    """Label → accuracy on the test split at the end, a fraction."""
    return {
        label: [run["result"]["test_accuracy"] for run in results.of(label)] for label in results.labels()
    }


def train_error(results: Results) -> Measured:
    """Label → share of the training images that were wrong in the last epoch."""
    return {
        label: [1 - run["history"]["train_accuracy"][-1] for run in results.of(label)]
        for label in results.labels()
    }


def early_accuracy(results: Results) -> Measured:
    """Label → validation accuracy after the first fifth of the epochs (at least one)."""
    return {
        label: [
            run["history"]["valid_accuracy"][max(0, len(run["history"]["valid_accuracy"]) // 5 - 1)]
            for run in results.of(label)
        ]
        for label in results.labels()
    }


def overfitting(results: Results) -> Measured:
    """Label → validation loss less training loss, in the last epoch."""
    return {
        label: [
            run["history"]["valid_loss"][-1] - run["history"]["train_loss"][-1] for run in results.of(label)
        ]
        for label in results.labels()
    }


def seconds_per_epoch(results: Results) -> Measured:
    """Label → mean seconds of a training pass."""
    return {
        label: [sum(run["history"]["seconds"]) / len(run["history"]["seconds"]) for run in results.of(label)]
        for label in results.labels()
    }


def band_width(results: Results) -> Measured:
    """ "without BN" and "with BN" → mean width of the band of the step losses over the published learning rates, for each seed."""
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
