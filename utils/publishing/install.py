"""The environment in ``.venv``: ``python -m utils.publishing.install``, once, before anything else.

It runs in the Python that makes the environment, which has nothing but the standard library.
"""

import os
import subprocess
import sys
from pathlib import Path

from utils.console import print_anywhere

OLDEST, NEWEST = (3, 11), (3, 13)
ROOT = Path(__file__).resolve().parents[2]
FOLDER = ".venv"
READY = ".ready"  # a file in it, newer than the requirements, once all is installed
LISTS = ("requirements.txt", "constraints.txt")
MINUTES = 4  # on a good line, without a cache of pip


def install(root: Path = ROOT) -> None:
    """Make ``.venv`` or bring it up to date, with one line that says so.

    ``RuntimeError`` with pip's own reason if that failed.
    """
    from utils.publishing.steps import LOGS, Step, Steps, last_lines, run_logged

    folder, log = root / FOLDER, root / LOGS / "pip.log"
    steps = Steps([Step("install", "install what is needed in .venv, once, 6 GB", 60 * MINUTES)], root)
    with steps.take("install") as progress:
        made = subprocess.run([sys.executable, "-m", "venv", str(folder)], capture_output=True)
        if made.returncode:
            why = (made.stderr + made.stdout).decode(errors="replace").strip()
            raise RuntimeError(f"{folder} could not be made by {sys.executable}: {why}")
        pip = [python(root), "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off"]
        asked = [*pip, "-r", root / LISTS[0], "-c", root / LISTS[1]]
        if run_logged(asked, log, cwd=root, progress=progress, share_of=_counting(root)):
            raise RuntimeError(f"pip could not install what is needed. {last_lines(log, most=15)}")
        progress.result = "done"
    (folder / READY).touch()


def _counting(root):
    """How far pip is, by the packages that it has looked up: the constraints name about as many."""
    total, seen = len((root / LISTS[1]).read_text(encoding="utf-8").splitlines()), [0]

    def share_of(line):
        if not line.startswith(("Collecting ", "Requirement already")):
            return None
        seen[0] += 1
        return 0.7 * min(1, seen[0] / total)  # what is left is to unpack them

    return share_of


def is_ready(root: Path = ROOT) -> bool:
    """Whether ``.venv`` has been installed since the requirements were last changed."""
    mark = root / FOLDER / READY
    return mark.exists() and mark.stat().st_mtime >= max((root / each).stat().st_mtime for each in LISTS)


def python(root: Path = ROOT) -> Path:
    """The Python of the environment."""
    return root / FOLDER / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def main() -> int:
    """Install unless that has been done; returns the exit status."""
    here = sys.version.split()[0]
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        told = (
            "error: Python 3.11 to 3.13 is needed, this is {}; start one of these, or make PYTHON=python3.12"
        )
        print(told.format(here), file=sys.stderr)
        return 1
    try:
        if not is_ready():
            install()
    except (RuntimeError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    print_anywhere()
    sys.exit(main())
