"""Stripping, the rules of the anatomy, the student edition and the stamp, on notebooks made here."""

import nbformat
import pytest

from utils.publishing.notebooks import problems, read, strip, write
from utils.publishing.refresh import refresh
from utils.publishing.stamp import Repository, stamp, stamp_all
from utils.publishing.student import stub, student_edition

v4 = nbformat.v4
SETUP = 'REPOSITORY = "https://github.com/a/b"\nBRANCH = "main"\nprepare()'
SOLUTION = '''def double(x):
    """Twice x."""
    ### BEGIN SOLUTION
    y = x
    return x + y
    ### END SOLUTION
'''
HEADINGS = [
    "What you will do",
    "The question",
    "Built by hand",
    "Checked against torch",
    "Measure it",
    "Exercises",
    "What we found",
    "Pitfalls",
    "Further reading",
]


def tagged(source, *names, **metadata):
    return v4.new_code_cell(source, metadata={"tags": list(names), **metadata})


def good_notebook():
    cells = [
        v4.new_markdown_cell("# Lab 1 · Test\n\n<!-- badges -->"),
        tagged(SETUP, "setup", "hide-input"),
        tagged('lab = start_lab("01_test")', "needed", "hide-input"),
    ]
    cells += [v4.new_markdown_cell(f"## {heading}") for heading in HEADINGS]
    cells += [
        tagged("plot()", mystnb={"image": {"alt": "a line"}}),
        v4.new_markdown_cell("**Figure 1.1.** A line."),
    ]
    for _ in range(3):
        cells += [
            v4.new_markdown_cell("<details><summary>Hint</summary>add</details>"),
            tagged(SOLUTION, "solution", "hide-input"),
            tagged("check.double(double)", "check"),
        ]
    cells.append(v4.new_code_cell("lab.finish()"))
    return strip(v4.new_notebook(cells=cells))


def test_a_good_notebook_has_no_problems():
    assert problems(good_notebook(), SETUP) == []


@pytest.mark.parametrize(
    "spoil, complaint",
    [
        (lambda n: n.cells.pop(0), "cell 0 must be text"),
        (lambda n: n.cells[1].update(source=SETUP + " "), "set-up cell"),
        (lambda n: n.cells.pop(), "lab.finish()"),
        (lambda n: n.cells.pop(6), "against torch"),
        (lambda n: n.cells.pop(8), "no heading with 'exercises'"),
        (lambda n: n.cells[12].metadata.pop("mystnb"), "no alt text"),
        (lambda n: n.cells.pop(13), "does not begin"),
        (lambda n: n.cells[15].metadata.update(tags=["solution"]), "hide-input"),
        (lambda n: n.cells[15].update(source="def double(x): return 2 * x"), "BEGIN SOLUTION"),
        (lambda n: n.cells[15].metadata.update(tags=["hide-input"]), "not tagged 'solution'"),
        (lambda n: n.cells.pop(16), "not followed by a cell tagged 'check'"),
        (lambda n: n.cells[14].update(source="no hint"), "no hint"),
        (lambda n: n.cells[3].update(source=f"{n.cells[3].source} {{cite:t}}`he2016`"), "{cite:t}`he2016`"),
        (lambda n: n.cells[13].update(source=f"{n.cells[13].source}\n\n```{{note}}\na\n```"), "write a link"),
        (lambda n: n.cells[2].metadata.update(tags=["needed", "nbval-check-output"]), "refresh"),
        (lambda n: n.cells[12].update(source="@lab.measured\ndef f(n): return n"), "it is called 0 times"),
        (lambda n: n.cells[2].update(outputs=[v4.new_output("stream", text="x")]), "has outputs"),
    ],
)
def test_each_broken_rule_is_named(spoil, complaint):
    notebook = good_notebook()
    spoil(notebook)
    assert any(complaint in problem for problem in problems(notebook, SETUP)), problems(notebook, SETUP)


def test_strip_keeps_outputs_only_where_they_are_checked():
    kept = tagged("print(1)", "nbval-check-output")
    dropped = v4.new_code_cell("print(2)")
    for cell in (kept, dropped):
        cell.outputs, cell.execution_count = [v4.new_output("stream", text="1\n")], 7
    notebook = strip(v4.new_notebook(cells=[kept, dropped], metadata={"widgets": {}, "lab": {"title": "T"}}))
    assert [len(cell.outputs) for cell in notebook.cells] == [1, 0]
    assert [cell.execution_count for cell in notebook.cells] == [1, None]
    assert "widgets" not in notebook.metadata and notebook.metadata["lab"] == {"title": "T"}


def test_strip_folds_what_is_tagged_so_and_nothing_else():
    notebook = good_notebook()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            folded = "hide-input" in cell.metadata.get("tags", [])
            assert cell.metadata.get("jupyter") == ({"source_hidden": True} if folded else None)
            assert cell.metadata.get("cellView") == ("form" if folded else None)
    draws = notebook.cells[12]
    draws.metadata.update(tags=["hide-input"])
    assert problems(notebook, SETUP) == [
        "cell 12 is not folded as its tags say: run `python -m utils.publishing strip`"
    ]
    assert problems(strip(notebook), SETUP) == []
    draws.metadata.tags = []
    assert len(problems(notebook, SETUP)) == 1
    assert problems(strip(notebook), SETUP) == []


def test_the_line_that_unfolds_a_cell_says_what_is_in_it():
    of_cells = [cell.metadata.get("mystnb", {}) for cell in good_notebook().cells]
    said = {each["code_prompt_show"] for each in of_cells if "code_prompt_show" in each}
    assert said == {"Show the set-up", "Show the imports and sizes", "Show the solution"}


def test_a_solution_stands_open_in_the_student_edition():
    opened = [c for c in student_edition(good_notebook()).cells if "solution" in c.metadata.get("tags", [])]
    assert len(opened) == 3
    assert not any({"jupyter", "cellView"} & set(cell.metadata) for cell in opened)


def test_refresh_keeps_the_checked_outputs_and_no_others(tmp_path):
    cells = [
        tagged("print(6 * 7)", "nbval-check-output"),
        v4.new_code_cell("import os; print(os.environ['CNNLAB_PROFILE'])"),
    ]
    path = tmp_path / "01_test.ipynb"
    nbformat.write(v4.new_notebook(cells=cells), path)
    assert refresh(path) == 1
    renewed = read(path)
    assert [cell.outputs for cell in renewed.cells] == [
        [{"output_type": "stream", "name": "stdout", "text": "42\n"}],
        [],
    ]


def test_stub_keeps_signature_and_docstring_and_raises():
    source = stub(SOLUTION)
    assert '"""Twice x."""' in source and "return" not in source
    scope = {}
    exec(source, scope)
    with pytest.raises(NotImplementedError, match="write double"):
        scope["double"](1)


def test_stub_refuses_a_cell_without_marks():
    with pytest.raises(ValueError, match="found 0"):
        stub("def double(x): return 2 * x")


def test_student_edition_has_neither_solutions_nor_outputs():
    notebook = good_notebook()
    notebook.cells[-1].outputs = [v4.new_output("stream", text="done")]
    edition = student_edition(notebook)
    text = nbformat.writes(edition)
    assert (
        "BEGIN SOLUTION" not in text and "return x + y" not in text and text.count("NotImplementedError") == 3
    )
    assert all(not cell.get("outputs") for cell in edition.cells)
    assert "return x + y" in nbformat.writes(notebook), "the original must not change"


def test_stamp_writes_links_and_set_up_and_can_be_repeated():
    repository = Repository("https://github.com/me/course", "dev")
    notebook = stamp(good_notebook(), repository, "01_test.ipynb")
    assert 'REPOSITORY = "https://github.com/me/course"' in notebook.cells[1].source
    link = "https://colab.research.google.com/github/me/course/blob/dev/labs/01_test.ipynb"
    assert link in notebook.cells[0].source
    again = stamp(notebook, repository, "01_test.ipynb")
    assert again.cells[0].source.count(link) == 1
    moved = stamp(again, Repository("https://github.com/you/course", "main"), "01_test.ipynb")
    assert "me/course" not in moved.cells[0].source


def test_stamp_all_changes_the_one_place_and_every_lab(tmp_path):
    (tmp_path / "labs").mkdir()
    nbformat.write(good_notebook(), tmp_path / "labs" / "01_test.ipynb")
    (tmp_path / "_config.yml").write_text("repository:\n  url: https://github.com/a/b\n  branch: main\n")
    (tmp_path / "CITATION.cff").write_text(
        "title: a\nrepository-code: https://github.com/a/b\nlicense: MIT\n"
    )
    stamp_all("https://github.com/me/course", None, root=tmp_path)
    cited = (tmp_path / "CITATION.cff").read_text()
    assert cited == "title: a\nrepository-code: https://github.com/me/course\nlicense: MIT\n"
    assert "url: https://github.com/me/course" in (tmp_path / "_config.yml").read_text()
    assert "me/course" in read(tmp_path / "labs" / "01_test.ipynb").cells[1].source


def test_stamp_refuses_an_address_that_colab_cannot_open_and_changes_nothing(tmp_path):
    (tmp_path / "_config.yml").write_text("repository:\n  url: https://github.com/a/b\n  branch: main\n")
    with pytest.raises(ValueError, match="example.org"):
        stamp_all("https://example.org/course", None, root=tmp_path)
    assert "github.com/a/b" in (tmp_path / "_config.yml").read_text()


def test_a_broken_file_is_named(tmp_path):
    path = tmp_path / "01_broken.ipynb"
    path.write_text("{")
    with pytest.raises(ValueError, match="01_broken.ipynb is not a readable notebook"):
        read(path)


def test_a_lab_that_cannot_be_written_whole_stays_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "01_test.ipynb"
    write(good_notebook(), path)
    before = path.read_bytes()

    def half(notebook, target):
        target.write_text("{")
        raise OSError("No space left on device")

    monkeypatch.setattr(nbformat, "write", half)
    with pytest.raises(OSError, match="No space left"):
        write(good_notebook(), path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_stamp_keeps_what_stands_below_a_first_mark():
    notebook = good_notebook()
    notebook.cells[0].source = "# Lab 1 · Sums\n<!-- badges -->\n\nAn introduction."
    text = (
        stamp(notebook, Repository("https://github.com/me/course", "main"), "01_test.ipynb").cells[0].source
    )
    assert "Open in Colab" in text and text.endswith("<!-- /badges -->\n\nAn introduction.")
