"""One name and one spelling for each thing: the list, and the pages that are held to it."""

import pytest
from nbformat import v4

from utils.publishing.notebooks import ROOT, labs, write
from utils.publishing.terms import HELD, SPELLING, other_terms, terms


@pytest.mark.parametrize("page", HELD)
def test_a_page_uses_the_words_of_the_list(page):
    assert other_terms(ROOT / page) == []


@pytest.mark.parametrize("path", labs(), ids=lambda path: path.stem)
def test_all_labs_have_one_spelling(path):
    assert other_terms(path, because=SPELLING) == []


def test_a_reason_can_be_chosen(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("A grey Relu.\n", encoding="utf-8")
    assert len(other_terms(page, tmp_path)) == 2
    (found,) = other_terms(page, tmp_path, SPELLING)
    assert "'grey'" in found


@pytest.mark.parametrize("term", terms(), ids=lambda term: term.write)
def test_no_row_forbids_what_it_asks_for(term):
    assert not term.pattern.search(term.write)


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("Batch Normalisation is regularising.", "Batch normalization is regularizing."),
        ("The colours of neighbouring data sets", "The colors of neighboring datasets"),
        ("A Relu behind each neuron", "A ReLU behind each unit"),
        ("trained on CIFAR10 with cross entropy", "trained on CIFAR-10 with cross-entropy"),
        ("the training pictures", "the training images"),
        ("labels drawn by lot", "random labels"),
    ],
)
def test_other_words_are_named_in_prose_and_nowhere_else(tmp_path, wrong, right):
    page = tmp_path / "page.md"
    page.write_text(f"# A page\n\n{right}\n\n`{wrong}` and <!-- {wrong} -->\n\n```\n{wrong}\n```\n")
    assert other_terms(page, tmp_path) == []
    page.write_text(f"# A page\n\n{wrong}\n")
    assert other_terms(page, tmp_path)[0].startswith("page.md, line 3: ")


def test_a_place_in_a_notebook_is_named_by_its_cell(tmp_path):
    notebook = v4.new_notebook(
        cells=[v4.new_code_cell("colour = 1"), v4.new_markdown_cell("one\n\na colour")]
    )
    write(notebook, tmp_path / "a.ipynb")
    (found,) = other_terms(tmp_path / "a.ipynb", tmp_path)
    assert found == "a.ipynb, cell 1, line 3: 'colour'; write color (American spelling)"


def test_words_that_contain_one_of_the_list_are_left_alone(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("A realistic promise of precise exercises; the optimist has a floorboard.\n")
    assert other_terms(page, tmp_path) == []


@pytest.mark.parametrize(
    ("row", "message"),
    [("color,colou(r,spelling", r"line 2: 'colou\(r' is no pattern"), ("color,,spelling", "line 2: needs")],
)
def test_a_damaged_row_is_named(tmp_path, row, message):
    file = tmp_path / "terms.csv"
    file.write_text(f"write,not,because\n{row}\n")
    with pytest.raises(ValueError, match=message):
        terms(file)
