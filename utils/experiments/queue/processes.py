"""Starting and ending the processes of the queue, each in a session of its own, with a log."""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from utils.experiments.catalogue.order import Run
from utils.experiments.queue import priority
from utils.experiments.queue.worker import BUSY

ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
PACKAGE = "utils.experiments.queue"
IDLE = getattr(subprocess, "IDLE_PRIORITY_CLASS", 0)  # Windows has a priority for this


@dataclass(frozen=True)
class Place:
    """Where a process works: device, core (None: any), folder of records; ``front``: at ordinary priority."""

    device: str
    core: int | None
    results: Path
    front: bool = False


@dataclass
class Job:
    """A process at work on a run; ``timing`` if it only measures the speed."""

    run: Run
    process: subprocess.Popen
    log: Path
    timing: bool = False
    started: float = field(default_factory=time.monotonic)

    def is_over(self) -> bool:
        """Whether the process has ended."""
        return self.process.poll() is not None

    def stop(self) -> None:
        """End the process now; a run keeps its checkpoint of the last epoch."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._close()

    def outcome(self) -> str:
        """How a process that is over has ended: "done", "busy", or the last line of its error."""
        self._close()
        status = self.process.returncode
        if status == 0:
            return "done"
        if status == BUSY:
            return "busy"
        if status < 0:
            return f"it was killed (signal {-status})"
        return last_line(self.log)

    def printed(self) -> dict | None:
        """The JSON object in the last line of the log; None if there is none."""
        try:
            told = json.loads(last_line(self.log))
        except ValueError:
            return None
        return told if isinstance(told, dict) else None

    def _close(self) -> None:
        if self.process.stdin:
            self.process.stdin.close()


def last_line(log: Path) -> str:
    """The last line that says anything."""
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it said nothing"


def start(module: str, run: Run, code: Path, place: Place, log: Path) -> Job:
    """Start ``worker`` or ``timing`` for a run, with the code in that folder."""
    command = [
        sys.executable, "-m", f"{PACKAGE}.{module}", run.experiment.id, run.configuration.label,
        "--seed", str(run.seed), "--profile", run.profile,
        "--device", place.device, "--results", str(place.results),
    ]  # fmt: skip
    timing = module == "timing"
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "w" if timing else "a", encoding="utf-8") as file:
        if not timing:
            file.write(f"\n=== {datetime.datetime.now():%Y-%m-%d %H:%M:%S}: {run.title}, code in {code}\n")
            file.flush()
        process = subprocess.Popen(
            command if place.front else [*behind(place.core), *command],
            cwd=code,
            env=environment(code, one_thread=place.device.startswith("cpu")),
            start_new_session=True,
            stdin=subprocess.PIPE,
            stdout=file,
            stderr=subprocess.STDOUT,
            creationflags=0 if place.front else IDLE,
        )
    return Job(run, process, log, timing)


def behind(core: int | None) -> list[str]:
    """What a command begins with, so that its process steps back first."""
    return (
        [] if IDLE else [sys.executable, "-I", priority.__file__, priority.ANY if core is None else str(core)]
    )


def refusals(core: int | None, bound: bool) -> list[str]:
    """What this system refuses to a process that steps back; ``bound``: it should have a core of its own."""
    unbound = ["no core of its own (not known on this system)"] if bound and core is None else []
    if IDLE:
        return unbound
    told = subprocess.run(
        behind(core),
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    return [line for line in told.stdout.splitlines() if line] + unbound


def environment(code: Path, one_thread: bool = True) -> dict[str, str]:
    """The environment of a process that imports from that folder."""
    limits = dict.fromkeys(ONE_THREAD, "1") if one_thread else {}
    return {**os.environ, **limits, "PYTHONPATH": str(code), "PYTHONUNBUFFERED": "1"}
