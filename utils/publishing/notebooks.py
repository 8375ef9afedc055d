"""The labs as files: reading, writing, stripping outputs by rule, and the anatomy every lab must have."""

from __future__ import annotations

import copy
import os
import re
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from utils.publishing.measured_code import measured_problems

ROOT = Path(__file__).resolve().parents[2]
BUILT_WITH = "built_with"  # in _build: a file that is there while the book is the one that was built last
CARD = "lab"  # the key of a notebook's metadata under which it says what the lab is: see contents.Card
FOLDED = "hide-input"  # the one tag whose cells stand folded: in the book, in JupyterLab and in Colab
FOLDS = {"jupyter": {"source_hidden": True}, "cellView": "form"}  # what the latter two read
SOLUTION = "solution"
FOLDED_AS = {
    SOLUTION: "the solution",
    "setup": "the set-up",
    "needed": "the imports and sizes",
}  # else "the code"
KEEP_OUTPUT = "nbval-check-output"  # the one tag whose cells keep their outputs in git
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
LAB_NAME = re.compile(r"\d\d_[a-z0-9_]+\.ipynb")
SECTIONS = (
    "what you will do",
    "the question",
    "by hand",
    "against torch",
    "measure",
    "what we found",
    "pitfalls",
    "further reading",
)
ANYWHERE = "exercises"  # a heading that comes before what was found or, with optional exercises, after it
EXERCISES = range(3, 8)
ROLE = re.compile(r"\{[a-z][a-z:-]*\}`[^`]*`|^ *(?:`{3,}|:{3,})\{[a-z-]+\}", re.MULTILINE)  # of MyST


def labs(root: Path = ROOT) -> list[Path]:
    """The lab notebooks in order."""
    return sorted((root / "labs").glob("*.ipynb"))


def read(path: Path) -> NotebookNode:
    """The notebook in ``path``; ``ValueError`` naming the file if it is not a version-4 notebook."""
    try:
        return nbformat.read(path, as_version=4)
    except Exception as error:
        raise ValueError(f"{path} is not a readable notebook: {error}") from error


def write(notebook: NotebookNode, path: Path) -> None:
    """Write the notebook in the one layout the project keeps in git."""
    nbformat.validate(notebook)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        nbformat.write(notebook, partial)
        partial.replace(path)  # a full disk or an interruption leaves the lab as it was
    finally:
        partial.unlink(missing_ok=True)


def tags(cell: NotebookNode) -> set[str]:
    """The cell's tags."""
    return set(cell.metadata.get("tags", []))


def strip(notebook: NotebookNode) -> NotebookNode:
    """Remove in place what does not belong in git: all outputs but checked ones, and what editors leave.

    Cells tagged :data:`FOLDED` get the marks by which JupyterLab and Colab fold them, others lose them.
    :data:`FOLDED_AS` is what the book's line that unfolds a cell says.
    """
    notebook.metadata = {
        **({CARD: notebook.metadata[CARD]} if CARD in notebook.metadata else {}),
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for cell in notebook.cells:
        cell.metadata = {key: cell.metadata[key] for key in ("tags", "mystnb") if key in cell.metadata}
        if cell.cell_type != "code":
            continue
        if FOLDED in tags(cell):
            cell.metadata.update(copy.deepcopy(FOLDS))
        for tag in FOLDED_AS.keys() & tags(cell):
            prompts = {f"code_prompt_{does}": f"{does.title()} {FOLDED_AS[tag]}" for does in ("show", "hide")}
            cell.metadata["mystnb"] = {**cell.metadata.get("mystnb", {}), **prompts}
        kept = cell.outputs if KEEP_OUTPUT in tags(cell) else []
        # nbval takes a cell with outputs and no count for one that was never run
        cell.execution_count = 1 if kept else None
        for output in kept:
            if "execution_count" in output:
                output["execution_count"] = 1
        cell.outputs = kept
    return notebook


def problems(notebook: NotebookNode, setup: str) -> list[str]:
    """What in this lab breaks the rules, one sentence each; ``setup``: the set-up cell that all share."""
    return [
        *_frame_problems(notebook, setup),
        *_anatomy_problems(notebook),
        *_figure_problems(notebook),
        *_exercise_problems(notebook),
        *_text_problems(notebook),
        *measured_problems([cell.source for cell in notebook.cells if cell.cell_type == "code"]),
    ]


def _frame_problems(notebook: NotebookNode, setup: str) -> list[str]:
    cells, found = notebook.cells, []
    if cells[0].cell_type != "markdown" or not re.match(r"# Lab \d+ · ", cells[0].source):
        found.append("cell 0 must be text that begins '# Lab N · Title'")
    if cells[1].source != setup or "setup" not in tags(cells[1]):
        found.append("cell 1 must be the set-up cell, tagged 'setup', the same to the letter in all labs")
    if FOLDED not in tags(cells[1]) or FOLDED not in tags(cells[2]):
        found.append(f"set-up and imports, cells 1 and 2, must be folded: tag them {FOLDED!r}")
    if "needed" not in tags(cells[2]) or "start_lab(" not in cells[2].source:
        found.append("cell 2 must be tagged 'needed' and call start_lab")
    if not any("lab.finish()" in cell.source for cell in cells):
        found.append("no cell calls lab.finish(), so the badge never says how long the page took")
    for number, cell in enumerate(cells):
        marks = {key: cell.metadata[key] for key in FOLDS if key in cell.metadata}
        if cell.cell_type == "code" and marks != (FOLDS if FOLDED in tags(cell) else {}):
            found.append(
                f"cell {number} is not folded as its tags say: run `python -m utils.publishing strip`"
            )
        if cell.cell_type == "code" and cell.outputs and KEEP_OUTPUT not in tags(cell):
            found.append(f"cell {number} has outputs: run `python -m utils.publishing strip`")
        if KEEP_OUTPUT in tags(cell) and not cell.get("outputs"):
            found.append(
                f"cell {number} is tagged {KEEP_OUTPUT!r} but empty: run `python -m utils.publishing refresh`"
            )
    return found


def _anatomy_problems(notebook: NotebookNode) -> list[str]:
    headings = [
        line.lstrip("# ").lower()
        for cell in notebook.cells
        if cell.cell_type == "markdown"
        for line in cell.source.splitlines()
        if line.startswith("## ")
    ]
    found, place = [], 0
    for section in SECTIONS:
        later = [i for i in range(place, len(headings)) if section in headings[i]]
        if not later:
            found.append(f"no heading with {section!r} in its place; the headings are: {'; '.join(headings)}")
            continue
        place = later[0] + 1
    if not any(ANYWHERE in heading for heading in headings):
        found.append(f"no heading with {ANYWHERE!r}; the headings are: {'; '.join(headings)}")
    return found


def _figure_problems(notebook: NotebookNode) -> list[str]:
    found, cells = [], notebook.cells
    for number, cell in enumerate(cells):
        alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt")
        caption = number + 1 < len(cells) and re.match(r"\*\*Figure \d+\.\d+\.\*\*", cells[number + 1].source)
        if alt is not None and not caption:
            found.append(f"cell {number} draws a figure, but the next cell does not begin '**Figure N.k.**'")
        if caption and not alt:
            found.append(
                f"cell {number + 1} is a caption, but the cell before has no alt text (mystnb.image.alt)"
            )
    return found


def _text_problems(notebook: NotebookNode) -> list[str]:
    """What only the book would understand: in Jupyter and Colab a reader sees it as it is written."""
    return [
        f"cell {number} has {found!r}, which Jupyter shows as it stands: write a link"
        for number, cell in enumerate(notebook.cells)
        if cell.cell_type == "markdown"
        for found in ROLE.findall(cell.source)
    ]


def _exercise_problems(notebook: NotebookNode) -> list[str]:
    found, cells = [], notebook.cells
    solutions = [i for i, cell in enumerate(cells) if "solution" in tags(cell)]
    if len(solutions) not in EXERCISES:
        found.append(f"{len(solutions)} exercises; a lab has {EXERCISES.start} to {EXERCISES.stop - 1}")
    for number in solutions:
        source = cells[number].source
        if source.count(BEGIN) != 1 or source.count(END) != 1 or source.index(BEGIN) > source.index(END):
            found.append(f"cell {number} needs one '{BEGIN}' before one '{END}'")
        if FOLDED not in tags(cells[number]):
            found.append(f"cell {number}, a solution, must be folded: tag it {FOLDED!r}")
        if number + 1 >= len(cells) or "check" not in tags(cells[number + 1]):
            found.append(f"cell {number}, a solution, is not followed by a cell tagged 'check'")
        if "<details>" not in "".join(cell.source for cell in cells[max(0, number - 2) : number]):
            found.append(f"cell {number}, a solution, has no hint (<details>) in the text before it")
    for number, cell in enumerate(cells):
        if BEGIN in cell.source and number not in solutions:
            found.append(f"cell {number} holds a solution but is not tagged 'solution'")
    return found
