"""Measured speeds, in a file of the user's cache folder, by machine and group of runs; sizes of data."""

from __future__ import annotations

import functools
import hashlib
import json
from pathlib import Path

import torch

from utils.data.cache import entries
from utils.data.folders import cache_folder
from utils.data.load import load_dataset
from utils.data.local import find_local
from utils.data.sources import EMBEDDED, get_source
from utils.data.split import valid_size
from utils.experiments.catalogue.order import Run
from utils.experiments.queue.estimates import Images, Speed, Stage, bounded, group_of
from utils.experiments.unfinished import replace_text
from utils.training.processor import processor_name, processor_unit


def speeds_file() -> Path:
    """Where the speeds are kept."""
    return cache_folder() / "speeds.json"


def machine_of(device: str) -> str:
    """What a speed holds for: processor or GPU, threads, version of torch."""
    chosen = torch.device(device)
    if chosen.type == "cuda" and torch.cuda.is_available():
        return f"{torch.cuda.get_device_name(chosen)}, torch {torch.__version__}"
    unit = processor_unit() or "no unit"
    return f"{chosen.type} {processor_name()} ({unit}), one thread, torch {torch.__version__}"


@functools.cache
def code_digest(code: Path, rooms: tuple[str, ...] = ("training", "models")) -> str:
    """A digest of the training code: when it changes, speeds are measured again."""
    digest = hashlib.sha256()
    for room in rooms:
        for path in sorted((code / "utils" / room).glob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


class Speeds:
    """The speeds of one machine; each that is learned is written to the file."""

    def __init__(self, device: str, code: Path) -> None:
        self.machine, self.code = machine_of(device), code_digest(code)
        self._known = {group: told for group, told in _read().get(self.machine, {}).items() if _speed(told)}

    def of(self, run: Run) -> Speed | None:
        """What is known of the run's group, measured with this code or an earlier one."""
        told = self._known.get(group_of(run))
        return _speed(told) if told else None

    def is_fresh(self, run: Run) -> bool:
        """Whether the group was measured with the present code."""
        return self._known.get(group_of(run), {}).get("code") == self.code

    def all(self) -> list[Speed]:
        """Every speed that is known of this machine."""
        return [speed for told in self._known.values() if (speed := _speed(told))]

    def learn(self, run: Run, speed: Speed) -> None:
        """Keep the speed of the run's group, as it was timed."""
        self._keep(run, {**speed.as_dict(), "timed": speed.as_dict()["stages"], "code": self.code})

    def correct(self, run: Run, speed: Speed) -> None:
        """Keep a speed that whole epochs have shown, within bounds around what was timed."""
        told = self._known.get(group_of(run), {})
        timed = [Stage(**stage) for stage in told.get("timed", ())]
        if len(timed) == len(speed.stages) and (better := bounded(speed, timed)) != _speed(told):
            self._keep(run, {**told, **better.as_dict()})

    def _keep(self, run: Run, told: dict) -> None:
        self._known[group_of(run)] = told
        present = _read()
        present.setdefault(self.machine, {})[group_of(run)] = told
        speeds_file().parent.mkdir(parents=True, exist_ok=True)
        replace_text(speeds_file(), json.dumps(present, indent=1, sort_keys=True))


def _read() -> dict:
    try:
        told = json.loads(speeds_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def _speed(told: dict) -> Speed | None:
    try:
        return Speed.from_dict(told)
    except (KeyError, TypeError):
        return None


@functools.cache
def is_at_hand(dataset: str) -> bool:
    """Whether the data can be loaded without a download."""
    source = get_source(dataset)
    return (
        source.name in EMBEDDED
        or bool(entries(source.name, source.default_size))
        or find_local(source) is not None
    )


@functools.cache
def shape_of(dataset: str) -> tuple[Images, tuple[int, ...], int] | None:
    """Images, shape of one, and number of classes, of embedded or decoded data; None of others."""
    source = get_source(dataset)
    if source.name in EMBEDDED:
        loaded = load_dataset(dataset)
        images = Images(len(loaded.train), len(loaded.valid), len(loaded.test))
        return images, tuple(loaded.train.images.shape[1:]), len(loaded.classes)
    for _, meta in entries(source.name, source.default_size):
        train, test = meta.arrays["train_images"]["shape"], meta.arrays["test_images"]["shape"]
        held_out = valid_size(None, train[0])
        return Images(train[0] - held_out, held_out, test[0]), tuple(train[1:]), len(meta.classes)
    return None
