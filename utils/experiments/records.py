"""A finished run as one JSON file that can be checked: settings, data, history and result, under a digest.

Optional fields: ``machines`` (every machine that the run was trained on) and ``commits`` (where it went on
with other code than it began with). The record of a training that diverged has no result; ``diverged`` says
at which step and learning rate, and the history ends before it.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from types import NoneType
from typing import Any

from utils.data.folders import cache_folder
from utils.experiments.configuration import PROFILES
from utils.training.files import not_written, whole

RESULTS = Path(__file__).resolve().parents[2] / "book" / "results"
FORMAT = 1
OTHERS = ("checkpoints", "labs")  # folders of the results with something else than records of runs

Kind = type | tuple[type, ...]
NAMES = {int: "a whole number", float: "a number", str: "text", bool: "true or false", dict: "an object"}
NAMES |= {list: "a list", NoneType: "null"}

FIELDS: dict[str, Kind] = {
    "format": int,
    "experiment": str,
    "configuration": dict,
    "seed": int,
    "profile": str,
    "history": dict,
    "result": (dict, NoneType),
    "model": dict,
    "dataset": dict,
    "device": str,
    "versions": dict,
    "commit": str,
    "started": str,
    "seconds": float,
}
OPTIONAL: dict[str, Kind] = {
    "machines": list,
    "commits": list,
    "resumed": bool,
    "diverged": dict,
    "probes": dict,
    "stages": dict,
}
GO_ON = "see to that, and run the same command again: a run that is unfinished goes on"
COPIED = "its epochs took exactly as long as those of {}: a copied record is not another run"
# one number for each epoch
EPOCHS = ("lr", "train_loss", "train_accuracy", "valid_loss", "valid_accuracy", "seconds", "valid_seconds")
WITHIN: dict[str, dict[str, Kind]] = {
    "configuration": {
        "label": str,
        "model": str,
        "dataset": str,
        "model_options": dict,
        "fit_options": dict,
    },
    "history": dict.fromkeys((*EPOCHS, "step_loss", "step_lr"), list),
    "model": {"parameters": int, "macs": int},
    "dataset": {"name": str, "title": str, "sha256": str, "train": int, "valid": int, "test": int},
    "result": {
        "epoch": int,
        "valid_loss": float,
        "valid_accuracy": float,
        "test_loss": float,
        "test_accuracy": float,
        "test_correct": int,
        "test_images": int,
    },
    "diverged": {"step": int, "lr": float, "message": str},
}


def name_of(label: str, seed: int, profile: str) -> str:
    """The name of the file that holds the record of one run."""
    return f"{label}-seed{seed}-{profile}.json"


def folder_of(profile: str) -> Path:
    """The folder for the records of a profile: ``book/results``; for smoke runs one in the user's cache.

    A smoke run is no result: it shows that an experiment runs, and the book knows nothing of it.
    """
    return cache_folder() / "smoke" if profile == "smoke" else RESULTS


def path_of(experiment: str, label: str, seed: int, profile: str, results: Path | None = None) -> Path:
    """Where the record of one run lives: in ``results``, by default in the folder of its profile."""
    return (results or folder_of(profile)) / experiment / name_of(label, seed, profile)


def digest(record: dict[str, Any]) -> str:
    """SHA-256 over every field but the digest itself, in canonical JSON."""
    body = {key: value for key, value in record.items() if key != "digest"}
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def write(record: dict[str, Any], path: Path) -> None:
    """Write the record with its digest; the file appears whole or not at all."""
    lacking = [name for name in FIELDS if name not in record]
    if lacking:
        raise ValueError(f"a record for {path.name} lacks {', '.join(lacking)}")
    text = as_text({**record, "digest": digest(record)})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise not_written(path, "the record", error, GO_ON) from error
    with whole(path, "the record", path.with_name(f"{path.stem}.{os.getpid()}.part"), GO_ON) as file:
        file.write((text + "\n").encode())
    for left in list(path.parent.glob("*.part")):
        if left.name.startswith(f"{path.stem}."):  # of a process that was killed while it wrote this record
            left.unlink(missing_ok=True)


def as_text(value: Any, indent: int = 0) -> str:
    """JSON with one line for each entry of an object and for each list of plain values, however long."""
    if not isinstance(value, dict | list | tuple) or not value:
        return json.dumps(value, allow_nan=False)
    if isinstance(value, dict):
        lines = [f"{json.dumps(str(key))}: {as_text(value[key], indent + 1)}" for key in sorted(value)]
    elif any(isinstance(entry, dict | list | tuple) for entry in value):
        lines = [as_text(entry, indent + 1) for entry in value]
    else:
        return json.dumps(value, separators=(",", ":"), allow_nan=False)
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    pad = "\n" + " " * (indent + 1)
    return opening + pad + f",{pad}".join(lines) + "\n" + " " * indent + closing


def read(path: Path) -> dict[str, Any]:
    """The record in ``path``; ``ValueError`` naming the file if it is damaged or that of another run."""
    record, found = _read(path)
    if found:
        raise ValueError(f"{path}: {'; '.join(found)}")
    return record


def faults_of_file(path: Path) -> list[str]:
    """What is wrong with the record in ``path``, one sentence each; empty if it is sound."""
    try:
        return _read(path)[1]
    except OSError as error:
        return [f"it cannot be read: {error.strerror or error}"]


def faults_of_all(results: Path, known: Mapping[str, Collection[str]] | None = None) -> dict[Path, list[str]]:
    """What is wrong with each record in a folder of results, none left out; a sound one has an empty list.

    ``known``: the labels of each experiment, where a record of anything else is to be complained of.
    """
    paths = sorted(
        path for path in results.rglob("*.json") if path.relative_to(results).parts[0] not in OTHERS
    )
    found = {path: faults_of_file(path) for path in paths}
    sound = [(path, read(path)) for path in paths if not found[path]]
    for path, record in sound:
        experiment, label = record["experiment"], record["configuration"]["label"]
        if path.parents[1] != results:
            found[path].append(
                f"it lies in {path.parent.relative_to(results)}/, where no record is looked for"
            )
        if known is not None and label not in known.get(experiment, ()):
            found[path].append(
                f"the catalogue has no configuration {label!r} of an experiment {experiment!r}"
            )
    for path, original in copies(sound).items():
        found[path].append(COPIED.format(original.relative_to(results)))
    return found


def _read(path: Path) -> tuple[Any, list[str]]:
    """What a file holds, and what is wrong with it."""
    try:
        record = parsed(path.read_text(encoding="utf-8"))
    except ValueError as error:
        return None, [f"it is not a record: {error}"]
    return record, faults(record) or faults_of_place(record, path)


def parsed(text: str) -> Any:
    """The value of a JSON text; ``ValueError`` also for NaN, infinity and a name that is given twice."""
    try:
        return json.loads(text, parse_constant=_no_number, parse_float=_finite, object_pairs_hook=_object)
    except RecursionError:
        raise ValueError("its lists or objects are nested too deeply") from None


def _no_number(name: str) -> float:
    raise ValueError(f"it holds {name}, which is no number")


def _finite(text: str) -> float:
    value = float(text)
    return value if abs(value) < float("inf") else _no_number(text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"it names {next(name for name in names if names.count(name) > 1)!r} twice")
    return value


def faults(record: Any) -> list[str]:
    """What is wrong with a record, one sentence each; empty if every figure in it can be derived again."""
    if not isinstance(record, dict):
        return ["it is not a JSON object"]
    lacking = [name for name in (*FIELDS, "digest") if name not in record]
    if lacking:
        return [f"it lacks {', '.join(lacking)}"]
    if record["format"] != FORMAT:
        return [f"format {record['format']!r}, this version reads {FORMAT}"]
    found = []
    if record["digest"] != digest(record):
        found.append("the digest does not fit: the file was changed after it was written")
    # figures are derived again only where all that they rest on is there and of its kind
    return found + (_faults_of_shape(record) or _faults_of_history(record) or _faults_of_result(record))


def faults_of_place(record: Mapping[str, Any], path: Path) -> list[str]:
    """Whether the file is that of another run: a copied or renamed record is not one run more."""
    label, experiment = record["configuration"]["label"], record["experiment"]
    name = name_of(label, record["seed"], record["profile"])
    if (path.parent.name, path.name) == (experiment, name):
        return []
    return [
        f"it is the record of {label!r} with seed {record['seed']} in the profile {record['profile']!r} of "
        f"{experiment!r}, whose file is {f'{experiment}/{name}'!r}: "
        "a copied or renamed record is not another run"
    ]


def copies(runs: Iterable[tuple[Path, Mapping[str, Any]]]) -> dict[Path, Path]:
    """Records that are copies under another name: file → the file before it with the same times.

    Two trainings never take the same time in every epoch, to the last digit of the clock.
    """
    first: dict[tuple[float, ...], Path] = {}
    found = {}
    for path, record in runs:
        times = tuple(record["history"]["seconds"])
        if times and first.setdefault(times, path) != path:
            found[path] = first[times]
    return found


def _faults_of_shape(record: Mapping[str, Any]) -> list[str]:
    """Fields that are missing or of another kind."""
    found = misshapen(record, FIELDS, WITHIN) + misshapen(record, OPTIONAL, optional=True)
    if record["profile"] not in PROFILES:
        found.append(f"profile is {record['profile']!r}, not {' or '.join(PROFILES)}")
    if isinstance(record["started"], str):
        try:
            datetime.datetime.fromisoformat(record["started"])
        except ValueError:
            found.append(f"started is {record['started']!r}, not a date and time")
    return found


def misshapen(
    value: Mapping[str, Any],
    kinds: Mapping[str, Kind],
    parts: Mapping[str, Mapping[str, Kind]] | None = None,
    within: str = "",
    optional: bool = False,
) -> list[str]:
    """Fields of an object, or of its ``parts``, that are missing or of another kind, one sentence each."""
    lacking = [f"{within}{name}" for name in kinds if name not in value and not optional]
    found = [f"it lacks {', '.join(lacking)}"] if lacking else []
    for name, kind in kinds.items():
        if name in value and not _is(value[name], kind):
            said = repr(value[name])
            told = said if len(said) <= 40 else f"{said[:40]}…"
            allowed = kind if isinstance(kind, tuple) else (kind,)
            found.append(f"{within}{name} is {told}, not {' or '.join(NAMES[one] for one in allowed)}")
    for name, of_part in (parts or {}).items():
        if isinstance(value.get(name), dict):
            found += misshapen(value[name], of_part, within=f"{within}{name}.")
    return found


def _is(value: Any, kind: Kind) -> bool:
    """Whether a value of JSON is of a kind; true and false are no numbers, whole numbers are numbers."""
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else kind)


def _faults_of_history(record: Mapping[str, Any]) -> list[str]:
    """Lists of the history that hold something else than one number for each epoch, or for each step."""
    history = record["history"]
    found = [
        f"history.{name}[{at}] is {value!r}, not a number"
        for name in WITHIN["history"]
        for at, value in enumerate(history[name])
        if not _is(value, float)
    ][:3]
    epochs = len(history["train_loss"])
    if record["result"] is not None and not epochs:
        found.append("its history has no epochs")
    for name in EPOCHS:
        # a loss that is infinite in validation ends a run between the two parts of an epoch
        shorter = record["result"] is None and name in ("valid_loss", "valid_accuracy")
        if len(history[name]) not in ({epochs, epochs - 1} if shorter else {epochs}):
            found.append(f"history.{name} has {len(history[name])} entries for {epochs} epochs")
    losses, rates = len(history["step_loss"]), len(history["step_lr"])
    if rates not in (0, losses):
        found.append(f"history.step_lr has {rates} entries for {losses} steps")
    return found


def _faults_of_result(record: Mapping[str, Any]) -> list[str]:
    """Figures of the result that do not follow from the rest of the record."""
    result, history = record["result"], record["history"]
    if result is None:
        return (
            [] if "diverged" in record else ["it has no result, and does not say that the training diverged"]
        )
    found = []
    epoch, epochs = result["epoch"], len(history["train_loss"])
    if not 0 <= epoch < epochs:
        return [f"result.epoch is {epoch}, and the history has {epochs} epochs, counted from 0"]
    for name in ("valid_loss", "valid_accuracy"):
        if history[name][epoch] != result[name]:
            found.append(
                f"{name} is {result[name]} but epoch {epoch} of the history says {history[name][epoch]}"
            )
    correct, images = result["test_correct"], result["test_images"]
    if images != record["dataset"]["test"]:
        found.append(f"test_images is {images}, and the dataset has {record['dataset']['test']} to test on")
    if not 0 <= correct <= images or images == 0:
        found.append(f"test_correct is {correct} of {images} images")
    elif result["test_accuracy"] != correct / images:
        found.append(f"test_accuracy {result['test_accuracy']} is not {correct} of {images}")
    return found
