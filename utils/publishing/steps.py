"""What a command tells the person who started it: one line for each step, with its minutes and those left.

The standard library only: the first step is to install everything else. What other programs say goes into a
log file, which is named where something has failed.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

LOGS = Path("_build") / "logs"  # below the project's root; how long the steps took here stands there, too
DOTS = 10  # for a whole step
PERCENT = re.compile(r"\[\s*(\d{1,3})%\]")  # how pytest and Sphinx say how far they are
COLOR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")  # and other orders to a terminal
LAST_LINES = 40  # of a log, shown where something has failed


@dataclass(frozen=True)
class Step:
    """A step of a command.

    key: a name that does not change, under which its time is kept. usual: seconds for one of its ``units``
    on two cores, told until the step has been done on this machine.
    """

    key: str
    text: str
    usual: float
    units: int = 1


class Progress:
    """The open line of a step: dots as it goes on, and how it ended."""

    def __init__(self) -> None:
        self.result, self.failed = "", False  # what failed early says nothing of how long it takes
        self._dots, self._open = 0, True

    def share(self, done: float) -> None:
        """Bring the dots to ``done``, a number from 0 to 1; they never go back."""
        due = min(DOTS, int(DOTS * done)) - self._dots
        if due > 0 and self._open:
            print("." * due, end="", flush=True)
            self._dots += due

    def say(self, line: str) -> None:
        """A line of its own, for what cannot wait until the step has ended."""
        print(f"\n     {line}" if self._open else f"     {line}", flush=True)
        self._open = False

    def end(self, seconds: float) -> None:
        """Close the line with how the step ended and how long it took."""
        ended = f"{self.result} in {duration(seconds)}" if self.result else duration(seconds)
        print(f" {ended}" if self._open else f"     {ended}", flush=True)


class Steps:
    """The steps of one command, told one after another, and the seconds that each took here the last time."""

    def __init__(self, steps: Sequence[Step], root: Path) -> None:
        self.steps, self._file = list(steps), root / LOGS / "seconds.json"
        self._kept = _seconds(self._file)

    def expected(self, step: Step) -> float:
        """The seconds that a step is likely to take."""
        return self._kept.get(step.key, step.usual) * step.units

    @contextmanager
    def take(self, key: str) -> Iterator[Progress]:
        """Do a step inside of this: its line begins with what it does and how long, and ends with its time.

        ``ValueError`` if there is no such step.
        """
        number = next((n for n, each in enumerate(self.steps) if each.key == key), None)
        if number is None:
            raise ValueError(f"no step {key!r}; there are {', '.join(each.key for each in self.steps)}")
        step, rest = self.steps[number], self.steps[number:]
        told = f"about {duration(self.expected(step))}"
        if len(rest) > 1:
            told += f", {duration(sum(map(self.expected, rest)))} to the end"
        print(f"{number + 1}/{len(self.steps)}  {step.text} ({told}) ", end="", flush=True)
        progress, began = Progress(), time.perf_counter()
        try:
            yield progress
        except BaseException:
            progress.result = progress.result or "not done"
            raise
        else:
            if step.units and not progress.failed:
                self._keep(key, (time.perf_counter() - began) / step.units)
        finally:
            progress.end(time.perf_counter() - began)

    def _keep(self, key: str, seconds: float) -> None:
        kept = {**_seconds(self._file), key: round(seconds, 2)}
        self._file.parent.mkdir(parents=True, exist_ok=True)
        partial = self._file.with_suffix(f".{os.getpid()}.part")
        partial.write_text(json.dumps(kept, indent=1), encoding="utf-8")
        partial.replace(self._file)


def duration(seconds: float) -> str:
    """Seconds as a person says them: "40 s", "3.5 min", "14 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 570 else f"{seconds / 60:.0f} min"


def run_logged(
    command: Sequence[str | os.PathLike],
    log: Path,
    *,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    progress: Progress | None = None,
    share_of: Callable[[str], float | None] | None = None,
) -> int:
    """Run a command with all that it says in the file ``log``; returns its exit status.

    share_of: a line of it → how far the command is, from 0 to 1, or None; by default a percentage in
    brackets.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    # in one encoding on every system, whatever the terminal has
    surroundings = {**(os.environ if environment is None else environment), "PYTHONIOENCODING": "utf-8"}
    with open(log, "w", encoding="utf-8") as file:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=surroundings,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        )
        assert process.stdout is not None
        try:
            for told in process.stdout:
                line = COLOR.sub("", told)
                file.write(line)
                file.flush()
                share = (share_of or percentage)(line)
                if progress and share is not None:
                    progress.share(share)
        except BaseException:
            process.terminate()
            raise
        finally:
            process.wait()
    return process.returncode


def percentage(line: str) -> float | None:
    """The last percentage in brackets of a line, as a number from 0 to 1."""
    found = PERCENT.findall(line)
    return int(found[-1]) / 100 if found else None


def last_lines(log: Path, most: int = LAST_LINES) -> str:
    """The end of a log, without empty lines, below a line that names the file."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    told = [line.rstrip() for line in lines if line.strip()]
    return "\n".join([f"The last lines of {log}:", *(f"  {line}" for line in told[-most:])])


def _seconds(file: Path) -> dict[str, float]:
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {key: float(value) for key, value in kept.items()} if isinstance(kept, dict) else {}
