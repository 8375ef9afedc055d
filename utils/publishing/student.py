"""A lab without its solutions: each is replaced by a stub, every output and every answer is taken out.

What is no exercise of the form that the labs have is refused by name, since it could hand out a solution.
"""

from __future__ import annotations

import copy
import re
from difflib import get_close_matches

from nbformat import NotebookNode

from utils.publishing.notebooks import BEGIN, END, strip, tags

BETWEEN = re.compile(rf"^(?P<indent>[ ]*){BEGIN}.*?{END}[^\n]*$", re.DOTALL | re.MULTILINE)
ANY_MARK = re.compile(r"#\s*(?:BEGIN|END)\s+SOLUTION", re.IGNORECASE)  # also where it is mistyped a little
CHECKED = re.compile(r"^(?:\w+ = )?check\.(?!use\()(\w+)\(", re.MULTILINE)
ANSWERS = re.compile(r"<!-- answers: (.+?)(?: -->)?$", re.MULTILINE)  # begins a cell tagged "answer"
SECRET = ("solution", "check", "answer")  # tags on which it depends what a student gets
KEPT_OUT = "remove-cell"  # Jupyter Book's tag for a cell that stays out of the book


def stub(source: str) -> str:
    """The solution cell ``source``, raising NotImplementedError in place of what stands between the marks.

    ``ValueError`` if the marks are not there.
    """
    task = f"write {name_of(source) or 'this cell'}"
    line = rf'\g<indent># your code here\n\g<indent>raise NotImplementedError("{task}")'
    result, count = BETWEEN.subn(line, source)
    if count != 1:
        raise ValueError(f"expected one solution between '{BEGIN}' and '{END}', found {count} in:\n{source}")
    return result


def name_of(source: str) -> str | None:
    """The name of the first function that a cell defines, or None."""
    found = re.search(r"^def (\w+)", source, re.MULTILINE)
    return found and found.group(1)


def student_edition(notebook: NotebookNode, name: str = "the notebook") -> NotebookNode:
    """A copy of the notebook without solutions, answers and outputs.

    ``ValueError`` naming ``name`` and the cell where that is not possible: see :func:`doubts`.
    """
    found = doubts(notebook)
    if found:
        raise ValueError("\n".join(f"{name}, {doubt}" for doubt in found))
    edition = without_answers(notebook)
    for number, cell in enumerate(edition.cells):
        if "solution" in tags(cell):
            try:
                cell.source = stub(cell.source)
            except ValueError as error:
                raise ValueError(f"{name}, cell {number}: {error}") from error
            cell.metadata = {"tags": sorted(tags(cell) - {"hide-input"})}
    strip(edition)
    for cell in edition.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return edition


def without_answers(notebook: NotebookNode) -> NotebookNode:
    """A copy of the notebook without the cells that answer its questions."""
    edition = copy.deepcopy(notebook)
    edition.cells = [cell for cell in edition.cells if "answer" not in tags(cell)]
    return edition


def doubts(notebook: NotebookNode) -> list[str]:
    """Where it is not certain what is a solution or an answer, one sentence for each such cell."""
    found, before = [], None  # the last code cell
    for number, cell in enumerate(notebook.cells):
        own, source = tags(cell), cell.source
        for tag in sorted(own - set(SECRET)):
            if near := get_close_matches(tag.lower(), SECRET, n=1, cutoff=0.75):
                found.append(f"cell {number}: the tag {tag!r} is none; was {near[0]!r} meant?")
        if ANY_MARK.search(source) and "solution" not in own:
            found.append(f"cell {number} has the mark of a solution, but not the tag 'solution'")
        if "solution" in own and (cell.cell_type != "code" or not _marked_once(source)):
            found.append(f"cell {number} is tagged 'solution': it needs one '{BEGIN}' before one '{END}'")
        if ("answer" in own) != bool(ANSWERS.match(source)):
            found.append(
                f"cell {number}: a cell of answers has the tag 'answer' and begins '<!-- answers: … -->'"
            )
        if cell.cell_type == "code":
            checked = CHECKED.search(source)
            if checked and "check" not in own:
                found.append(f"cell {number} calls check.{checked.group(1)}, but is not tagged 'check'")
            if "check" in own and (before is None or "solution" not in tags(before)):
                found.append(f"cell {number} is a check, but the code before it is not tagged 'solution'")
            before = cell
    return found


def solution_of(source: str) -> str:
    """What stands between the marks of a solution cell."""
    return re.search(rf"{BEGIN}[^\n]*\n(.*?)\n?[ ]*{END}", source, re.DOTALL).group(1)


def _marked_once(source: str) -> bool:
    return source.count(BEGIN) == source.count(END) == len(BETWEEN.findall(source)) == 1
