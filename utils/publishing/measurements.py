"""The recorded measurements of the labs: which are due and why, and recording them anew.

A record lies in ``book/results/labs/<lab>.json``, one file for each lab, one entry for each function under
``@lab.measured``. It is due where there is none, where what the function rests on has changed since
(:mod:`utils.publishing.measured_code`), and where the function is gone.
"""

from __future__ import annotations

import math
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from utils.course.measured import FORMAT, RECORDING, digest_of, parsed_measurements
from utils.course.plain import from_json
from utils.experiments import provenance, records
from utils.publishing.fingerprint import MEASURED
from utils.publishing.measured_code import SIZES, MeasuredCode, measured_code
from utils.publishing.notebooks import ROOT, labs, read
from utils.training.files import whole

PROFILE = "quick"
CELL_TIMEOUT = 1800  # seconds
SHOWN = 8  # changes of a value that are told one by one


@dataclass(frozen=True)
class Due:
    """A measurement that must be recorded, with the reason; of a whole file where ``function`` is empty."""

    lab: str
    function: str
    why: str

    def __str__(self) -> str:
        return f"{self.lab}{f', {self.function}' if self.function else ''}: {self.why}"


def due_measurements(root: Path = ROOT) -> list[Due]:
    """The records that are missing, damaged or older than their function, and those of functions now gone."""
    stems = [path.stem for path in labs(root)]
    found = [one for path in labs(root) for one in due_in(path, root)]
    for path in sorted((root / MEASURED).glob("*.json")):
        if path.stem not in stems:
            found.append(Due(path.stem, "", "there is no such lab any more: delete its record"))
    return found


def due_in(path: Path, root: Path = ROOT) -> list[Due]:
    """What is due in one lab; ``ValueError`` if its measured functions break a rule."""
    lab, functions = path.stem, _functions(path)
    recorded, faults = _recorded(lab, root)
    if faults:
        return [Due(lab, "", f"the record is damaged ({'; '.join(faults)})")]
    found = [
        Due(lab, one.name, why) for one in functions if (why := _why(one, recorded.get(one.name))) is not None
    ]
    gone = sorted(set(recorded) - {one.name for one in functions})
    return found + [Due(lab, name, "the lab has no such measured function any more") for name in gone]


def record(path: Path, again: bool = False, root: Path = ROOT, timeout: int = CELL_TIMEOUT) -> list[str]:
    """Run a lab in the profile quick and record what is due in it, or all with ``again``; returns a report.

    Nothing is written unless every cell ran, on the data that the lab asks for: else ``RuntimeError``. What
    is not due keeps its record, so that its numbers in the prose stay as they are.
    """
    lab, functions = path.stem, {one.name: one for one in _functions(path)}
    due = due_in(path, root)
    if not functions and not due:
        return [f"{lab} has no measured functions"]
    if not due and not again:
        return [f"{lab}: nothing is due; --again measures anew"]
    recorded, faults = _recorded(lab, root)
    if faults:  # nothing of a damaged file is kept
        recorded = {}
    chosen = [name for name in functions if again or faults or name in {one.function for one in due}]
    report = [str(one) for one in due]
    kept = {name: recorded[name] for name in functions if name not in chosen}
    if chosen:
        commit = _commit(path, root)  # of the code that runs now, whatever is committed meanwhile
        measured = _measured(path, timeout)
        _refuse(lab, set(functions), measured)
        if commit.endswith("+"):
            report.append(f"the commit is noted as {commit}: the lab or utils/ have changes on top of it")
        for name in chosen:
            new = {**measured[name], "code": functions[name].code, "commit": commit}
            new["digest"] = digest_of(lab, name, new)
            report += [f"{name}, {new['seconds']:g} s on {_titles(new)}", *_changes(recorded.get(name), new)]
            kept[name] = new
    _write(lab, kept, root)
    return report


def _functions(path: Path) -> list[MeasuredCode]:
    sources = [cell.source for cell in read(path).cells if cell.cell_type == "code"]
    try:
        return measured_code(sources)
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error


def _recorded(lab: str, root: Path) -> tuple[dict[str, Any], list[str]]:
    path = root / MEASURED / f"{lab}.json"
    return parsed_measurements(path) if path.exists() else ({}, [])


def _why(function: MeasuredCode, recorded: Mapping[str, Any] | None) -> str | None:
    """Why a measurement is due, or None."""
    if recorded is None:
        return "it was never recorded"
    old, new = recorded["code"], function.code
    changed = sorted(name for name in old | new if old.get(name) != new.get(name))
    if not changed:
        return None
    sizes = [
        f"{name} {old.get(name, 'unused')} → {new.get(name, 'unused')}"
        for name in changed
        if name.startswith(f"{SIZES}.")
    ]
    code = [name for name in changed if not name.startswith(f"{SIZES}.")]
    return f"since it was recorded {', '.join([*code, *sizes])} changed"


def _measured(path: Path, timeout: int) -> dict[str, dict[str, Any]]:
    """Run the lab and return what its measured functions left: name → measurement."""
    notebook: NotebookNode = read(path)
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "CNNLAB_PROFILE": PROFILE, RECORDING: folder}
        client = NotebookClient(notebook, timeout=timeout, resources={"metadata": {"path": str(path.parent)}})
        try:
            client.execute(env=environment)
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            raise RuntimeError(
                f"{path.stem} did not run to its end, so nothing is recorded: {error}"
            ) from error
        left = sorted(Path(folder).glob("*.json"))
        return {one.stem: records.parsed(one.read_text(encoding="utf-8")) for one in left}


def _refuse(lab: str, functions: set[str], measured: Mapping[str, Mapping[str, Any]]) -> None:
    if lacking := sorted(functions - set(measured)):
        raise RuntimeError(f"{lab} ran, but {', '.join(lacking)} was not called, so nothing is recorded")
    wanted = {
        data["instead_of"]: data["title"]
        for one in measured.values()
        for data in one["datasets"]
        if "instead_of" in data
    }
    if wanted:
        told = ", ".join(f"{title} stood in for {name}" for name, title in wanted.items())
        raise RuntimeError(
            f"{lab} did not run on the real data ({told}), so nothing is recorded: "
            f"see `python -m utils.data fetch {next(iter(wanted))}`"
        )


def _commit(path: Path, root: Path) -> str:
    """The commit, with ``+`` where ``utils/`` or this lab differ from it."""
    commit = provenance.commit(root)
    if commit == provenance.UNKNOWN or commit.endswith("+") or (root / provenance.COMMIT_FILE).is_file():
        return commit
    status = ["git", "status", "--porcelain", "--", str(path.relative_to(root))]
    changed = subprocess.run(
        status, cwd=root, capture_output=True, encoding="utf-8", check=True
    ).stdout.strip()
    return commit + ("+" if changed else "")


def _titles(measurement: Mapping[str, Any]) -> str:
    return ", ".join(data["title"] for data in measurement["datasets"]) or "no data set"


def _changes(old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> list[str]:
    """What differs between two measurements, a line for each of the first few numbers."""
    if old is None:
        return ["  new"]
    before, after = (dict(_leaves(from_json(one["value"]))) for one in (old, new))
    lines = [
        f"  {place or 'value'}: {before.get(place, 'absent')} → {after.get(place, 'absent')}"
        for place in {**before, **after}
        if before.get(place) != after.get(place)
    ]
    if not lines:
        return ["  the same values as before"]
    more = len(lines) - SHOWN
    return lines[:SHOWN] + ([f"  and {more} more"] if more > 0 else [])


def _leaves(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """The plain values in a value, each with its place, as text; an array is one, told by its mean."""
    if isinstance(value, dict):
        for key, entry in value.items():
            yield from _leaves(entry, f"{place}[{key!r}]")
    elif isinstance(value, list | tuple):
        for at, entry in enumerate(value):
            yield from _leaves(entry, f"{place}[{at}]")
    elif isinstance(value, np.ndarray | torch.Tensor):
        numbers = np.asarray(value.tolist(), dtype=float)
        mean = float(numbers.mean()) if numbers.size else math.nan
        digest = records.digest({"values": numbers.tolist()})[:6]
        yield place, f"{list(numbers.shape)} with mean {mean:.6g} ({digest})"
    else:
        yield place, str(value)


def _write(lab: str, measurements: Mapping[str, Any], root: Path) -> None:
    """Write a lab's file of records, whole or not at all; without measurements it is removed."""
    path = root / MEASURED / f"{lab}.json"
    if not measurements:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    text = records.as_text({"format": FORMAT, "lab": lab, "measurements": dict(measurements)})
    with whole(path, "the record", path.with_suffix(".part")) as file:
        file.write((text + "\n").encode())
