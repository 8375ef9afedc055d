"""The files of the queue itself in the cache folder: its lock, what it is at work on, its log."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from utils.data.folders import make_folder
from utils.experiments import unfinished


class AtWork(ValueError):
    """Another queue works on the same folder of records."""

    @classmethod
    def of(cls, pid: int | str) -> AtWork:
        """The error that names the other queue's process."""
        return cls(
            f"another queue is at work on these records (process {pid}); `--status` tells how far it is"
        )


@contextmanager
def alone(results: Path) -> Iterator[None]:
    """Keep a second queue from the same records: it gets :class:`AtWork`.

    The lock ends with the process.
    """
    folder = make_folder(unfinished.store(results))
    lock = FileLock(folder / "queue.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise AtWork.of(_read(results).get("pid", "unknown")) from error
    try:
        tell(results, ())
        yield
    finally:
        with suppress(OSError):
            _file(results).unlink(missing_ok=True)
        lock.release()


def tell(results: Path, running: Iterable[tuple]) -> None:
    """Note which runs the queue is at work on, for ``--status``."""
    told = {"pid": os.getpid(), "running": [list(key) for key in running], "at": time.time()}
    unfinished.replace_text(_file(results), json.dumps(told))


def running(results: Path) -> list[tuple]:
    """The keys of the runs that a queue is at work on; empty where no queue is alive."""
    if pid_of(results) is None:
        return []
    return [tuple(key) for key in _read(results).get("running", [])]


def pid_of(results: Path) -> int | None:
    """The process of the queue that is at work on these records; None if there is none."""
    folder = unfinished.store(results)
    if not (folder / "queue.lock").exists():
        return None
    lock = FileLock(folder / "queue.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        return _read(results).get("pid")
    lock.release()
    return None


def log_of(results: Path) -> Path:
    """The queue's log."""
    return unfinished.store(results) / "queue.log"


def _file(results: Path) -> Path:
    return unfinished.store(results) / "queue.json"


def _read(results: Path) -> dict[str, Any]:
    try:
        return json.loads(_file(results).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
