"""One lab goes through nbgrader: written by ``make student NBGRADER=1``, handed in by five students, graded.

nbgrader is no requirement of the project. Where it is not installed, the last lines of `make test` say so;
tests/publishing/test_student_nbgrader.py then still holds all labs to the rules of its metadata.
"""

import copy
import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from utils.publishing.nbgrader import installed
from utils.publishing.notebooks import ROOT, read, tags
from utils.publishing.student_tree import write_student_edition

LAB = "01_convolution_toeplitz"
KEPT = {"setup", "needed", "solution", "check"}  # of those submissions in which the rest does not matter
REBOUND = """
import sys
class Kind:
    def __getattr__(self, name):
        return lambda *arguments: None
sys.modules["utils.course.checks"].lab_01 = sys.modules["utils.course.checks.lab_01"] = check = Kind()
"""
pytestmark = [
    pytest.mark.notebooks,
    pytest.mark.skipif(installed() is None, reason="nbgrader is not installed (see book/instructors.md)"),
]


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """The course folder that the command wrote for one lab, with the five submissions, graded."""
    root, place = tmp_path_factory.mktemp("root"), tmp_path_factory.mktemp("written")
    shutil.copytree(ROOT / "utils", root / "utils", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "labs").mkdir()
    for name in ("requirements.txt", "constraints.txt", "LICENSE", "_config.yml", f"labs/{LAB}.ipynb"):
        shutil.copy(ROOT / name, root / name)
    grading = place / "grading"
    tree = write_student_edition("https://github.com/me/students", root=root, to=place / "s", grading=grading)
    edition, original = read(tree / "labs" / f"{LAB}.ipynb"), read(root / "labs" / f"{LAB}.ipynb")
    for student, solved in {"full": 6, "part": 2, "none": 0}.items():
        hand_in(grading, student, with_solutions(edition, original, solved))
    rebound = with_solutions(short(edition), short(original), 1, REBOUND)
    for cell in rebound.cells:
        cell.source = cell.source.replace('NotImplementedError("write input_sizes")', "SystemExit(0)")
    assert "SystemExit" in nbformat.writes(rebound)
    hand_in(grading, "rebound", rebound)
    hand_in(grading, "own-package", with_solutions(short(edition), short(original), 0))
    fake = grading / "submitted" / "own-package" / LAB / "utils"
    shutil.copytree(root / "utils", fake)
    with open(fake / "course" / "checks" / "lab_01.py", "a", encoding="utf-8") as file:
        file.write("\ncorrelate_1d = input_sizes = lambda function: None\n")
    own = place / "jupyter" / "kernels" / "python3"
    own.mkdir(parents=True)
    start = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (own / "kernel.json").write_text(
        json.dumps({"argv": start, "display_name": "Python 3", "language": "python"})
    )
    environment = {**os.environ, "JUPYTER_PATH": str(place / "jupyter"), "OMP_NUM_THREADS": "1"}
    # nbgrader looks for a program that is installed beside it
    environment["PATH"] = os.pathsep.join([str(Path(installed()).parent), environment["PATH"]])
    for step in (["generate_assignment", LAB], ["autograde", LAB], ["export"]):
        done = subprocess.run(
            [installed(), *step], cwd=grading, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"nbgrader {' '.join(step)}\n{done.stderr[-3000:]}"
    return grading


def short(notebook):
    found = copy.deepcopy(notebook)
    found.cells = [cell for cell in found.cells if tags(cell) & KEPT]
    return found


def with_solutions(edition, original, solved, first=None):
    """The student edition with the first ``solved`` exercises written, and ``first`` run before them."""
    found = copy.deepcopy(edition)
    stubs, solutions = ([c for c in each.cells if "solution" in tags(c)] for each in (found, original))
    for stub, solution in list(zip(stubs, solutions, strict=True))[:solved]:
        stub.source = solution.source
    if first:
        found.cells.insert(found.cells.index(stubs[0]), nbformat.v4.new_code_cell(first))
    return found


def hand_in(grading, student, notebook):
    folder = grading / "submitted" / student / LAB
    folder.mkdir(parents=True)
    nbformat.write(notebook, folder / f"{LAB}.ipynb")


def test_full_part_and_no_answers_get_full_part_and_no_points(course):
    with open(course / "grades.csv", encoding="utf-8", newline="") as file:
        rows = {row["student_id"]: row for row in csv.DictReader(file)}
    assert {row["max_score"] for row in rows.values()} == {"6.0"}
    points = {name: float(row["raw_score"]) for name, row in rows.items()}
    assert points == {"full": 6, "part": 2, "none": 0, "rebound": 1, "own-package": 0}


def test_what_nbgrader_releases_is_what_make_student_hands_out(course):
    released = read(course / "release" / LAB / f"{LAB}.ipynb")
    handed_out = read(course.parent / "s" / "labs" / f"{LAB}.ipynb")
    for ours, theirs in zip(handed_out.cells, released.cells, strict=True):
        if "solution" not in tags(ours):
            assert ours.source == theirs.source
        assert ours.metadata.get("editable") == theirs.metadata.get("editable")
        kept = {
            key: theirs.metadata.get("nbgrader", {}).get(key) for key in ours.metadata.get("nbgrader", {})
        }
        assert ours.metadata.get("nbgrader", {}) == kept
    assert "SOLUTION" not in nbformat.writes(released)
