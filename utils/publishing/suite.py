"""``make test``: every test there is, step by step, with times and what was left out at the end."""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from utils.publishing import nbgrader
from utils.publishing.notebooks import ROOT
from utils.publishing.steps import LOGS, Step, Steps, duration, run_logged

RUFF = [sys.executable, "-m", "ruff"]
PYTEST = [sys.executable, "-m", "pytest", "-q", "-rs"]  # with the reasons of what was skipped
CELL_TIMEOUT = 600  # seconds for one cell of a notebook
PYTHON_FILES = ["utils", "tests", "book", "conftest.py"]
WITH_KERNELS = ["tests/labs", "tests/course", "tests/publishing"]
LAB_WIDTH = "88"  # columns of a code cell: what fits beside the contents of the book
STEPS: dict[str, list[str]] = {
    "gate: layout (make format)": [*RUFF, "format", "--check", *PYTHON_FILES],
    "gate: layout of the labs": [
        *RUFF,
        "format",
        "--check",
        "--isolated",
        "--line-length",
        LAB_WIDTH,
        "labs",
    ],
    "gate: lint": [*RUFF, "check", *PYTHON_FILES],
    "gate: lint of the labs": [*RUFF, "check", "--isolated", "--select", "F", "labs"],
    "gate: types": [sys.executable, "-m", "mypy"],
    "unit tests": PYTEST,
    "labs, every cell": [
        *PYTEST,
        "--nbval-lax",
        "--nbval-current-env",
        f"--nbval-cell-timeout={CELL_TIMEOUT}",
        "-m",
        "",
        "--dist",
        "loadscope",  # a notebook's cells belong into one kernel
        "labs",
    ],
    "exercises, and commands that start kernels": [*PYTEST, "-m", "notebooks", *WITH_KERNELS],
    "experiments behind the claims": [*PYTEST, "-m", "experiments", "tests/experiments"],
    "book": [sys.executable, "-m", "utils.publishing", "book", "--profile", "smoke"],
    "built pages in a browser": [*PYTEST, "-m", "book", "tests/book"],
}
SECONDS = {  # on two cores, told until a step has been done here
    "gate: types": 25,
    "unit tests": 320,
    "labs, every cell": 320,
    "exercises, and commands that start kernels": 120,
    "experiments behind the claims": 125,
    "book": 250,
    "built pages in a browser": 120,
}
# pytest's last line
CLOSING = re.compile(r"^=*\s*((?:\d+ [a-z]+(?:, )?)+ in [\d.]+s.*?)\s*=*$", re.MULTILINE)
SKIPPED = re.compile(r"^SKIPPED \[(\d+)\] \S+?(?::\d+)?: (.+)$", re.MULTILINE)
NO_BROWSER = "Chromium was not found: the explorers and the built pages {} in a browser."
NO_NBGRADER = "nbgrader was not found: NO lab {} by nbgrader itself, only its metadata are checked."


@dataclass(frozen=True)
class Outcome:
    """How a step ended, and all that it said."""

    name: str
    status: int
    seconds: float
    said: str

    @property
    def closing(self) -> str:
        """The line in which pytest counts, or nothing."""
        return next(reversed(CLOSING.findall(self.said)), "")

    @property
    def skipped(self) -> Counter[str]:
        """Reason → how many tests were skipped for it."""
        found: Counter[str] = Counter()
        for count, reason in SKIPPED.findall(self.said):
            found[reason] += int(count)
        return found

    @property
    def word(self) -> str:
        """How it ended, in one word, which is not "passed" where no test ran."""
        if self.status:
            return "FAILED"
        return "SKIPPED" if "skipped" in self.closing and " passed" not in self.closing else "passed"


def chromium() -> str | None:
    """Path of the browser that the page tests drive, or None."""
    return next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))),
        None,
    )


def run_suite(root: Path = ROOT, commands: Mapping[str, list[str]] = STEPS) -> int:
    """Run all steps in the smoke profile, even after one has failed; returns 0 if all passed.

    Of a step that failed, all that it said is shown; of the others one line, and pytest's own last line.
    """
    # two workers share two cores: with a pool of threads in each kernel they would mostly wait for each other
    environment = {**os.environ, "CNNLAB_PROFILE": "smoke", "OMP_NUM_THREADS": "1"}
    steps = Steps([Step(name, name, SECONDS.get(name, 1)) for name in commands], root)
    whole = duration(sum(map(steps.expected, steps.steps)))
    print(f"Every test: {len(commands)} steps, about {whole}. What each step says: {root / LOGS}")
    print("".join(f"{line}\n" for line in not_tested(ahead=True)), end="", flush=True)
    outcomes = []
    for number, (name, command) in enumerate(commands.items(), 1):
        log = root / LOGS / f"test-{number}.log"
        with steps.take(name) as progress:
            began = time.perf_counter()
            status = run_logged(command, log, cwd=root, environment=environment, progress=progress)
            said = log.read_text(encoding="utf-8", errors="replace")
            outcomes.append(outcome := Outcome(name, status, time.perf_counter() - began, said))
            progress.result, progress.failed = outcome.word, bool(status)
        if status:
            print(f"\n=== {name}: FAILED, exit status {status}\n{said.rstrip()}\n===\n", flush=True)
        elif outcome.closing:
            print(outcome.closing, flush=True)
    print("\n".join(["", "=== summary", *summary(outcomes), *not_tested()]), flush=True)
    return int(any(outcome.status for outcome in outcomes))


def summary(outcomes: list[Outcome]) -> list[str]:
    """A line for each step, with what it skipped and why, and one for all of them."""
    lines = []
    for each in outcomes:
        lines.append(f"{each.word:7} {each.seconds:6.0f} s  {each.name}")
        lines += [f"{'':18}{count} skipped: {reason}" for reason, count in each.skipped.items()]
    return [*lines, f"{'':7} {sum(each.seconds for each in outcomes):6.0f} s  together"]


def not_tested(ahead: bool = False) -> list[str]:
    """What this machine cannot test, one sentence each; ``ahead``: as it is said before the tests."""
    lines = [] if chromium() else [NO_BROWSER.format("will NOT be tested" if ahead else "were NOT tested")]
    if nbgrader.installed() is None:
        lines.append(NO_NBGRADER.format("will be graded" if ahead else "was graded"))
    return lines
