"""What the set-up cell of every lab does after it has found the project, with the standard library only.

On a host that brings its own torch and numpy (Colab, Kaggle) only what is missing is installed, with the
host's versions of everything else held fixed, so that nothing already imported is replaced and no restart is
needed.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path

OLDEST_PYTHON = (3, 11)
CLONE = "convolution-lab"  # the folder that the set-up cell fetches the project into
NEEDED = ("requirements.txt", "utils/__init__.py", "utils/data", "utils/models", "utils/training")
SECTION = "# the package behind the labs"  # the part of requirements.txt that a lab needs to run


def prepare(root: Path) -> None:
    """Make a running kernel ready for a lab, so that nothing that it imports is missing.

    ``RuntimeError`` in one sentence if the kernel's Python is too old, the project is there in part only, or
    an installation failed.
    """
    if sys.version_info < OLDEST_PYTHON:
        needed = ".".join(map(str, OLDEST_PYTHON))
        raise RuntimeError(
            f"Python {needed} or newer is needed, this kernel runs {platform.python_version()}."
        )
    check_whole(root)
    anchor_data_folder(root)
    needed = missing(requirements(root))
    if needed:
        install(needed)


def check_whole(root: Path) -> None:
    """``RuntimeError`` if the project was fetched or copied in part only."""
    git = root / ".git"
    # git writes its index last; until then it holds the lock
    broken_off = git.is_dir() and ((git / "index.lock").exists() or not (git / "index").exists())
    absent = [name for name in NEEDED if not (root / name).exists()]
    if broken_off and root.name == CLONE:
        raise RuntimeError(
            f"{root} was not fetched to its end: delete this folder, then run this cell again."
        )
    if absent:
        raise RuntimeError(
            f"{root} is not the whole project, {', '.join(absent)} missing: download or copy all of it."
        )


def anchor_data_folder(root: Path) -> None:
    """A relative ``CNNLAB_DATA`` is counted from the project's root, wherever the kernel was started."""
    folder = os.environ.get("CNNLAB_DATA", "")
    if folder:
        os.environ["CNNLAB_DATA"] = str((root / Path(folder).expanduser()).resolve())


def requirements(root: Path) -> list[str]:
    """The lines of ``requirements.txt`` that a lab needs at run time, such as ``torch>=2.6``."""
    lines = (root / "requirements.txt").read_text(encoding="utf-8").splitlines()
    if SECTION not in lines:
        raise RuntimeError(f"requirements.txt has no section {SECTION!r}")
    chosen: list[str] = []
    for line in lines[lines.index(SECTION) + 1 :]:
        if line.startswith("#"):
            break
        if line.strip():
            chosen.append(line.strip())
    return chosen


def missing(lines: list[str]) -> list[str]:
    """Those requirements of which no version at all is installed; a host's older version is left alone."""
    absent = []
    for line in lines:
        try:
            importlib.metadata.distribution(_name(line))
        except importlib.metadata.PackageNotFoundError:
            absent.append(line)
    return absent


def install(lines: list[str]) -> None:
    """Install the requirements into the running environment and change no package that is already there."""
    print(f"Installing what this host lacks: {', '.join(_name(line) for line in lines)} …")
    with tempfile.TemporaryDirectory() as folder:
        held = Path(folder) / "installed.txt"
        held.write_text("".join(f"{line}\n" for line in installed()), encoding="utf-8")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "-c", str(held), *lines]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace")
    if done.returncode:
        told = [line.strip() for line in done.stderr.splitlines() if line.strip()] or ["it gave no reason"]
        why = next((line for line in reversed(told) if line.startswith("ERROR")), told[-1])
        raise RuntimeError(
            f"pip could not install {', '.join(lines)} ({why.removeprefix('ERROR: ')}). This needs a network "
            "(Kaggle: Settings → Internet on), once."
        )
    importlib.invalidate_caches()


def installed() -> list[str]:
    """Every installed distribution as a constraint ``name==version``."""
    found = {
        (d.metadata["Name"], d.version) for d in importlib.metadata.distributions() if d.metadata["Name"]
    }
    # a local version such as 2.15.0+cpu can be held only as it is written
    return sorted(f"{name}=={version}" for name, version in found)


def _name(requirement: str) -> str:
    return re.split(r"[<>=!~;\[ ]", requirement, maxsplit=1)[0]
