"""What the set-up cell of every lab does after it has found the project. Standard library only: nothing may be installed yet.

On a host that brings its own torch and numpy (Colab, Kaggle) only what is missing is installed, with the host's versions of
everything else held fixed, so that nothing already imported is replaced and no restart is needed.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

SECTION = "# the package behind the labs"  # the part of requirements.txt that a lab needs to run


def prepare(root: Path) -> None:
    """Make a running kernel ready for a lab: nothing that a lab imports is missing. ``RuntimeError`` if an installation failed."""
    anchor_data_folder(root)
    needed = missing(requirements(root))
    if needed:
        install(needed)


def anchor_data_folder(root: Path) -> None:
    """A relative ``CNNLAB_DATA`` is counted from the project's root, wherever the kernel was started."""
    folder = os.environ.get("CNNLAB_DATA", "")
    if folder:
        os.environ["CNNLAB_DATA"] = str((root / folder).resolve())


def requirements(root: Path) -> list[str]:
    """The requirement lines that a lab needs at run time, such as ``torch>=2.6``, from ``requirements.txt``."""
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
    """Install the requirements into the running environment without changing any package that is already there."""
    print(f"Installing what this host lacks: {', '.join(_name(line) for line in lines)} …")
    with tempfile.TemporaryDirectory() as folder:
        held = Path(folder) / "installed.txt"
        held.write_text("".join(f"{line}\n" for line in installed()), encoding="utf-8")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "-c", str(held), *lines]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"pip could not install {', '.join(lines)}:\n{done.stderr.strip()[-2000:]}")
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
