"""Answers and marking guide, read from a small lab by the rules of ``utils.publishing.instructors``."""

import nbformat
import pytest

from tests.publishing import student_root as made
from utils.publishing.instructors import guide, page, problems, slips, write_instructors
from utils.publishing.notebooks import labs, read

MARKING = "<!-- answers: marking\nHalf a point if the first sum is missing.\n-->"
LAST = """### To go further

- Sum two
  lists at once.
- Sum from the right:

  where do you begin?

Not an item."""
LAST_ANSWERS = "<!-- answers: to go further\n* With `zip`.\n* At the end.\n-->"
GUESSES = (
    "## The question\n\nBefore you read on, write down two guesses:\n\n1. How large is it?\n2. Does it grow?"
)
GUESSES_ANSWERS = "<!-- answers: guesses\n1. It is 3.\n2. It does.\n-->"
ONE_OF_TWO = GUESSES_ANSWERS.replace("2. It does.\n", "")


def lab():
    """The small lab with a question of each kind; its cells 3 to 6 ask and answer, 9 is about marking."""
    notebook = made.lab()
    secret = ("answer", "remove-cell")
    notebook.cells[3:3] = [made.text(GUESSES), made.text(GUESSES_ANSWERS, *secret)]
    notebook.cells.insert(9, made.text(MARKING, *secret))
    notebook.cells[7:7] = [made.text("### Exercise 1.1: sums\n\nWrite `running_sum(values)`.")]
    notebook.cells += [made.text(LAST), made.text(LAST_ANSWERS, *secret)]
    return notebook


def test_questions_and_answers_are_paired():
    found = guide(lab())
    assert found.title == "Lab 1 · Sums" and problems(found) == []
    assert [(each.kind, each.heading) for each in found.questions] == [
        ("guesses", "The question"),
        ("try this", "Sums"),
        ("to go further", "To go further"),
    ]
    assert found.questions[0].items == ["How large is it?", "Does it grow?"]
    assert found.questions[0].answers == ["It is 3.", "It does."]
    assert found.questions[2].items == ["Sum two lists at once.", "Sum from the right: where do you begin?"]
    assert found.questions[2].answers == ["With `zip`.", "At the end."]
    assert (found.answered, found.asked) == (6, 6)


def test_marking_guide_has_task_solution_check_and_known_mistakes():
    found = guide(lab())
    first, second = found.exercises
    assert first.text.startswith("### Exercise 1.1") and first.check == "check.running_sum(running_sum)"
    assert first.marking == "Half a point if the first sum is missing." and second.marking == ""
    text = page(found, made.CHECKS)
    assert text.startswith("# Lab 1 · Sums: for instructors\n")
    assert "1. How large is it?\n\n   → It is 3.\n" in text
    assert "```python\ntotal, sums = 0, []\nfor value in values:\n" in text, "the solution, not indented"
    assert "2 exercises, 2 points" in text and "**Marking.**\n\nHalf a point" in text
    assert "- the power: x times two, not x to the power of two.\n- the sign: minus.\n" in text
    assert text.index("## Marking guide") < text.index("## To go further") < text.index("With `zip`")
    assert "No answer" not in text


def test_mistakes_are_those_of_the_check_and_of_no_other():
    assert slips(made.CHECKS, "double") == [
        "the power: x times two, not x to the power of two.",
        "the sign: minus.",
    ]
    assert slips(made.CHECKS, "running_sum") == [] and slips(made.CHECKS, "none") == []
    own = 'def f(g):\n    pairs = [("the sign.", 1), ("no sentence", 2), (3, "a sentence.")]\n'
    assert slips(own, "f") == ["the sign."]


@pytest.mark.parametrize(
    "change, told",
    [
        (lambda n: n.cells[4].update(source="1. It is 3."), "cell 4: a cell of answers is text"),
        (lambda n: n.cells[4].metadata.update(tags=["answer"]), "tagged 'answer' and 'remove-cell'"),
        (lambda n: n.cells[4].update(source="<!-- answers: try this\n-->"), "cell 4 answers 'try this'"),
        (lambda n: n.cells[4].update(source="<!-- answers: guess\n1. 3.\n-->"), "known are guesses"),
        (lambda n: n.cells[4].update(source=ONE_OF_TWO), "guesses under 'The question': 2 qu"),
        (lambda n: n.cells[4].update(source=GUESSES_ANSWERS[:-4]), "begins '<!-- answers: …' and ends '-->'"),
        (lambda n: n.cells[4].update(source=MARKING), "cell 4: what to look at in marking stands below"),
        (lambda n: n.cells.insert(4, made.code("1 + 1")), "cell 5 answers 'guesses', which the cell"),
    ],
)  # fmt: skip
def test_each_mistake_of_an_author_is_named(change, told):
    notebook = lab()
    change(notebook)
    assert any(told in each for each in problems(guide(notebook))), problems(guide(notebook))


def test_an_exercise_in_place_is_told_from_its_own_words_and_its_mistakes_are_named():
    notebook = lab()
    notebook.cells += [
        made.text("## Doubling\n\nA long text.\n\n**Exercise 1.3.** Double `x`."),
        made.code(
            "def double(x):\n    ### BEGIN SOLUTION\n    return 2 * x\n    ### END SOLUTION", "solution"
        ),
        made.code("double = check.use(double)", "check"),
    ]
    found = guide(notebook).exercises[-1]
    assert found.text == "**Exercise 1.3.** Double `x`."
    before, after = page(guide(notebook), made.CHECKS).split("**Exercise 1.3.**")
    assert before.endswith("### In the section “Doubling”\n\n") and before.count("In the section") == 1
    assert "- the sign: minus." in after and "**Checked by** `check.double`: 1 point" in after


def test_comments_of_the_labs_are_left_out():
    notebook = lab()
    notebook.cells[3].source += " From 0.001<!-- = 1/1000 --> on."
    assert "From 0.001 on." in page(guide(notebook), "") and "<!--" not in page(guide(notebook), "")


def test_questions_that_nobody_has_answered_yet_are_shown_as_such():
    notebook = lab()
    notebook.cells = [cell for cell in notebook.cells if "answer" not in cell.metadata.get("tags", [])]
    found = guide(notebook)
    assert problems(found) == [] and (found.answered, found.asked) == (0, 6)
    assert page(found, "").count("No answer is written yet") == 6


def test_the_command_writes_a_page_for_each_lab_and_refuses_what_is_wrong(tmp_path):
    root = made.make(tmp_path, lab())
    assert write_instructors(root) == ["01_test: 2 exercises, 6 of 6 questions answered"]
    written = root / "_build" / "instructors" / "01_test.md"
    assert "→ It is 3." in written.read_text(encoding="utf-8")
    spoiled = lab()
    spoiled.cells[4].source = "1. It is 3."
    nbformat.write(spoiled, root / "labs" / "01_test.ipynb")
    before = written.read_bytes()
    with pytest.raises(ValueError, match=r"labs/01_test.ipynb, cell 4: a cell of answers"):
        write_instructors(root)
    assert written.read_bytes() == before
    spoiled = lab()
    (place,) = [n for n, cell in enumerate(spoiled.cells) if "def double(" in cell.source]
    spoiled.cells[place].source = spoiled.cells[place].source.replace("### END SOLUTION", "")
    nbformat.write(spoiled, root / "labs" / "01_test.ipynb")
    with pytest.raises(ValueError, match=f"labs/01_test.ipynb, cell {place} is tagged 'solution'"):
        write_instructors(root)
    assert written.read_bytes() == before


@pytest.mark.parametrize("path", labs(), ids=lambda path: path.stem)
def test_answers_of_the_labs_fit_their_questions(path):
    found = guide(read(path))
    assert problems(found) == []
    assert found.asked > 0 and found.exercises, "neither questions nor exercises were found"
