"""Minutes of a lab's sections, counted by hand on notebooks made here."""

import nbformat
import pytest

from utils.publishing.minutes import Section, core_minutes, sections, words
from utils.publishing.notebooks import labs, read

v4 = nbformat.v4


def text(source):
    return v4.new_markdown_cell(source)


def code(source, *tags):
    return v4.new_code_cell(source, metadata={"tags": list(tags)})


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("Two words", 2),
        ("a **bold** claim", 3),
        ("see [the paper](https://example.org/a/b-c)", 3),
        ("the sum $\\sum_i x_i y_i$ is one word", 6),
        ("$$\na = b + c\n$$", 1),
        ("0.91 <!-- record label field mean .2 -->", 2),
        ("<details><summary>Hint</summary>add</details>", 2),
    ],
)
def test_words(source, expected):
    assert words(source) == expected


def test_sections_by_hand():
    notebook = v4.new_notebook(
        cells=[
            text("# Lab 1 · Title\n\nNot counted, for it stands before the first section."),
            code("import torch", "setup", "hide-input"),
            text("## The question\n\n" + "word " * 148),  # with the heading 150 words
            code("a = 1\n\nb = 2\nc = 3\nd = 4\ne = 5"),  # five lines
            code("plot()\n" * 50, "hide-input"),
            text("more\n\n## By hand\n\nno words"),
            code("### BEGIN SOLUTION\n" * 40, "solution", "hide-input"),
            code("demo = loss_explorer(1)\nband_scrubber(2)", "hide-input"),
            text("## Extra (optional)\n\n### A part of it\n\nx"),
        ]
    )
    question, hand, extra = sections(notebook)
    assert question == Section("The question", pytest.approx(1 + 0.5 + 1 / 150), optional=False)
    assert hand == Section("By hand", pytest.approx(4 / 150 + 10 + 12), optional=False)
    assert extra == Section("Extra", pytest.approx(7 / 150), optional=True)
    assert core_minutes(notebook) == pytest.approx(question.minutes + hand.minutes)


def test_answers_for_instructors_take_no_time():
    asks = text("## Explorer\n\nTry this:\n\n- one\n- two")
    answers = text("<!-- answers: try this -->\n- " + "word " * 300)
    answers.metadata["tags"] = ["answer", "remove-cell"]
    with_answers = sections(v4.new_notebook(cells=[asks, answers]))
    assert with_answers == sections(v4.new_notebook(cells=[asks]))


def test_every_lab_has_sections_that_take_time():
    for path in labs():
        found = sections(read(path))
        assert len(found) > 5 and all(section.minutes > 0 for section in found), path.stem
