"""What a lab measures: functions of their sizes that are run here, or whose record is shown.

A function under ``@lab.measured`` is called once, with its sizes, and returns plain values: numbers, texts,
lists, dicts, small arrays and tensors. It may use what the cells above define, and seeds itself::

    @lab.measured
    def accuracy_by_epoch(images, epochs):
        train = data.train.subset(images)
        return {kind: fit(new_net(kind), train, data.valid, epochs=epochs).valid_accuracy for kind in COLORS}

    found = accuracy_by_epoch(lab.sizes.images, lab.sizes.epochs)

In ``quick`` and ``full`` the result is the reader's own, floats rounded to six digits as in a record. In
``smoke`` the function runs at tiny sizes, which shows that the code runs and nothing else, and the record is
returned instead. So a cell draws from ``found`` and ``accuracy_by_epoch.sizes``, never from ``lab.sizes``.
One's own run with the recorded one beside it is a loop over what there is, in ``smoke`` the record alone::

    for run in accuracy_by_epoch.runs:
        ax.plot(run.value["lenet"], color=COLORS["lenet"], label=f"LeNet, {run.label}", **run.style)

``python -m utils.publishing record`` makes the records.
"""

from __future__ import annotations

import datetime
import functools
import html
import inspect
import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch

from utils.course.badge import Badge
from utils.course.plain import as_json, from_json
from utils.experiments import records
from utils.training.devices import device_name

FORMAT = 1
LARGEST = 200_000  # bytes of a record's value
RECORDING = "CNNLAB_RECORD"  # the folder in which a lab that is being recorded leaves its measurements
FIELDS: dict[str, records.Kind] = {
    "code": dict,
    "commit": str,
    "datasets": list,
    "device": str,
    "digest": str,
    "profile": str,
    "seconds": float,
    "sizes": dict,
    "started": str,
    "versions": dict,
}


class Frame(Protocol):
    """What a measurement needs to know of the lab around it, see :class:`utils.course.lab.Lab`."""

    name: str
    profile: str
    device: torch.device
    badge: Badge
    loaded: list[dict]


@dataclass(frozen=True)
class Record:
    """A recorded measurement: its ``value``, the ``sizes`` it was made with, and when, on what and where."""

    value: Any
    sizes: dict[str, Any]
    date: str
    datasets: tuple[str, ...]
    device: str
    seconds: float

    def describe(self) -> str:
        """The origin in one line: ``2026-11-29, CIFAR-10, AMD EPYC, 2 threads``."""
        return ", ".join([self.date, *self.datasets, self.device])


@dataclass(frozen=True)
class Run:
    """One curve of a figure, so to say: a value, the sizes behind it, a ``label`` and a ``style``."""

    value: Any
    sizes: dict[str, Any]
    label: str
    style: dict[str, Any] = field(default_factory=dict)


class Measured:
    """A measured function of a lab. A call returns a plain value to draw from; ``runs`` has all there is.

    ``sizes`` are those of the value that the last call returned, in smoke the record's. ``record`` is the
    recorded measurement, None where there is none.
    """

    # a broad pale line behind one's own, to be seen also where the two agree
    BESIDE: dict[str, Any] = {"linewidth": 6, "alpha": 0.3, "zorder": 1}

    def __init__(self, function: Callable, lab: Frame) -> None:
        functools.update_wrapper(self, function)
        self._function, self._lab = function, lab
        self._called: dict[str, Any] | None = None
        self.runs: list[Run] = []

    @functools.cached_property
    def record(self) -> Record | None:
        """The recorded measurement, checked on reading, or None; ``ValueError`` if its file is damaged."""
        return read_measurements(path_of(self._lab.name)).get(self.__name__)

    @property
    def sizes(self) -> dict[str, Any]:
        """The sizes behind the value that the last call returned."""
        if not self.runs:
            raise ValueError(f"{self.__name__} has not been called yet")
        return self.runs[0].sizes

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """Run the function; returns its result or, in the smoke profile, the record."""
        lab, name = self._lab, self.__name__
        sizes = self._bound(arguments, keywords)
        folder = os.environ.get(RECORDING)
        record = None if folder else self.record
        if self._called is not None and (folder or (lab.profile == "smoke" and self._called != sizes)):
            raise ValueError(
                f"{name} is called a second time, and one record is kept of it: let one call measure all, or "
                "write another function; to try other sizes, restart with CNNLAB_PROFILE=quick"
            )
        started, began = datetime.datetime.now(datetime.UTC), time.perf_counter()
        result = self._function(*arguments, **keywords)
        seconds = time.perf_counter() - began
        stored = as_json(result, name)
        self._called = sizes
        mine = Run(from_json(stored), sizes, "this run")
        if folder:
            self._leave(Path(folder), stored, sizes, started, seconds)
        if lab.profile != "smoke":
            beside = [Run(record.value, record.sizes, "recorded", self.BESIDE)] if record else []
            self.runs = [mine, *beside]
            lab.badge.measured(name, "live")
        elif record:
            self.runs = [Run(record.value, record.sizes, "recorded")]
            lab.badge.measured(name, "recorded", record.describe())
        else:
            self.runs = [Run(mine.value, sizes, "tiny sizes")]
            lab.badge.measured(name, "at tiny sizes only")
            lab.badge.banner("Not a measurement.", _without_record(name, sizes))
        return self.runs[0].value

    def _bound(self, arguments: tuple, keywords: Mapping[str, Any]) -> dict[str, Any]:
        """The sizes of a call by name; ``ValueError`` on anything that a record could not tell."""
        bound = inspect.signature(self._function).bind(*arguments, **keywords)
        bound.apply_defaults()
        for size, value in bound.arguments.items():
            if not _is_size(value):
                raise ValueError(
                    f"{self.__name__} is measured, so it is a function of its sizes: {size} must be a "
                    "number, a text, true, false, None, or a list, tuple or dict of them, got "
                    f"{type(value).__name__}; it may use what the cells above define without being given it"
                )
        return from_json(as_json(dict(bound.arguments), digits=None))

    def _leave(self, folder: Path, stored: Any, sizes: dict, started: datetime.datetime, took: float) -> None:
        """Leave what was measured for ``record``, which adds the code and the commit."""
        size = len(records.as_text(stored))
        if size > LARGEST:
            raise ValueError(
                f"{self.__name__} returned {size:,} bytes, and a record holds {LARGEST:,}: return fewer "
                "numbers, such as means, or every tenth step"
            )
        measurement = {
            "datasets": self._lab.loaded,
            "device": _device(self._lab.device),
            "profile": self._lab.profile,
            "seconds": round(took, 1),
            "sizes": as_json(sizes, digits=None),
            "started": started.isoformat(timespec="seconds"),
            "value": stored,
            "versions": {"python": platform.python_version(), "torch": torch.__version__},
        }
        text = records.as_text(measurement)
        (folder / f"{self.__name__}.json").write_text(text, encoding="utf-8")


def folder_of_records() -> Path:
    """Where the records of the labs lie."""
    return records.RESULTS / "labs"


def path_of(lab: str) -> Path:
    """The file with the records of one lab."""
    return folder_of_records() / f"{lab}.json"


def read_measurements(path: Path) -> dict[str, Record]:
    """The records in a lab's file by function, none if there is no file; ``ValueError`` if it is damaged."""
    if not path.exists():
        return {}
    measurements, found = parsed_measurements(path)
    if found:
        raise ValueError(f"{path}: {'; '.join(found)}")
    return {
        name: Record(
            value=from_json(one["value"]),
            sizes=from_json(one["sizes"]),
            date=one["started"][:10],
            datasets=tuple(data["title"] for data in one["datasets"]),
            device=one["device"],
            seconds=one["seconds"],
        )
        for name, one in measurements.items()
    }


def parsed_measurements(path: Path) -> tuple[dict[str, Any], list[str]]:
    """The measurements in a lab's file as they stand there, and what is wrong with them, a sentence each."""
    try:
        whole = records.parsed(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return {}, [f"it is not a record: {error}"]
    if not isinstance(whole, dict) or set(whole) != {"format", "lab", "measurements"}:
        return {}, ["it is not an object of format, lab and measurements"]
    if whole["format"] != FORMAT:
        return {}, [f"format {whole['format']!r}, this version reads {FORMAT}"]
    if not isinstance(whole["measurements"], dict):
        return {}, [f"measurements is {str(whole['measurements'])[:40]!r}, not an object"]
    found = [] if whole["lab"] == path.stem else [f"it is the record of lab {whole['lab']!r}"]
    for name, one in whole["measurements"].items():
        found += [f"{name}: {fault}" for fault in _faults(whole["lab"], name, one)]
    return whole["measurements"], found


def digest_of(lab: str, function: str, measurement: Mapping[str, Any]) -> str:
    """The digest of a measurement, which holds for its lab and its function alone."""
    return records.digest({**measurement, "lab": lab, "function": function})


def _faults(lab: str, name: str, one: Any) -> list[str]:
    if not isinstance(one, dict) or "value" not in one:
        return ["it is not a measurement with a value"]
    if found := records.misshapen(one, FIELDS):
        return found
    if one["digest"] != digest_of(lab, name, one):
        return ["the digest does not fit: it was changed after it was written"]
    if not all(isinstance(data, dict) and isinstance(data.get("title"), str) for data in one["datasets"]):
        return ["a data set has no title"]
    try:
        from_json(one["value"])
        from_json(one["sizes"])
        datetime.datetime.fromisoformat(one["started"])
    except ValueError as error:
        return [str(error)]
    return []


def _is_size(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_is_size(entry) for pair in value.items() for entry in pair)
    if isinstance(value, list | tuple):
        return all(map(_is_size, value))
    return value is None or isinstance(value, bool | int | float | str)


def _without_record(name: str, sizes: Mapping[str, Any]) -> str:
    told = ", ".join(f"{size}={value!r}" for size, value in sizes.items()) or "none"
    return (
        f"There is no record of <code>{html.escape(name)}</code> yet. What follows comes from a run at tiny "
        f"sizes ({html.escape(told)}), which shows that the code runs and nothing else. "
        "Set <code>CNNLAB_PROFILE=quick</code> before you start Jupyter to measure it yourself."
    )


def _device(device: torch.device) -> str:
    if device.type != "cpu":
        return device_name(device)
    threads = torch.get_num_threads()
    return f"{device_name(device)}, {threads} thread{'s' if threads > 1 else ''}"
