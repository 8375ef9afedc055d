"""The student edition: the same notebooks with every solution replaced by a stub and every output cleared."""

from __future__ import annotations

import copy
import re
from pathlib import Path

from nbformat import NotebookNode

from utils.publishing.notebooks import BEGIN, END, ROOT, labs, read, strip, tags, write

BETWEEN = re.compile(rf"^(?P<indent>[ ]*){BEGIN}.*?{END}[^\n]*$", re.DOTALL | re.MULTILINE)


def stub(source: str) -> str:
    """The solution cell ``source``, raising NotImplementedError in place of what stands between the marks.

    ``ValueError`` if the marks are not there.
    """
    name = re.search(r"^def (\w+)", source, re.MULTILINE)
    task = f"write {name.group(1)}" if name else "write this cell"
    line = rf'\g<indent># your code here\n\g<indent>raise NotImplementedError("{task}")'
    result, count = BETWEEN.subn(line, source)
    if count != 1:
        raise ValueError(f"expected one solution between '{BEGIN}' and '{END}', found {count} in:\n{source}")
    return result


def student_edition(notebook: NotebookNode) -> NotebookNode:
    """A copy of the notebook without solutions and without outputs."""
    edition = copy.deepcopy(notebook)
    for cell in edition.cells:
        if "solution" in tags(cell):
            cell.source = stub(cell.source)
            cell.metadata = {"tags": sorted(tags(cell) - {"hide-input"})}
    strip(edition)
    for cell in edition.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    return edition


def write_student_edition(root: Path = ROOT) -> list[Path]:
    """Write the student edition of every lab to ``_build/student/labs`` and return the files."""
    written = []
    for path in labs(root):
        target = root / "_build" / "student" / "labs" / path.name
        write(student_edition(read(path)), target)
        written.append(target)
    return written
