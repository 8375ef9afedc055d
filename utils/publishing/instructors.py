"""What instructors get: answers to the questions of the labs, and a marking guide, from the labs themselves.

The one source is the notebook. A text cell that is tagged ``answer`` (and ``remove-cell``, which keeps it out
of the book) stands below the cell that asks. It is one comment, so that nobody reads it by
chance; its first line says what it answers, and it has one item of a list for each item of the question:

    <!-- answers: try this
    - With padding 0 two outputs are lost.
    - With stride 2 every second row is left.
    -->

Three kinds of questions are known by how they begin: ``guesses`` (a line that ends "three guesses:"),
``try this`` (the line "Try this:") and ``to go further`` (the heading). A cell of the kind ``marking``, below
the check of an exercise, says in free words what else to look at when the exercise is marked.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from textwrap import dedent

from nbformat import NotebookNode

from utils.publishing.nbgrader import IMPORTED, POINTS
from utils.publishing.notebooks import ROOT, labs, read, tags
from utils.publishing.own_folder import write_folder
from utils.publishing.student import ANSWERS, CHECKED, KEPT_OUT, doubts, solution_of

COMMAND = "instructors"
ASKS = {
    "guesses": re.compile(r"^.*\bguess(?:es)?\b[^.\n]*:[ ]*$", re.IGNORECASE),
    "try this": re.compile(r"^(?:#+ )?Try this:?[ ]*$", re.IGNORECASE),
    "to go further": re.compile(r"^#+ To go further[ ]*$", re.IGNORECASE),
}
EXERCISE = re.compile(r"^(?:#+ Exercise |\*\*Exercise )", re.MULTILINE)
IN_PLACE = re.compile(r"\bcheck\.use\((\w+)\)")  # the function has the name of its check
LAST = "to go further"
MARKING = "marking"
ITEM = re.compile(r"(?:[-*]|\d+\.)\s+")
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)  # such as the origin of a number
NONE_YET = "*No answer is written yet.*"


@dataclass
class Questions:
    """A list of questions in a cell: what kind, under which heading, the items, and their answers if any."""

    kind: str
    heading: str
    items: list[str]
    answers: list[str] = field(default_factory=list)


@dataclass
class Exercise:
    """An exercise: its text, solution, the call that checks it, and what to look at when it is marked.

    ``place`` is the heading of the section that an exercise in place belongs to and needs to be understood.
    """

    text: str
    solution: str
    check: str
    marking: str = ""
    place: str = ""


@dataclass
class Guide:
    """What a lab holds for instructors, and what is wrong with its cells of answers."""

    title: str
    questions: list[Questions] = field(default_factory=list)
    exercises: list[Exercise] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def answered(self) -> int:
        """How many questions have an answer."""
        return sum(len(each.answers) for each in self.questions)

    @property
    def asked(self) -> int:
        """How many questions there are."""
        return sum(len(each.items) for each in self.questions)


def guide(notebook: NotebookNode) -> Guide:
    """Read a lab for instructors."""
    found = Guide(title=notebook.cells[0].source.partition("\n")[0].removeprefix("# "))
    heading, here, text, solution = "", [], "", ""
    after_check = False
    for number, cell in enumerate(notebook.cells):
        if "answer" in tags(cell):
            _take(found, cell, here, after_check, f"cell {number}")
            continue
        after_check = "check" in tags(cell)
        here = []
        if cell.cell_type == "markdown":
            text = cell.source
            for kind, begin, items in _asked(text):
                above = re.findall(r"^#+ (.*)$", text[:begin], re.MULTILINE)
                here.append(Questions(kind, above[-1] if above else heading, items))
            found.questions += here
            headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
            heading = headings[-1] if headings else heading
        elif "solution" in tags(cell):
            solution = cell.source
        elif after_check:
            task = _exercise_of(text)
            place = heading if task.startswith("**") else ""
            found.exercises.append(Exercise(task, solution, cell.source, place=place))
    return found


def _exercise_of(text: str) -> str:
    """What a text cell says of the exercise that it ends with, or all of it if it names none."""
    begins = [match.start() for match in EXERCISE.finditer(text)]
    return text[begins[-1] :] if begins else text


def problems(found: Guide) -> list[str]:
    """What is wrong with the answers of a lab, and which questions of a list that is answered have none."""
    short = [
        f"{each.kind} under {each.heading!r}: {len(each.items)} questions, {len(each.answers)} answers"
        for each in found.questions
        if each.answers and len(each.answers) != len(each.items)
    ]
    return [*found.problems, *short]


def slips(module: str, check: str) -> list[str]:
    """The mistakes that a check knows by name, from the source of its module.

    They are the texts of the pairs that stand in the check itself and in the functions ``…_slips`` it calls.
    """
    functions = {node.name: node for node in ast.parse(module).body if isinstance(node, ast.FunctionDef)}
    if check not in functions:
        return []
    called = {node.id for node in ast.walk(functions[check]) if isinstance(node, ast.Name)}
    places = [check, *(name for name in functions if name in called and name.endswith("_slips"))]
    pairs = (node for name in places for node in ast.walk(functions[name]) if isinstance(node, ast.Tuple))
    texts = (pair.elts[0].value for pair in pairs if pair.elts and isinstance(pair.elts[0], ast.Constant))
    return list(dict.fromkeys(text for text in texts if isinstance(text, str) and text.endswith((".", "?"))))


def page(found: Guide, module: str) -> str:
    """The guide of one lab as Markdown; module: the source of its checks."""
    lines = [f"# {found.title}: for instructors", ""]
    for each in found.questions:
        lines += _answered(each) if each.kind != LAST else []
    points = len(found.exercises) * POINTS
    lines += ["## Marking guide", "", f"{len(found.exercises)} exercises, {points} points with nbgrader.", ""]
    for exercise in found.exercises:
        lines += _marked(exercise, module)
    for each in found.questions:
        lines += _answered(each) if each.kind == LAST else []
    return COMMENT.sub("", "\n".join(lines)).rstrip() + "\n"


def write_instructors(root: Path = ROOT) -> list[str]:
    """Write a guide for each lab to ``_build/instructors``; returns one line on each lab.

    ``ValueError`` naming what is wrong with a lab's answers or exercises.
    """
    files, told, wrong = {}, [], []
    for path in labs(root):
        notebook = read(path)
        found = guide(notebook)
        # without a solution before each check there is no guide to be written
        if here := problems(found) or doubts(notebook):
            wrong += [f"labs/{path.name}, {problem}" for problem in here]
            continue
        files[PurePosixPath(f"{path.stem}.md")] = page(found, _checks_of(notebook, root)).encode()
        answered = f"{found.answered} of {found.asked} questions answered"
        told.append(f"{path.stem}: {len(found.exercises)} exercises, {answered}")
    if wrong:
        raise ValueError("\n".join(wrong))
    write_folder(root / "_build" / "instructors", files, COMMAND)
    return told


def _take(found: Guide, cell: NotebookNode, asked: list[Questions], after_check: bool, where: str) -> None:
    """Put the answers of a cell where they belong, or say what is wrong with it."""
    first = ANSWERS.match(cell.source)
    folded = cell.source.rstrip().endswith("-->") and cell.source.count("-->") == 1
    if not first or not folded or KEPT_OUT not in tags(cell) or cell.cell_type != "markdown":
        found.problems.append(
            f"{where}: a cell of answers is text, tagged 'answer' and {KEPT_OUT!r}, and one comment that "
            "begins '<!-- answers: …' and ends '-->'"
        )
        return
    kind, body = first.group(1), cell.source[first.end() :].strip().removesuffix("-->").strip()
    if kind == MARKING:
        if after_check:
            found.exercises[-1].marking = body
        else:
            found.problems.append(
                f"{where}: what to look at in marking stands below the check of an exercise"
            )
        return
    owners = [each for each in asked if each.kind == kind]
    if not owners:
        known = ", ".join([*ASKS, MARKING])
        found.problems.append(
            f"{where} answers {kind!r}, which the cell above does not ask; known are {known}"
        )
    else:
        owners[-1].answers = _items(body)


def _asked(text: str) -> Iterator[tuple[str, int, list[str]]]:
    """(kind, where the list begins, items) of each list of questions in a text cell."""
    place = 0
    for line in text.splitlines(keepends=True):
        place += len(line)
        for kind, begins in ASKS.items():
            if begins.match(line.rstrip("\n")) and (items := _items(text[place:])):
                yield kind, place, items


def _items(text: str) -> list[str]:
    """The items of the list that a text begins with, each on one line."""
    items: list[str] = []
    blank = False
    for line in text.strip().splitlines():
        if begins := ITEM.match(line):
            items.append(line[begins.end() :].strip())
        elif not line.strip():
            blank = True
            continue
        elif items and (line.startswith(" ") or not blank):
            items[-1] += f" {line.strip()}"
        else:
            break
        blank = False
    return items


def _answered(each: Questions) -> list[str]:
    lines = [f"## {each.heading}", "", f"*{each.kind.capitalize()}.*", ""] if each.kind != LAST else []
    lines = lines or ["## To go further", ""]
    for place, item in enumerate(each.items):
        answer = each.answers[place] if place < len(each.answers) else NONE_YET
        lines += [f"{place + 1}. {item}", "", f"   → {answer}", ""]
    return lines


def _marked(exercise: Exercise, module: str) -> list[str]:
    lines = [
        *([f"### In the section “{exercise.place}”", ""] if exercise.place else []),
        exercise.text,
        "",
        "**A solution**",
        "",
        "```python",
        dedent(solution_of(exercise.solution)),
        "```",
        "",
    ]
    call = IN_PLACE.search(exercise.check) or CHECKED.search(exercise.check)
    called = f"check.{call.group(1)}" if call else exercise.check.strip()
    lines += [f"**Checked by** `{called}`: {POINTS} point if it passes.", ""]
    if call and (known := slips(module, call.group(1))):
        lines += ["**Mistakes that the check names.** Look at …", "", *(f"- {each}" for each in known), ""]
    return [*lines, "**Marking.**", "", exercise.marking, ""] if exercise.marking else lines


def _checks_of(notebook: NotebookNode, root: Path) -> str:
    """The source of the module that checks the lab's exercises, or nothing."""
    names = [name for cell in notebook.cells for name in IMPORTED.findall(cell.source)]
    path = root / "utils" / "course" / "checks" / f"{names[0]}.py" if names else None
    return path.read_text(encoding="utf-8") if path and path.is_file() else ""
