"""nbgrader's metadata, held to its rules as they are written here, and what its cells do when they are run.

The rules are those of nbgrader 0.9 (``nbgraderformat/v3.json`` and ``v3.py``). Where nbgrader is
installed, it grades a lab itself in tests/labs/test_student_nbgrader.py.
"""

import re
import sys
from types import ModuleType

import pytest

from tests.publishing import student_root as made
from utils.publishing.nbgrader import GRADED, IN_PLACE, course_files, metadata, with_metadata
from utils.publishing.notebooks import ROOT, labs, read, tags
from utils.publishing.stamp import Repository
from utils.publishing.student import student_edition
from utils.publishing.student_tree import for_students, write_student_edition

TYPES = {
    "schema_version": int, "grade_id": str, "grade": bool, "solution": bool, "locked": bool, "task": bool,
    "points": int,
}  # fmt: skip
STUDENTS = Repository(made.STUDENTS, "main")


def broken_rules(notebook):
    """What nbgrader's validator would say of a notebook."""
    found, seen = [], set()
    for number, cell in enumerate(notebook.cells):
        if "nbgrader" not in cell.metadata:
            continue
        given = cell.metadata["nbgrader"]
        if set(given) != set(TYPES) - ({"points"} if not given.get("grade") else set()):
            found.append(f"cell {number}: keys {sorted(given)}")
            continue
        wrong = [key for key in given if type(given[key]) is not TYPES[key]]
        found += [f"cell {number}: {key} is {given[key]!r}" for key in wrong]
        if given["schema_version"] != 3:
            found.append(f"cell {number}: schema {given['schema_version']}")
        if not re.fullmatch(r"[A-Za-z0-9_-]+", given["grade_id"]) or given["grade_id"] in seen:
            found.append(
                f"cell {number}: the grade_id {given['grade_id']!r} is empty, odd or not the only one"
            )
        seen.add(given["grade_id"])
        if cell.cell_type != "code":
            found.append(f"cell {number} is {cell.cell_type}")
        if given["solution"] and (given["grade"] or given["locked"]):
            found.append(f"cell {number} is to be written, and yet graded or locked")
        if given["grade"] and not (given["locked"] and given["points"] > 0):
            found.append(f"cell {number} is graded, and yet not locked or worth nothing")
    return found


def kinds(notebook):
    """(tag, grade, solution, locked, editable, points) of each cell that nbgrader is told of."""
    for cell in notebook.cells:
        if "nbgrader" in cell.metadata:
            (tag,) = tags(cell) & {"setup", "needed", "solution", "check"}
            given = cell.metadata["nbgrader"]
            flags = (given["grade"], given["solution"], given["locked"], cell.metadata.get("editable", True))
            yield (tag, *flags, given.get("points"))


@pytest.mark.parametrize("path", labs(), ids=lambda path: path.stem)
def test_every_lab_has_valid_metadata(path):
    name = f"labs/{path.name}"
    edition = for_students(read(path), name, STUDENTS, nbgrader=True)
    assert broken_rules(edition) == []
    told = list(kinds(edition))
    assert set(told) == {
        ("setup", False, False, True, False, None),
        ("needed", False, False, True, False, None),
        ("solution", False, True, False, True, None),
        ("check", True, False, True, False, 1),
    }
    counted = [tag for tag, *_ in told]
    assert counted.count("check") == counted.count("solution") >= 3 and counted[0] == "setup"


@pytest.mark.parametrize(
    "change, told",
    [
        ({"grade_id": "check-running_sum"}, "not the only one"),
        ({"grade_id": ""}, "empty"),
        ({"locked": True}, "yet graded or locked"),
        ({"grade": True}, "keys"),
        ({"solution": 1}, "solution is 1"),
        ({"schema_version": 2}, "schema 2"),
    ],
)
def test_the_rules_find_what_is_broken(change, told):
    edition = with_metadata(student_edition(made.lab()), "a lab")
    assert broken_rules(edition) == []
    solution = next(cell for cell in edition.cells[5:] if "solution" in tags(cell))
    solution.metadata["nbgrader"].update(change)
    assert any(told in rule for rule in broken_rules(edition))


def test_metadata_of_each_kind():
    common = {"schema_version": 3, "task": False}
    assert metadata("f", "solution") == {
        "grade_id": "f", "grade": False, "solution": True, "locked": False, **common
    }  # fmt: skip
    assert metadata("check-f", "check") == {
        "grade_id": "check-f", "grade": True, "solution": False, "locked": True, "points": 1, **common
    }  # fmt: skip
    assert metadata("setup", "setup") == {
        "grade_id": "setup", "grade": False, "solution": False, "locked": True, **common
    }  # fmt: skip


def test_grade_ids_are_names_that_stay_and_differ():
    notebook = made.lab()
    notebook.cells[7].source = made.RUNNING_SUM
    notebook.cells[8].source = "check.running_sum(running_sum)"
    given = [cell.metadata["nbgrader"]["grade_id"] for cell in with_metadata(notebook, "").cells
             if "nbgrader" in cell.metadata]  # fmt: skip
    names = ["running_sum", "check-running_sum", "running_sum-2", "check-running_sum-2"]
    assert given == ["setup", "start", *names]


def test_the_course_has_solutions_and_the_edition_has_none(tmp_path):
    root, course = made.make(tmp_path / "root"), tmp_path / "course"
    tree = write_student_edition(made.STUDENTS, root=root, grading=course)
    source = read(course / "source" / "01_test" / "01_test.ipynb")
    assert source.cells[1].source == read(tree / "labs" / "01_test.ipynb").cells[1].source
    edition = read(tree / "labs" / "01_test.ipynb")
    assert broken_rules(source) == broken_rules(edition) == []
    assert list(kinds(source)) == list(kinds(edition))
    assert "sums.append(total)" in source.cells[4].source and "Error" in edition.cells[4].source
    assert [cell.source for cell in source.cells if "check" in tags(cell)] == [
        cell.source for cell in edition.cells if "check" in tags(cell)
    ], "nbgrader puts back the checks of its source"
    assert not any("answer" in tags(cell) for cell in source.cells)
    assert (course / "utils" / "course" / "environment.py").exists(), "the set-up cell finds the package here"
    settings = (course / "nbgrader_config.py").read_text()
    compile(settings, "nbgrader_config.py", "exec")
    with pytest.raises(ValueError, match="not made by `make student`"):
        write_student_edition(made.STUDENTS, root=root, to=course)


def test_a_check_that_nbgrader_cannot_see_fail_is_refused():
    notebook = made.lab()
    notebook.cells[6].source = "assert double(3) == 6"
    with pytest.raises(ValueError, match="labs/01.ipynb, cell 6: a check calls check.NAME"):
        with_metadata(notebook, "labs/01.ipynb")
    notebook = made.lab()
    notebook.cells[2].source = "lab = 1"
    with pytest.raises(ValueError, match="labs/01.ipynb: expected one line 'from utils.course.checks import"):
        course_files({"labs/01.ipynb": notebook})


@pytest.fixture
def graded(monkeypatch):
    """Returns a function that runs a cell of lab 1's nbgrader edition with a student's names."""
    for name in [name for name in sys.modules if name.startswith("utils.course.checks")]:
        monkeypatch.delitem(sys.modules, name)
    edition = with_metadata(student_edition(read(ROOT / "labs" / "01_convolution_toeplitz.ipynb")), "lab 1")
    (cell,) = [c for c in edition.cells if "check.input_sizes(" in c.source]

    def run(names):
        names["input_sizes"].__name__ = "input_sizes"
        exec(compile(cell.source, "cell", "exec"), names)

    return run


def right(m, k, padding=0, stride=1, dilation=1):
    print("a library warns", file=sys.stderr)
    span = dilation * (k - 1) + 1
    return [n for n in range(1, m * stride + span) if (n + 2 * padding - span) // stride + 1 == m]


def test_a_right_answer_passes_even_where_a_library_warns(graded, capsys):
    graded({"input_sizes": right})
    told = capsys.readouterr()
    assert "✓ input_sizes" in told.out and told.err == "", "nbgrader takes standard error for a failure"


def everything_passes(*arguments):
    return None


@pytest.mark.parametrize("how", ["name", "module", "package", "function"])
def test_a_student_who_rebinds_the_checks_earns_nothing(graded, how, monkeypatch):
    fake = ModuleType("utils.course.checks.lab_01")
    fake.input_sizes = everything_passes
    names = {"input_sizes": lambda *arguments, **options: [1]}
    if how == "name":
        names["check"] = fake
    elif how == "module":
        monkeypatch.setitem(sys.modules, "utils.course.checks.lab_01", fake)
    elif how == "package":
        package = ModuleType("utils.course.checks")
        package.lab_01, package.__path__ = fake, []
        monkeypatch.setitem(sys.modules, "utils.course.checks", package)
    else:
        from utils.course.checks import core, lab_01

        monkeypatch.setattr(lab_01, "input_sizes", everything_passes)
        monkeypatch.setattr(core, "expect_equal", everything_passes)
    with pytest.raises(AssertionError, match="input_sizes"):
        graded(names)


@pytest.mark.parametrize(
    ("written", "points"), [("return 2 * x", True), ("raise NotImplementedError", False)]
)
def test_an_exercise_in_place_earns_its_point_only_when_it_is_written(written, points):
    from utils.course.checks import core

    def check_double(function):
        if core.call(function, 3) != 6:
            core.fail("double(3)", "6", "another", "the factor.")

    class Check:
        double = staticmethod(check_double)

        @staticmethod
        def use(function):
            return core.use(function, {"double": (check_double, lambda x: x + x)})

    names = {"check": Check}
    exec(f"def double(x):\n    {written}", names)
    graded = IN_PLACE.sub(GRADED, "double = check.use(double)")
    assert "\ncheck.double(" in graded, "nbgrader has to see it fail"
    try:
        exec(graded, names)
        earned = True
    except core.CheckFailed:
        earned = False
    assert earned == points
    assert names["double"](3) == 6, "the page goes on"
