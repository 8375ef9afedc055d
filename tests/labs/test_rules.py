"""Every lab keeps the anatomy of the book, and the address in it is that of _config.yml."""

import pytest

from utils.course.profiles import PROFILES, SIZES
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
def test_lab_has_sizes_and_starts_under_its_own_name(path):
    assert path.stem in SIZES
    assert all(len(values) == len(PROFILES) for values in SIZES[path.stem].values())
    assert f'start_lab("{path.stem}")' in read(path).cells[2].source


def test_folder_holds_notebooks_and_nothing_else():
    assert {p.suffix for p in LABS[0].parent.iterdir() if not p.name.startswith(".")} == {".ipynb"}
