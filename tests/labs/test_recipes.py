"""What belongs to a lab beside its notebook is there: checks, their proofs, and explorers with manners."""

import ast
import importlib
import inspect
from functools import cache

import pytest

from tests.course.exercise_checks import proofs
from tests.course.explorer_page import manners
from utils.publishing.fingerprint import SCRIPT, own_files
from utils.publishing.notebooks import ROOT, labs, read, tags

LABS = [pytest.param(path, id=path.stem) for path in labs()]
CHECKS, EXPLORERS = ROOT / "utils/course/checks", ROOT / "utils/course/explorers"
SCRIPTS = sorted(path.stem for path in EXPLORERS.glob("*.js") if path.name != "base.js")
MODULES = sorted(set(EXPLORERS.glob("*.py")) - {EXPLORERS / "__init__.py", EXPLORERS / "base.py"})


@cache
def made_by(maker):
    """For each test that ``maker`` made for a file of tests/course: (name of the file, its arguments)."""
    found = []
    for path in sorted((ROOT / "tests/course").glob("test_*.py")):
        try:
            module = importlib.import_module(f"tests.course.{path.stem}")
        except ImportError:  # the file fails by itself; here it would hide what is missing
            continue
        tests = [test for test in vars(module).values() if inspect.isfunction(test)]
        made = [test for test in tests if test.__qualname__.startswith(f"{maker.__name__}.<locals>.")]
        found += [(path.name, inspect.getclosurevars(test).nonlocals) for test in made]
    return found


def exercises(notebook):
    """Names of the functions that the check cells of a lab call: ``check.name(...)``, ``check.use(name)``."""
    calls = [
        node
        for cell in notebook.cells
        if "check" in tags(cell)
        for node in ast.walk(ast.parse(cell.source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    ]
    checks = [
        call for call in calls if isinstance(call.func.value, ast.Name) and call.func.value.id == "check"
    ]
    return {call.args[0].id if call.func.attr == "use" else call.func.attr for call in checks}


def test_the_names_of_exercises_are_found():
    (path,) = [path for path in labs() if path.stem.startswith("06_")]
    known = {"fields_of", "field_interval", "layers_needed", "has_holes", "best_dilations", "influence"}
    assert exercises(read(path)) == known


@pytest.mark.parametrize("path", LABS)
def test_a_lab_has_checks(path):
    file = CHECKS / f"lab_{path.stem[:2]}.py"
    assert file.exists(), f"{file.relative_to(ROOT)} is missing: the checks of labs/{path.name}"
    module = importlib.import_module(f"utils.course.checks.{file.stem}")
    missing = sorted(name for name in exercises(read(path)) if not hasattr(module, name))
    assert not missing, f"{file.relative_to(ROOT)} has no {', '.join(missing)}, which labs/{path.name} calls"


@pytest.mark.parametrize("path", LABS)
def test_the_checks_of_a_lab_are_proven(path):
    name = f"utils.course.checks.lab_{path.stem[:2]}"
    made = [(file, given) for file, given in made_by(proofs) if given["check"].__name__ == name]
    assert made, f"no file of tests/course hands {name} to proofs(...): see tests/course/exercise_checks.py"
    proven = {exercise for _, given in made for exercise in given.get("right", ())}
    missing = sorted(exercises(read(path)) - proven)
    assert not missing, f"tests/course/{made[0][0]} has no right answer to {', '.join(missing)}"


@pytest.mark.parametrize("path", LABS)
def test_a_lab_shows_an_explorer(path):
    scripts = {file for file in own_files(read(path), path.stem) if file.suffix == ".js"}
    assert scripts, f"labs/{path.name} imports no module of utils/course/explorers: what can a reader move?"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_an_explorer_has_its_script(path):
    names = SCRIPT.findall(path.read_text(encoding="utf-8"))
    assert names, f'{path.relative_to(ROOT)} makes no Explorer("name of its script", …)'
    for name in names:
        script = EXPLORERS / f"{name}.js"
        assert script.exists(), f"{script.relative_to(ROOT)} is missing: {path.name} asks for it"


@pytest.mark.parametrize("name", SCRIPTS)
def test_an_explorer_is_held_to_its_manners(name):
    script = f"utils/course/explorers/{name}.js"
    assert any(name in SCRIPT.findall(path.read_text(encoding="utf-8")) for path in MODULES), (
        f'no module beside {script} makes Explorer("{name}", …)'
    )
    shown = [make for _, given in made_by(manners) for make in given.get("examples", {}).values()]
    assert any(make().name == name for make in shown), (
        f"no file of tests/course hands the explorer of {script} to manners(...): "
        "see tests/course/explorer_page.py"
    )


def test_all_checks_belong_to_labs():
    numbers = {path.stem[:2] for path in labs()}
    left = [path.name for path in CHECKS.glob("lab_*.py") if path.stem.removeprefix("lab_") not in numbers]
    assert left == [], "no lab has these checks"
