"""What an unfinished run needs to go on, kept in the user's cache folder, beyond the working tree.

The runs of one results folder have one folder there. Beside a run's checkpoints lies its *origin*: the
commits of the code and the machines that it has run on so far, and a digest of what it was asked to do.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from utils.data.folders import cache_folder, make_folder
from utils.experiments.configuration import Budget, Configuration
from utils.experiments.methods import checkpoint_files
from utils.training.files import whole

OTHER_CACHE = "free some space, or set CNNLAB_CACHE to a folder that can be written to"


@dataclass(frozen=True)
class Origin:
    """Where an unfinished run comes from; both lists in the order in which they came in, each entry once."""

    definition: str
    commits: tuple[str, ...] = ()
    machines: tuple[dict[str, Any], ...] = field(default=())

    def also(self, commit: str, machine: dict[str, Any]) -> Origin:
        """The same run, gone on with this code on this machine."""
        commits = self.commits if commit in self.commits else (*self.commits, commit)
        machines = self.machines if machine in self.machines else (*self.machines, machine)
        return Origin(self.definition, commits, machines)


def definition_of(configuration: Configuration, budget: Budget) -> str:
    """A digest of all that decides what a run does, but for its seed and the code."""
    size = {name: value for name, value in asdict(budget).items() if name != "seeds"}
    text = json.dumps([configuration.as_dict(), size], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def store(results: Path) -> Path:
    """The folder for the unfinished runs of a folder of records, not created here."""
    digest = hashlib.sha256(str(results.absolute()).encode()).hexdigest()[:12]
    return cache_folder() / "runs" / digest


def file_of(record: Path, suffix: str) -> Path:
    """A file of the run that will be recorded in ``record``, such as its ``.checkpoint`` or its ``.log``."""
    return store(record.parents[1]) / record.parent.name / f"{record.stem}{suffix}"


def checkpoint_of(record: Path) -> Path:
    """Where the training that makes the record keeps its state."""
    return file_of(record, ".checkpoint")


def is_begun(record: Path) -> bool:
    """Whether there is a checkpoint that the run can go on from."""
    return any(file.exists() for file in checkpoint_files(checkpoint_of(record)))


def origin_of(record: Path) -> Origin | None:
    """The origin of an unfinished run; None where there is none, or none that can be read."""
    try:
        told = json.loads(file_of(record, ".origin").read_text(encoding="utf-8"))
        return Origin(str(told["definition"]), tuple(told["commits"]), tuple(told["machines"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def begin(record: Path, definition: str, commit: str, machine: dict[str, Any]) -> Origin:
    """Note that the run begins, or goes on, with this code on this machine; returns all of its origin."""
    known = origin_of(record) if is_begun(record) else None
    origin = (known or Origin(definition)).also(commit, machine)
    path = file_of(record, ".origin")
    make_folder(path.parent)
    replace_text(path, json.dumps(asdict(origin), indent=1))
    return origin


def forget(record: Path) -> None:
    """Remove everything of an unfinished run but its log."""
    for path in _files(record):
        path.unlink(missing_ok=True)


def replace_text(path: Path, text: str, remedy: str = OTHER_CACHE) -> None:
    """The file is the old one or the new one, never a part; ``remedy`` is told where it cannot be written."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with whole(path, "the file", part, remedy, durable=False) as file:
        file.write(text.encode())


def _files(record: Path) -> Iterator[Path]:
    """Checkpoints, origin and half-written files; also beside the record, where they once lay."""
    for checkpoint in (checkpoint_of(record), record.with_suffix(".checkpoint")):
        for file in checkpoint_files(checkpoint):
            yield file
            yield file.with_name(f"{file.name}.partial")
    origin = file_of(record, ".origin")
    yield origin
    if origin.parent.is_dir():
        yield from (
            file
            for file in list(origin.parent.iterdir())
            if file.name.startswith(f"{origin.name}.") and file.suffix == ".part"
        )
