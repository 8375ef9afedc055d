"""Running one configuration with one seed, from data to a written record."""

from __future__ import annotations

import datetime
import functools
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import nn

from utils.analysis.accounting import account
from utils.data import Dataset, Split, load_dataset
from utils.data.label_noise import noisy_labels
from utils.data.split import balanced
from utils.experiments import methods, provenance, records, unfinished, weights
from utils.experiments.compact import compacted
from utils.experiments.configuration import Budget, Configuration, Experiment, WrongUse
from utils.experiments.methods import SECOND_NETWORK, Task
from utils.experiments.recorded_probes import probe_results
from utils.training import Diverged, History, checkpoints, evaluate
from utils.training.devices import best_device


def run(
    experiment: Experiment,
    profile: str,
    seeds: tuple[int, ...] | None = None,
    device: str | None = None,
    again: bool = False,
    results: Path | None = None,
) -> list[Path]:
    """Run what has no record yet (everything, if ``again``), and return the paths of the records at the end.

    A killed run resumes at its last epoch, from checkpoints in the user's cache folder. A run that diverges
    is recorded as diverged, and the others go on. What another process is at work on is left to it: several
    may share the store. ``device``: by default :func:`utils.training.devices.best_device`.
    """
    budget = experiment.budgets[profile]
    device = device or str(best_device())
    for seed in seeds or ():
        if not 0 <= seed < SECOND_NETWORK:
            raise WrongUse(f"a seed is a whole number from 0 to {SECOND_NETWORK - 1:,}, got {seed}")
    load = functools.cache(load_dataset)
    runs = [
        (records.path_of(experiment.id, configuration.label, seed, profile, results), configuration, seed)
        for seed in seeds or budget.seeds
        for configuration in experiment.configurations
    ]
    due = [(path, configuration, seed) for path, configuration, seed in runs if again or not path.exists()]
    began, trained = time.perf_counter(), 0
    for number, (path, configuration, seed) in enumerate(due):
        title = f"{experiment.id} · {configuration.label} · seed {seed} · {profile}"
        try:
            with checkpoints.locked(path):
                if path.exists() and not again:
                    continue  # another process has recorded it in the meantime
                left = _time_left(time.perf_counter() - began, trained, len(due) - number)
                print(f"{title} ({number + 1} of {len(due)}{left})", flush=True)
                _run_and_record(experiment, configuration, budget, profile, seed, device, path, load, results)
                trained += 1
        except checkpoints.CannotWrite as error:
            raise checkpoints.CannotWrite(
                f"{error}; unfinished runs are kept in the cache, which CNNLAB_CACHE moves elsewhere"
            ) from error
        except checkpoints.InUse:
            print(f"{title}: another process is at work on it", flush=True)
    return [path for path, _, _ in runs if path.exists()]


def _run_and_record(
    experiment: Experiment,
    configuration: Configuration,
    budget: Budget,
    profile: str,
    seed: int,
    device: str | None,
    path: Path,
    load: Callable[..., Dataset],
    results: Path | None,
) -> None:
    """Train, and write the record last but for the removal of the checkpoints: a killed run can go on."""
    record, model = run_one(experiment, configuration, budget, profile, seed, device, path, load)
    if model is None:
        print(record["diverged"]["message"], file=sys.stderr, flush=True)
    elif configuration.keep_weights and seed == budget.seeds[0]:
        weights.keep(model, record, path, results)
    records.write(record, path)
    unfinished.forget(path)


def run_one(
    experiment: Experiment,
    configuration: Configuration,
    budget: Budget,
    profile: str,
    seed: int,
    device: str | None,
    path: Path,
    load: Callable[..., Dataset] = load_dataset,
) -> tuple[dict[str, Any], nn.Module | None]:
    """Train once, validate after every epoch, read the test split once; returns record and trained model.

    If the training diverges, the record says where under ``diverged``, its ``result`` is None, and so is the
    model. Parameters and multiply-adds in it are those of one network, as it is built. ``seconds`` is the
    wall time since the start or, where ``resumed`` is true, since the run went on; the history has the
    seconds of every epoch.
    """
    started = datetime.datetime.now(datetime.UTC)
    began = time.perf_counter()
    dataset = _load(configuration, budget, load)
    train = _part(dataset.train, budget.train_images)
    if configuration.drawn:
        labels = dataset.train.labels.numpy()
        train = dataset.train.subset(torch.from_numpy(balanced(labels, len(train), seed)))
    valid = _part(dataset.valid, budget.valid_images)
    test = _part(dataset.test, budget.test_images)
    if configuration.label_noise:
        noisy = noisy_labels(
            train.labels, num_classes=len(dataset.classes), seed=seed, **configuration.label_noise
        )
        train = train.with_labels(noisy)
    resumed = unfinished.is_begun(path)
    commit = provenance.commit()
    definition = unfinished.definition_of(configuration, budget)
    origin = unfinished.begin(path, definition, commit, provenance.machine(device))
    checkpoint = unfinished.checkpoint_of(path)
    classes, stand_in = len(dataset.classes), budget.dataset
    task = Task(configuration, train, valid, classes, budget.epochs, seed, device, checkpoint, stand_in)
    network = task.build()
    if configuration.keep_weights:
        weights.require_small(network, configuration.label)
    costs = account(network, tuple(train.images.shape[1:]))

    def recorded(history: History, **more: Any) -> dict[str, Any]:
        return {
            "format": records.FORMAT,
            "experiment": experiment.id,
            "configuration": configuration.as_dict(),
            "seed": seed,
            "profile": profile,
            "history": compacted(history.as_dict()),
            "model": {"parameters": costs.total_params, "macs": costs.total_macs},
            "dataset": _describe_data(dataset, len(train), len(valid), len(test)),
            "device": provenance.describe_device(device),
            "machines": list(origin.machines),
            "versions": {
                "python": platform.python_version(),
                "torch": torch.__version__,
                "torchvision": torchvision.__version__,
            },
            "commit": commit,
            **({"commits": list(origin.commits)} if len(origin.commits) > 1 else {}),
            "started": started.isoformat(timespec="seconds"),
            "seconds": round(time.perf_counter() - began, 1),
            "resumed": resumed,
            **more,
        }

    try:
        outcome = methods.train(task)
    except Diverged as error:
        told = {"step": error.step, "lr": error.lr, "message": str(error)}
        return recorded(error.history or History(), result=None, diverged=told), None
    history = outcome.history
    final = evaluate(outcome.model, test, device=device)
    # with a patience the weights are those of the best epoch, without one those of the last
    epoch = len(history) - 1
    if "patience" in configuration.fit_options and history.best_epoch is not None:
        epoch = history.best_epoch
    record = recorded(
        history,
        result={
            "epoch": epoch,
            "valid_loss": history.valid_loss[epoch],
            "valid_accuracy": history.valid_accuracy[epoch],
            "test_loss": final.loss,
            "test_accuracy": final.accuracy,
            "test_correct": round(final.accuracy * final.n),
            "test_images": final.n,
        },
    )
    if outcome.probes:
        record["probes"] = probe_results(configuration.fit_options["probes"], outcome.probes)
    if outcome.stages:
        record["stages"] = {name: compacted(stage.as_dict()) for name, stage in outcome.stages.items()}
    return record, outcome.model


def _load(configuration: Configuration, budget: Budget, load: Callable[..., Dataset]) -> Dataset:
    """The configuration's data, or what stands in for them, in the size that its model is made for."""
    stands_in = budget.dataset is not None
    size = configuration.model_options.get("input_size") if stands_in else None
    size = size or configuration.dataset_size
    name = budget.dataset or configuration.dataset
    dataset = load(name) if size is None else load(name, size=size)
    return dataset if configuration.classes is None else dataset.of_classes(configuration.classes)


def _time_left(seconds: float, trained: int, left: int) -> str:
    """How long the runs that are left will take, by those of this call; nothing before the first is done."""
    if not trained:
        return ""
    minutes = seconds / trained * left / 60
    return f", about {minutes:.0f} min left" if minutes >= 1 else ", less than a minute left"


def _part(split: Split, images: int | None) -> Split:
    """The first ``images`` of a split, or all of them."""
    return split if images is None else split.subset(min(images, len(split)))


def _describe_data(dataset: Dataset, train: int, valid: int, test: int) -> dict[str, Any]:
    origin = dataset.provenance
    return {
        "name": dataset.name,
        "title": origin.title,
        "sha256": origin.sha256,
        "classes": len(dataset.classes),
        "train": train,
        "valid": valid,
        "test": test,
    }
