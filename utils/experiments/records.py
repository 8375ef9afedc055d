"""A finished run as one JSON file that can be checked: what was run, on what, with which result, under a digest.

Optional fields: ``machines`` (every machine that the run was trained on) and ``commits`` (where it went on with other code than it began
with). The record of a training that diverged has no result; ``diverged`` says at which step and learning rate, and the history ends before it.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parents[2] / "book" / "results"
FORMAT = 1
FIELDS = (
    "format",
    "experiment",
    "configuration",
    "seed",
    "profile",
    "history",
    "result",
    "model",
    "dataset",
    "device",
    "versions",
    "commit",
    "started",
    "seconds",
)


def path_of(experiment: str, label: str, seed: int, profile: str, results: Path | None = None) -> Path:
    """Where the record of one run lives."""
    return (results or RESULTS) / experiment / f"{label}-seed{seed}-{profile}.json"


def digest(record: dict[str, Any]) -> str:
    """SHA-256 over every field but the digest itself, in canonical JSON."""
    body = {key: value for key, value in record.items() if key != "digest"}
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def write(record: dict[str, Any], path: Path) -> None:
    """Write the record with its digest; the file appears whole or not at all."""
    lacking = [name for name in FIELDS if name not in record]
    if lacking:
        raise ValueError(f"a record for {path.name} lacks {', '.join(lacking)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    text = as_text({**record, "digest": digest(record)})
    part = path.with_name(f"{path.stem}.{os.getpid()}.part")
    part.write_text(text + "\n", encoding="utf-8")
    os.replace(part, path)
    for left in list(
        path.parent.glob("*.part")
    ):  # of processes that were killed while they wrote this record
        if left.name.startswith(f"{path.stem}."):
            left.unlink(missing_ok=True)


def as_text(value: Any, indent: int = 0) -> str:
    """JSON with one line for each entry of an object, and one line for each list of plain values, however long."""
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
    """The record in ``path``; ``ValueError`` naming the file if it is not one or its digest does not fit."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a record: {error}") from error
    found = faults(record)
    if found:
        raise ValueError(f"{path}: {'; '.join(found)}")
    return record


def faults_of_file(path: Path) -> list[str]:
    """What is wrong with the record in ``path``, one sentence each; empty if it is sound."""
    try:
        read(path)
    except ValueError as error:
        return [str(error)]
    return []


def faults(record: Any) -> list[str]:
    """What is wrong with a record, one sentence each; empty if every figure in it can be derived again."""
    if not isinstance(record, dict):
        return ["not a JSON object"]
    lacking = [name for name in (*FIELDS, "digest") if name not in record]
    if lacking:
        return [f"lacks {', '.join(lacking)}"]
    if record["format"] != FORMAT:
        return [f"format {record['format']!r}, this version reads {FORMAT}"]
    found = []
    if record["digest"] != digest(record):
        found.append("the digest does not fit: the file was changed after it was written")
    return found + _faults_of_result(record)


def _faults_of_result(record: dict[str, Any]) -> list[str]:
    """Figures of the result that do not follow from the rest of the record."""
    result, history = record["result"], record["history"]
    if result is None:
        return (
            [] if "diverged" in record else ["it has no result, and does not say that the training diverged"]
        )
    found = []
    epoch = result["epoch"]
    for name in ("valid_loss", "valid_accuracy"):
        if history[name][epoch] != result[name]:
            found.append(
                f"{name} is {result[name]} but epoch {epoch} of the history says {history[name][epoch]}"
            )
    if result["test_accuracy"] != result["test_correct"] / result["test_images"]:
        found.append(
            f"test_accuracy {result['test_accuracy']} is not {result['test_correct']} of {result['test_images']}"
        )
    return found
