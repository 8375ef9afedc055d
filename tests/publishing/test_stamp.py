"""`make stamp`: one command moves the project to another address."""

import pytest
import yaml

from tests.publishing import student_root
from utils.publishing.notebooks import ROOT, read
from utils.publishing.stamp import CLONED, TOLD_HOW_TO_CLONE, Repository, badges, configured, stamp_all

NEW = "https://github.com/me/my-course"


@pytest.fixture
def root(tmp_path):
    root = student_root.make(tmp_path)
    (root / "CITATION.cff").write_text(f"title: A course\nrepository-code: {student_root.FULL}\nversion: 1\n")
    return root


def texts(root):
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_the_address_and_the_branch_go_everywhere_and_stay_when_stamped_again(root):
    assert stamp_all(NEW, "v1.2", root) == Repository(NEW, "v1.2") == configured(root)
    notebook = read(root / "labs" / "01_test.ipynb")
    title, setup = notebook.cells[0].source, notebook.cells[1].source
    page = "me/my-course/blob/v1.2/labs/01_test.ipynb"
    assert f"(https://colab.research.google.com/github/{page})" in title
    assert f"(https://kaggle.com/kernels/welcome?src=https://github.com/{page})" in title
    assert "(https://raw.githubusercontent.com/me/my-course/v1.2/labs/01_test.ipynb)" in title
    assert title.startswith("# Lab 1 · Sums\n") and title.count("<!-- badges -->") == 1
    assert f'REPOSITORY = "{NEW}"\nBRANCH = "v1.2"\n' in setup and student_root.FULL not in title + setup
    citation = yaml.safe_load((root / "CITATION.cff").read_text())
    assert citation == {"title": "A course", "repository-code": NEW, "version": 1}

    before = texts(root)
    stamp_all(root=root)
    assert texts(root) == before
    stamp_all(branch="main", root=root)
    assert configured(root) == Repository(NEW, "main")
    assert (
        badges(Repository(NEW, "main"), "01_test.ipynb") in read(root / "labs/01_test.ipynb").cells[0].source
    )


@pytest.mark.parametrize(
    "url", ["https://gitlab.com/me/course", "github.com/me/course", "https://github.com/me"]
)
def test_an_address_that_colab_cannot_open_is_refused_before_anything_is_written(root, url):
    before = texts(root)
    with pytest.raises(ValueError, match="repository.url must be https://github.com/OWNER/NAME"):
        stamp_all(url, root=root)
    assert texts(root) == before


@pytest.mark.parametrize("branch", ["a b", "", "#x", "a: b", "../up"])
def test_a_branch_that_git_or_a_link_cannot_take_is_refused_before_anything_is_written(root, branch):
    before = texts(root)
    with pytest.raises(ValueError, match="a branch is named by letters"):
        stamp_all(NEW, branch, root)
    assert texts(root) == before


@pytest.mark.parametrize("branch", ["on", "1.0", "null"])
def test_a_branch_that_yaml_would_take_for_something_else_stays_a_name(root, branch):
    assert stamp_all(NEW, branch, root).branch == branch == configured(root).branch
    assert f'BRANCH = "{branch}"' in read(root / "labs" / "01_test.ipynb").cells[1].source


def test_pages_that_tell_how_to_clone_get_the_address(root):
    (root / "book").mkdir(exist_ok=True)
    (root / "README.md").write_text("```\ngit clone https://github.com/a/b\ncd b\n```\n")
    (root / "book" / "how_to_use.md").write_text(": `git clone https://github.com/a/b`, `cd b`, then more\n")
    stamp_all(NEW, root=root)
    assert (root / "README.md").read_text() == f"```\ngit clone {NEW}\ncd my-course\n```\n"
    told = (root / "book" / "how_to_use.md").read_text()
    assert told == f": `git clone {NEW}`, `cd my-course`, then more\n"


def test_the_pages_of_this_book_say_it_where_the_stamp_looks():
    for page in TOLD_HOW_TO_CLONE:
        assert len(CLONED.findall((ROOT / page).read_text(encoding="utf-8"))) == 1, page
