"""Building a small book: what a person reads on the terminal, and what is in the logs."""

import re

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from utils.publishing.book import build_book, share_of_pages

CONFIG = """title: A small book
only_build_toc_files: true
execute: {execute_notebooks: cache, timeout: 60, raise_on_error: true}
sphinx: {local_extensions: {}}
"""
TOC = "format: jb-book\nroot: intro\nchapters:\n  - file: labs/01_test\n"
LIBRARY = "import os, sys; os.write(sys.__stderr__.fileno(), b'noise of a library\\n')"


@pytest.fixture
def project(tmp_path):
    """A function that writes a project of one page and one lab, of which the cells are given."""

    def write(*cells, page="# A page\n"):
        (tmp_path / "labs").mkdir(exist_ok=True)
        for name, text in (("_config.yml", CONFIG), ("_toc.yml", TOC), ("intro.md", page)):
            (tmp_path / name).write_text(text, encoding="utf-8")
        metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
        cells = [new_markdown_cell("# Lab 1"), *map(new_code_cell, cells)]
        nbformat.write(new_notebook(cells=cells, metadata=metadata), tmp_path / "labs/01_test.ipynb")
        return tmp_path

    return write


@pytest.mark.notebooks
def test_a_book_is_two_lines_and_the_page_to_open(project, capfd):
    root = project(LIBRARY, "print(6 * 7)")
    page = build_book("smoke", root=root)
    out, err = capfd.readouterr()
    labs, pages, last = out.splitlines()
    assert err == ""
    assert re.fullmatch(
        r"1/2  run 1 of 1 labs in the profile smoke \(.* to the end\) \.{10} .+ (s|min)", labs
    )
    assert re.fullmatch(r"2/2  write the pages \(about .*\) \.* .+ (s|min)", pages)
    assert last.startswith("The book (smoke profile) is ready after ") and last.endswith(f" Open {page}")
    assert "42" in (root / "_build/html/labs/01_test.html").read_text(encoding="utf-8")
    assert "noise of a library" in (root / "_build/logs/kernels.log").read_text(encoding="utf-8")
    build_book("smoke", root=root)
    out, err = capfd.readouterr()
    assert out.startswith("1/2  no lab has changed (about 0 s, ") and "that have changed" in out and err == ""


@pytest.mark.notebooks
def test_a_lab_that_fails_is_told_with_its_error_and_the_log(project, capfd):
    root = project("print(1)", "1 / 0")
    with pytest.raises(RuntimeError) as caught:
        build_book("smoke", root=root)
    told, out = str(caught.value), capfd.readouterr().out
    assert "01_test.ipynb failed: CellExecutionError" in out and "not done in" in out
    assert "ZeroDivisionError: division by zero" in told and f"{root / '_build/logs/pages.log'}" in told


@pytest.mark.notebooks
def test_a_warning_of_the_pages_is_told(project):
    root = project("print(1)", page="# A page\n\n{doc}`nowhere`\n")
    with pytest.raises(RuntimeError, match=r"intro\.md:3: WARNING: .*nowhere"):
        build_book("smoke", root=root)


@pytest.mark.parametrize(
    ("line", "share"),
    [
        ("reading sources... [ 50%] labs/a", 0.2),
        ("writing output... [100%] b", 0.9),
        ("copying images... [ 50%] c.png", 0.95),
        ("reading sources... ", None),
        ("build succeeded [ 50%]", None),
    ],
)
def test_how_far_sphinx_is(line, share):
    assert share_of_pages(line) == (None if share is None else pytest.approx(share))
