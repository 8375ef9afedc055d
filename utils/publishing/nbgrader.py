"""The labs for nbgrader: the metadata by which it grades, and a course folder for the one who grades.

A solution is a cell to be written, its check is worth one point, and the cells that begin a lab are locked.
nbgrader itself is not needed to write any of this.
"""

from __future__ import annotations

import copy
import itertools
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import nbformat
from nbformat import NotebookNode

from utils.course.environment import CLONE
from utils.publishing.notebooks import strip, tags
from utils.publishing.student import CHECKED, name_of, without_answers

KINDS = ("solution", "check", "setup", "needed")  # tags of the cells that nbgrader is told of
SCHEMA = 3  # of nbgrader's metadata
POINTS = 1  # for an exercise whose check passes
IMPORTED = re.compile(r"^from utils\.course\.checks import (\w+) as check$", re.MULTILINE)
# an exercise in place, with which the page goes on whether it is written or not: only what is written counts
IN_PLACE = re.compile(r"^(\w+) = check\.use\(\1\)$", re.MULTILINE)
GRADED = r"_written = \1\n\1 = check.use(_written)\ncheck.\1(_written)"
ANEW = """# For nbgrader: the checks are loaded anew, so that another meaning of their name earns nothing.
def _checks_anew():
    import importlib, sys

    for name in [name for name in sys.modules if name.startswith("utils.course.checks")]:
        del sys.modules[name]
    return importlib.import_module("utils.course.checks.{module}")


import contextlib, io

check = _checks_anew()
with contextlib.redirect_stderr(io.StringIO()):  # nbgrader takes a warning for an error
"""
CONFIGURATION = '''"""Settings of nbgrader for this course, written by `make student NBGRADER=1`."""

import os

# all cells of a lab are run to grade it: in the smallest sizes, which the checks do not depend on
os.environ["CNNLAB_PROFILE"] = "smoke"

c = get_config()
c.CourseDirectory.course_id = "{course}"
# submissions are notebooks: what else a student sends could stand in for the package that checks
c.CourseDirectory.ignore = ["*.py*", "utils", "{clone}", "__pycache__", ".ipynb_checkpoints", "feedback"]
c.ClearSolutions.code_stub = {{"python": '# your code here\\nraise NotImplementedError("write this cell")'}}
c.Execute.timeout = 600  # seconds for one cell
c.OverwriteCells.add_missing_cells = True  # a check that was deleted is put back
'''


def with_metadata(notebook: NotebookNode, name: str) -> NotebookNode:
    """A copy of a lab, with its solutions or without, that has nbgrader's metadata.

    ``ValueError`` naming ``name`` and the cell where a check has no call that nbgrader could grade.
    """
    edition = copy.deepcopy(notebook)
    used: set[str] = set()
    for number, cell in enumerate(edition.cells):
        kind = next((kind for kind in KINDS if kind in tags(cell)), None)
        if kind is None:
            continue
        if kind == "check":
            cell.source = IN_PLACE.sub(GRADED, cell.source)
        grade_id = _grade_id(cell, kind, f"{name}, cell {number}")
        same = (f"{grade_id}-{count}" if count > 1 else grade_id for count in itertools.count(1))
        grade_id = next(each for each in same if each not in used)
        used.add(grade_id)
        if kind == "check":
            module = _module(edition, name)
            cell.source = ANEW.replace("{module}", module) + textwrap.indent(cell.source, "    ")
        cell.metadata["nbgrader"] = metadata(grade_id, kind)
        cell.metadata["deletable"] = False
        if kind != "solution":
            cell.metadata["editable"] = False
    return edition


def metadata(grade_id: str, kind: str) -> dict[str, object]:
    """nbgrader's metadata of a cell; kind: one of the tags setup, needed, solution, check."""
    found: dict[str, object] = {
        "schema_version": SCHEMA,
        "grade_id": grade_id,
        "grade": kind == "check",
        "solution": kind == "solution",
        "locked": kind != "solution",
        "task": False,
    }
    return {**found, "points": POINTS} if kind == "check" else found


def course_files(sources: Mapping[str, NotebookNode]) -> dict[PurePosixPath, bytes]:
    """An nbgrader course: its settings, and each lab as an assignment, with solutions, for ``generate``.

    sources: name such as ``labs/02_lenet.ipynb`` → the lab with its solutions and with the students' links.
    """
    settings = CONFIGURATION.format(course=CLONE, clone=CLONE)
    files = {PurePosixPath("nbgrader_config.py"): settings.encode()}
    for name, notebook in sources.items():
        stem = PurePosixPath(name).stem
        source = with_metadata(strip(without_answers(notebook)), name)
        nbformat.validate(source)
        files[PurePosixPath("source", stem, f"{stem}.ipynb")] = (nbformat.writes(source) + "\n").encode()
    return files


def _grade_id(cell: NotebookNode, kind: str, where: str) -> str:
    if kind == "solution":
        return name_of(cell.source) or "exercise"
    if kind != "check":
        return {"setup": "setup", "needed": "start"}[kind]
    called = CHECKED.search(cell.source)
    if not called:
        raise ValueError(
            f"{where}: a check calls check.NAME(…) in a line of its own, for nbgrader to see it fail"
        )
    return f"check-{called.group(1)}"


def _module(notebook: NotebookNode, name: str) -> str:
    """The module of ``utils.course.checks`` that the lab imports."""
    found = {each for cell in notebook.cells for each in IMPORTED.findall(cell.source)}
    if len(found) != 1:
        raise ValueError(
            f"{name}: expected one line 'from utils.course.checks import … as check', found {len(found)}"
        )
    return found.pop()


def installed() -> str | None:
    """The command ``nbgrader`` that CNNLAB_NBGRADER names, of this environment or of the path, or None."""
    beside = shutil.which("nbgrader", path=str(Path(sys.executable).parent))
    return os.environ.get("CNNLAB_NBGRADER") or beside or shutil.which("nbgrader")
