"""``make weekly``: all labs on the newest packages, and an issue that says which fail and why.

The versions in ``constraints.txt`` are those that are known to work together. A student who installs next
month gets newer ones, so once a week the labs run on what is newest, and a person is told if one fails. The
standard library only, since nothing is installed yet when this begins:
``python -m utils.publishing.weekly`` runs the labs, and the same with ``--issue`` tells of what failed. These
are two commands, so that none of the new packages runs where the right to write issues is.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from utils.console import print_anywhere

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path("_build") / "weekly"  # with an environment of its own
REPORT = "report.md"
LAST_LINES, MOST_CHARACTERS = 15, 60_000  # GitHub takes an issue of 65,536 characters
TITLE = "The labs fail on the newest packages"
CELL_TIMEOUT = 600  # seconds
LABS = [  # the step "labs, every cell" of `make test`
    "-m", "pytest", "-q", "--nbval-lax", "--nbval-current-env", f"--nbval-cell-timeout={CELL_TIMEOUT}",
    "-m", "", "--dist", "loadscope", "labs",
]  # fmt: skip
COLOR = re.compile(r"(?:\x1b|#x1B)\[[0-9;]*m")  # the second as pytest writes it into XML
LAB = re.compile(r"\d\d_\w+\.ipynb")


@dataclass(frozen=True)
class Failure:
    """What failed first in a lab: ``where``, such as "04_resnet.ipynb, Cell 12", and the last ``lines``."""

    where: str
    lines: tuple[str, ...]


def run_weekly(root: Path = ROOT, environment: Mapping[str, str] = os.environ) -> int:
    """Install what is newest, run all labs, and write a report of what failed; returns 0 if all passed."""
    folder = root / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    (folder / REPORT).unlink(missing_ok=True)
    failed = _installed(folder, root)
    newer: list[str] = []
    if not failed:
        python = _python(folder)
        newer = changed_versions(
            (root / "constraints.txt").read_text(encoding="utf-8"),
            subprocess.run([python, "-m", "pip", "freeze"], capture_output=True, encoding="utf-8").stdout,
        )
        failed = _labs(python, folder, root, environment)
    if not failed:
        print(f"All labs pass on the newest packages. {told_versions(newer)}")
        return 0
    text = report(failed, newer, environment)
    (folder / REPORT).write_text(text, encoding="utf-8")
    print(text)
    return 1


def failures(xml: str) -> list[Failure]:
    """What failed first in each lab, from pytest's own report; later cells fail because of that."""
    found: dict[str, Failure] = {}
    for case in ElementTree.fromstring(xml).iter("testcase"):
        wrong = next((part for part in case if part.tag in ("failure", "error")), None)
        if wrong is None:
            continue
        place = case.get("classname") or case.get("name", "")
        lab = LAB.search(place)
        key = lab[0] if lab else place
        told = COLOR.sub("", wrong.text or wrong.get("message") or "")
        lines = [line.rstrip() for line in told.splitlines() if line.strip()]
        found.setdefault(key, Failure(f"{key}, {case.get('name')}", tuple(lines[-LAST_LINES:])))
    return list(found.values())


def changed_versions(constraints: str, installed: str) -> list[str]:
    """The packages of another version than the one that is known to work: ``numpy 2.4.6 → 2.5.0``."""
    known, now = _versions(constraints), _versions(installed)
    return [
        f"{name} {known[name]} → {now[name]}"
        for name in sorted(known)
        if now.get(name, known[name]) != known[name]
    ]


def told_versions(newer: Sequence[str]) -> str:
    """One sentence on them."""
    if not newer:
        return "No package differs from constraints.txt."
    return f"Other versions than in constraints.txt: {', '.join(newer)}."


def report(failed: Sequence[Failure], newer: Sequence[str], environment: Mapping[str, str]) -> str:
    """The text of the issue: which labs failed, the last lines of each, what is newer, and where it ran."""
    names = ", ".join(one.where for one in failed)
    parts = [f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}: {names}.", told_versions(newer)]
    for one in failed:
        fence = "```"
        while any(fence in line for line in one.lines):
            fence += "`"
        parts.append("\n".join([f"**{one.where}**", "", fence, *one.lines, fence]))
    if "GITHUB_RUN_ID" in environment:
        server, slug = environment["GITHUB_SERVER_URL"], environment["GITHUB_REPOSITORY"]
        parts.append(f"The whole run: {server}/{slug}/actions/runs/{environment['GITHUB_RUN_ID']}")
    parts.append("To see it on your own machine: `make weekly`.")
    text = "\n\n".join(parts) + "\n"
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}\n… (cut)\n"


def write_issue(root: Path = ROOT) -> str:
    """Open an issue with the report of the last run, or comment on the one that is open; returns its address.

    This takes GitHub's own command ``gh``. ``RuntimeError`` if there is no report, or with what ``gh`` said.
    """
    text = root / FOLDER / REPORT
    if not text.is_file():
        raise RuntimeError(f"there is no report {text}: `make weekly` writes it where a lab fails")
    search = ["issue", "list", "--state", "open", "--search", f'in:title "{TITLE}"', "--json", "number,title"]
    found = json.loads(_gh(search, root) or "[]")
    number = next((one["number"] for one in found if one["title"] == TITLE), None)
    if number is None:
        return _gh(["issue", "create", "--title", TITLE, "--body-file", str(text)], root)
    return _gh(["issue", "comment", str(number), "--body-file", str(text)], root)


def _installed(folder: Path, root: Path) -> list[Failure]:
    """Make the environment anew; the failure if that is not possible."""
    venv = [sys.executable, "-m", "venv", "--clear", str(folder / "venv")]
    pip = [str(_python(folder)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    for command in (venv, [*pip, "--upgrade", "-r", str(root / "requirements.txt")]):
        done = subprocess.run(command, capture_output=True, encoding="utf-8", cwd=root)
        if done.returncode:
            lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
            return [Failure("the newest packages could not be installed", tuple(lines[-LAST_LINES:]))]
    return []


def _labs(python: Path, folder: Path, root: Path, environment: Mapping[str, str]) -> list[Failure]:
    """Run every cell of every lab in the profile smoke."""
    xml = folder / "labs.xml"
    xml.unlink(missing_ok=True)
    surroundings = {**environment, "CNNLAB_PROFILE": "smoke", "OMP_NUM_THREADS": "1"}
    command = [str(python), *LABS, f"--junit-xml={xml}"]
    done = subprocess.run(
        command, cwd=root, env=surroundings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if not done.returncode:
        return []
    said = done.stdout.decode("utf-8", errors="replace")
    found = failures(xml.read_text(encoding="utf-8")) if xml.exists() else []
    return found or [Failure("the labs could not be run", tuple(said.splitlines()[-LAST_LINES:]))]


def _python(folder: Path) -> Path:
    return folder / "venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _versions(text: str) -> dict[str, str]:
    """``name==version`` by name, as pip compares names; without the build of a version, such as +cpu."""
    found = re.findall(r"(?m)^([A-Za-z0-9._-]+)==([^\s;+]+)", text)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}


def _gh(arguments: Sequence[str], root: Path) -> str:
    done = subprocess.run(["gh", *arguments], cwd=root, capture_output=True, encoding="utf-8")
    if done.returncode:
        raise RuntimeError(f"gh {' '.join(arguments[:2])} failed: {done.stderr.strip()}")
    return done.stdout.strip()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the labs on the newest packages, or tell of what failed; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m utils.publishing.weekly", description=__doc__.split("\n")[0]
    )
    parser.add_argument(
        "--issue", action="store_true", help="write a failure into an issue of the repository"
    )
    options = parser.parse_args(arguments)
    try:
        if not options.issue:
            return run_weekly()
        print(write_issue())
        return 0
    except (OSError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    print_anywhere()
    sys.exit(main())
