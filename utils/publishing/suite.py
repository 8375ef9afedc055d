"""``make test``: every test there is, step by step, with times and what was left out at the end."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from utils.publishing import nbgrader
from utils.publishing.notebooks import ROOT

RUFF = [sys.executable, "-m", "ruff"]
PYTEST = [sys.executable, "-m", "pytest", "-q"]
CELL_TIMEOUT = 600  # seconds for one cell of a notebook
PYTHON_FILES = ["utils", "tests", "book"]
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
        "loadscope",
        "labs",  # a notebook's cells belong into one kernel
    ],
    "exercises: solutions pass, stubs fail": [*PYTEST, "-m", "notebooks", "tests/labs"],
    "experiments behind the claims": [*PYTEST, "-m", "experiments", "tests/experiments"],
    "book": [sys.executable, "-m", "utils.publishing", "book", "--profile", "smoke"],
    "built pages in a browser": [*PYTEST, "-m", "book", "tests/book"],
}


def chromium() -> str | None:
    """Path of the browser that the page tests drive, or None."""
    return next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))),
        None,
    )


def run_suite(root: Path = ROOT) -> int:
    """Run all steps in the smoke profile, even after one has failed; returns 0 if all passed."""
    # two workers share two cores: with a pool of threads in each kernel they would mostly wait for each other
    environment = {**os.environ, "CNNLAB_PROFILE": "smoke", "OMP_NUM_THREADS": "1"}
    rows = []
    for name, command in STEPS.items():
        print(f"\n=== {name}", flush=True)
        began = time.perf_counter()
        status = subprocess.run(command, cwd=root, env=environment).returncode
        rows.append((name, status, time.perf_counter() - began))
    print("\n=== summary")
    for name, status, seconds in rows:
        print(f"{'passed' if status == 0 else 'FAILED':7} {seconds:6.0f} s  {name}")
    print(f"        {sum(row[2] for row in rows):6.0f} s  together")
    if chromium() is None:
        print("Chromium was not found: the explorers and the built pages were NOT tested in a browser.")
    if nbgrader.installed() is None:
        print("nbgrader was not found: its metadata were checked, but NO lab was graded by nbgrader itself.")
    return int(any(status for _, status, _ in rows))
