"""How long the sections of a lab take in class, estimated from what there is to read and to do in them.

Text is read at 150 words a minute and code that stands open at 10 lines a minute; an exercise takes 10
minutes and an explorer 6. Sections are what stands under a heading of the second level; one whose heading
ends in "(optional)" does not count to the core of the lab.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from nbformat import NotebookNode

from utils.publishing.notebooks import tags

WORDS, LINES = 150, 10  # that a reader takes in, in a minute
EXERCISE, EXPLORER = 10, 6  # minutes
OPTIONAL = "(optional)"
ANSWER = "answer"  # the tag of a cell that no student reads
CLOSED = {"hide-input", "hide-cell", "remove-input", "remove-cell"}  # tags of cells whose code is not read
EXPLORERS = re.compile(
    r"^(?:\w+ = )?\w+_(?:explorer|stepper|calculator|builder|scrubber|viewer|circle|rules)\(", re.M
)
NOT_READ = re.compile(r"<!--.*?-->|<[^>]+>|\]\([^)]*\)|https?://\S+", re.S)
FORMULA = re.compile(r"\$\$.*?\$\$|\$[^$]*\$", re.S)


@dataclass(frozen=True)
class Section:
    """A section of a lab: its heading without "(optional)", and minutes in class, with fractions."""

    title: str
    minutes: float
    optional: bool


def sections(notebook: NotebookNode) -> list[Section]:
    """The sections in their order; what stands before the first heading belongs to none."""
    found: list[tuple[str, float]] = []
    for cell in notebook.cells:
        if ANSWER in tags(cell):  # for instructors, not in the book
            continue
        if cell.cell_type != "markdown":
            if found:
                found[-1] = (found[-1][0], found[-1][1] + _code_minutes(cell))
            continue
        for text in re.split(r"^(?=## )", cell.source, flags=re.M):
            heading, _, rest = text.partition("\n")
            if heading.startswith("## "):
                found.append((heading.removeprefix("## ").strip(), 0.0))
                text = f"{heading}\n{rest}"
            if found:
                found[-1] = (found[-1][0], found[-1][1] + words(text) / WORDS)
    return [
        Section(title.removesuffix(OPTIONAL).strip(), minutes, title.endswith(OPTIONAL))
        for title, minutes in found
    ]


def core_minutes(notebook: NotebookNode) -> float:
    """Minutes of all sections that are not optional."""
    return sum(section.minutes for section in sections(notebook) if not section.optional)


def words(text: str) -> int:
    """The words of a text in Markdown; a formula is read as one."""
    return len(re.findall(r"\w+", FORMULA.sub(" x ", NOT_READ.sub(" ", text))))


def _code_minutes(cell: NotebookNode) -> float:
    names, source = tags(cell), cell.source
    minutes = EXPLORER * len(EXPLORERS.findall(source))
    if "solution" in names:
        return minutes + EXERCISE
    if names & CLOSED:
        return minutes
    return minutes + len([line for line in source.splitlines() if line.strip()]) / LINES
