"""Every lab keeps the anatomy of the book, and the address in it is that of _config.yml."""

import ast

import pytest

from utils.course.profiles import PROFILES
from utils.publishing.notebooks import LAB_NAME, labs, problems, read
from utils.publishing.stamp import configured, stamp

LABS = labs()
EACH = [pytest.param(path, id=path.stem) for path in LABS]
SETUP = read(LABS[0]).cells[1].source


@pytest.mark.parametrize("path", EACH)
def test_lab_keeps_the_rules(path):
    assert LAB_NAME.fullmatch(path.name)
    assert problems(read(path), SETUP) == []


@pytest.mark.parametrize("path", EACH)
def test_address_is_the_one_of_the_configuration(path):
    notebook = read(path)
    assert stamp(read(path), configured(), path.name) == notebook, "run `make stamp`"


@pytest.mark.parametrize("path", EACH)
def test_lab_starts_under_its_own_name_with_sizes_for_each_profile(path):
    calls = [node for node in ast.walk(ast.parse(read(path).cells[2].source)) if isinstance(node, ast.Call)]
    (start,) = [call for call in calls if getattr(call.func, "id", "") == "start_lab"]
    assert [ast.literal_eval(argument) for argument in start.args] == [path.stem]
    for size in start.keywords:
        values = ast.literal_eval(size.value)
        assert isinstance(values, tuple) and len(values) == len(PROFILES), f"{size.arg}: {values}"


def test_folder_holds_notebooks_and_nothing_else():
    assert {p.suffix for p in LABS[0].parent.iterdir() if not p.name.startswith(".")} == {".ipynb"}
