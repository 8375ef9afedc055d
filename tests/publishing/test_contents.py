"""The pages that are written from the labs' metadata, on a small book and on the real one."""

import nbformat
import pytest

from utils.publishing.contents import PAGES, RENEW, Card, between, card, cards, lab_map, stale, write_contents
from utils.publishing.notebooks import read, write

v4 = nbformat.v4
CARD = {
    "title": "First",
    "part": "Ground",
    "question": "Why?",
    "build": "a wheel",
    "measure": "its spokes",
    "learn": "to steer",
    "minutes": 60,
    "prerequisites": "matrices",
    "data": "*digits*",
    "time": "`smoke` 5 s",
    "picture": "1.1",
}


def lab(number, **changes):
    words = {**CARD, "picture": f"{number}.1", **changes}
    cells = [
        v4.new_markdown_cell(f"# Lab {number} · {words['title']}\n\ntext"),
        v4.new_markdown_cell("## What you will do\n\n<!-- map -->\n\n<!-- /map -->\n\nmore"),
        v4.new_markdown_cell(f"**Figure {number}.1.** A line."),
    ]
    return v4.new_notebook(cells=cells, metadata={"lab": words})


@pytest.fixture
def book(tmp_path):
    """A book of three labs in two parts, whose pages have marks and nothing between them."""
    write(lab(1), tmp_path / "labs" / "01_first.ipynb")
    write(lab(2, title="Second", prerequisites="lab 1"), tmp_path / "labs" / "02_second.ipynb")
    write(lab(3, title="Third", part="Heights: up"), tmp_path / "labs" / "03_third.ipynb")
    (tmp_path / "book").mkdir()
    for page, (begin, end, _) in PAGES.items():
        indent = "  " if page == "_toc.yml" else ""
        (tmp_path / page).write_text(f"before\n{indent}{begin}\n{indent}{end}\nafter\n", encoding="utf-8")
    return tmp_path


def test_pages_say_what_the_labs_say():
    assert stale() == [], f"run `{RENEW}` and commit what it writes"


def test_each_page_is_written_between_its_marks_once(book):
    everything = [*PAGES, "labs/01_first.ipynb", "labs/02_second.ipynb", "labs/03_third.ipynb"]
    assert stale(book) == write_contents(book) == everything
    assert stale(book) == write_contents(book) == []
    begin, end, _ = PAGES["_toc.yml"]
    assert (
        (book / "_toc.yml").read_text(encoding="utf-8")
        == f"""before
  {begin}
  - caption: Ground
    chapters:
      - file: labs/01_first
      - file: labs/02_second
  - caption: "Heights: up"
    chapters:
      - file: labs/03_third
  {end}
after
"""
    )
    assert (
        (book / "book/instructors.md").read_text(encoding="utf-8")
        == """before
<!-- plan -->

| week | lab | minutes in class | prerequisites |
| --- | --- | --- | --- |
| 1 | {doc}`1 · First <../labs/01_first>` | 60 | matrices |
| 2 | {doc}`2 · Second <../labs/02_second>` | 60 | lab 1 |
| 3 | {doc}`3 · Third <../labs/03_third>` | 60 | matrices |

<!-- /plan -->
after
"""
    )
    assert "| {doc}`3 · Third <../labs/03_third>` | Why? | a wheel |" in (book / "book/intro.md").read_text()
    told = read(book / "labs/02_second.ipynb").cells[1].source
    assert told.startswith("## What you will do\n\n<!-- map -->\n\n**Minutes in class:** 60.\n\n")
    assert told.endswith("<!-- /map -->\n\nmore") and "| You need | lab 1 |" in told


def test_the_page_of_a_changed_lab_is_named(book):
    write_contents(book)
    write(lab(1, minutes=75), book / "labs" / "01_first.ipynb")
    assert stale(book) == ["book/instructors.md", "labs/01_first.ipynb"]


@pytest.mark.parametrize(
    "changes, complaint",
    [
        ({"minutes": 0}, "lack minutes"),
        ({"question": ""}, "lack question"),
        ({"author": "me"}, "have author, which nobody reads"),
        ({"minutes": "60"}, "'60' as minutes, which is not of the type int"),
        ({"picture": "1.7"}, "Figure 1.7 as its picture"),
        ({"prerequisites": "lab 1"}, "lab 1 as a prerequisite"),
        ({"prerequisites": "matrices, labs 0, 3 and 4"}, "lab 3 as a prerequisite"),
    ],
)
def test_what_is_wrong_in_the_metadata_is_named(changes, complaint):
    with pytest.raises(ValueError, match=rf"labs/01_first.ipynb: the metadata, under 'lab',.* {complaint}"):
        card(lab(1, **changes), "01_first")


def test_the_title_is_that_of_the_first_line():
    notebook = lab(1)
    notebook.metadata["lab"]["title"] = "Other"
    with pytest.raises(ValueError, match=r"title 'Other', the first line of the lab is '# Lab 1 · First'"):
        card(notebook, "01_first")


def test_a_lab_without_metadata_lacks_all(book):
    notebook = lab(2, title="Second")
    del notebook.metadata["lab"]
    with pytest.raises(ValueError, match="02_second.ipynb.* lack title, part, question, build, measure"):
        card(notebook, "02_second")


def test_a_part_that_comes_twice_is_refused(book):
    write(lab(4, title="Fourth"), book / "labs" / "04_fourth.ipynb")
    with pytest.raises(ValueError, match="the part 'Ground' do not stand one behind the other"):
        cards(book)


@pytest.mark.parametrize("text", ["", "B", "E B", "B E B E"])
def test_a_page_without_its_marks_is_refused(text):
    with pytest.raises(ValueError, match="page.md needs one 'B' before one 'E'"):
        between(text, "B", "E", "body", "page.md")


def test_a_map_shows_minutes_and_folds_a_row_for_each_other_word():
    rows = lab_map(Card("07_a", **CARD)).splitlines()
    assert rows[0] == "**Minutes in class:** 60."
    assert rows[2].startswith("<details><summary>") and rows[-1] == "</details>"
    assert rows[4:6] == ["|  |  |", "| --- | --- |"] and len(rows) == 15
    assert "| You measure | its spokes |" in rows and "| You need | matrices |" in rows


def test_a_lab_without_its_map_is_named(book):
    notebook = lab(2, title="Second")
    notebook.cells[1].source = "## What you will do\n\nmore"
    write(notebook, book / "labs" / "02_second.ipynb")
    with pytest.raises(ValueError, match="labs/02_second.ipynb needs one cell with .*map -->.* it has 0"):
        stale(book)


def test_the_map_of_a_lab_that_fits_into_a_class_tells_its_sections(book):
    notebook = lab(2, title="Second", prerequisites="lab 1")
    notebook.cells += [
        v4.new_markdown_cell("## The question\n\n" + "word " * 298),  # with the heading 300 words
        v4.new_markdown_cell("## Extra (optional)\n\n" + "word " * 448),
        v4.new_markdown_cell("## Short\n\nword"),
    ]
    write(notebook, book / "labs" / "02_second.ipynb")
    write_contents(book)
    told = read(book / "labs/02_second.ipynb").cells[1].source
    assert "**The core, 2 minutes:** The question 2.\n\n<details>" in told
    assert "| Optional, in minutes | Extra 3 |" in told
    assert "Short" not in told and "in class" not in told
    assert stale(book) == [], "the map does not count itself"


def test_the_map_of_a_long_lab_does_not_tell_them(book):
    notebook = lab(2, title="Second", prerequisites="lab 1")
    notebook.cells.append(v4.new_markdown_cell("## The question\n\n" + "word " * 150 * 106))
    write(notebook, book / "labs" / "02_second.ipynb")
    write_contents(book)
    told = read(book / "labs/02_second.ipynb").cells[1].source
    assert "The core" not in told and "**Minutes in class:** 60." in told
