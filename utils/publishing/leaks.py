"""What of the solutions, the answers and the full edition is left in files that are handed to students.

Code is compared by its statements, without layout, comments and the names of variables: a reference in a
check that is the solution in other words for the same things is found, too.
"""

from __future__ import annotations

import builtins
import io
import json
import keyword
import re
import textwrap
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

import nbformat
from nbformat import NotebookNode

from utils.publishing.notebooks import tags
from utils.publishing.student import ANSWERS, ANY_MARK, name_of, solution_of

IN_UTILS, IN_LABS = 3, 5  # so many statements in a row; a lab may repeat a line that it has taught before
SHORTEST = 30  # characters; what is shorter, such as "return x + y", is nobody's secret
LONGEST_LINE = 40  # characters of an answer's line from which on it cannot stand elsewhere by chance
BLOCK = re.compile(r"^[ ]*```[^\n]*\n(.*?)^[ ]*```", re.DOTALL | re.MULTILINE)  # of code, in Markdown
BULLET = re.compile(r"^\s*(?:[-*]|\d+\.)\s+")
CODE, TEXT, DATA = {".py"}, {".md", ".js", ".css", ".html", ".txt"}, {".json", ".toml", ".yml", ".cff", ""}


@dataclass(frozen=True)
class Secrets:
    """What students must not find: solutions and answers by where they come from, and an address.

    solutions: the statements of a solution, as :func:`statements` returns them. address: ``owner/name`` of
    the full edition.
    """

    solutions: Mapping[str, tuple[tuple[str, ...], ...]]
    answers: Mapping[str, tuple[str, ...]]
    address: str


def secrets(notebooks: Mapping[str, NotebookNode], address: str) -> Secrets:
    """The secrets of the labs; ``notebooks``: name → the notebook with its solutions and answers."""
    solutions, answers = {}, {}
    for name, notebook in notebooks.items():
        for number, cell in enumerate(notebook.cells):
            if "solution" in tags(cell):
                code = textwrap.dedent(solution_of(cell.source))
                told = f"{name_of(cell.source) or f'cell {number}'} of {name}"
                told = f"{told}, cell {number}" if told in solutions else told  # two of one name are two
                solutions[told] = tuple(statements(code))
            if "answer" in tags(cell):
                lines = (_squeezed(BULLET.sub("", line)) for line in cell.source.splitlines())
                answers[f"cell {number} of {name}"] = tuple(
                    line for line in lines if len(line) >= LONGEST_LINE and not ANSWERS.match(line)
                )
    return Secrets(solutions, answers, address)


def leaks(files: Iterable[tuple[PurePosixPath, bytes]], hidden: Secrets) -> list[str]:
    """What is left of the secrets in these files, one sentence each, naming file and cell or line."""
    sought = {size: _Sought(hidden, size) for size in (IN_UTILS, IN_LABS)}
    # not a part of another address: me/course is not in me/course-students
    slug = re.escape(hidden.address)
    address = re.compile(rf"(?<![\w.-]){slug}(?:\.git)?(?![\w.-]*[\w-])", re.IGNORECASE)
    found = []
    for path, content in files:
        if path.suffix not in CODE | TEXT | DATA | {".ipynb"}:
            continue
        search = sought[IN_LABS if path.suffix == ".ipynb" else IN_UTILS]
        for place, kind, text in _pieces(path, content.decode("utf-8", errors="replace")):
            where = f"{path}, {place}" if place else str(path)
            if ANY_MARK.search(text):
                found.append(f"{where}: the mark of a solution")
            if place and ANSWERS.search(text):
                found.append(f"{where}: a cell of answers")
            if hit := address.search(text):
                line = "" if place else f", line {text.count(chr(10), 0, hit.start()) + 1}"
                found.append(f"{where}{line}: the address of the full edition, {hit.group()}")
            if kind == "code":
                found += [f"{where}: {told}" for told in search.in_code(text)]
            elif kind == "text":
                found += [f"{where}: {told}" for told in search.in_text(text)]
    return found


def statements(code: str) -> list[tuple[str, ...]]:
    """The logical lines of Python code as tokens; no comments, indents and trailing commas."""
    found: list[tuple[str, ...]] = []
    line: list[str] = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(code).readline):
            if token.type == tokenize.NEWLINE and line:
                found.append(tuple(line))
                line = []
            elif token.string.strip() and token.type != tokenize.COMMENT:
                if token.string in ")]}" and line[-1:] == [","]:
                    line.pop()
                line.append(token.string)
    except (tokenize.TokenError, SyntaxError):
        pass  # a cell with a magic command, or no Python: what was read before counts
    return [*found, tuple(line)] if line else found


def renamed(lines: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """The statements with the names of variables replaced by numbers, in the order in which they come."""
    names: dict[str, str] = {}
    result = []
    for line in lines:
        words = []
        for place, word in enumerate(line):
            own = word.isidentifier() and not keyword.iskeyword(word) and not hasattr(builtins, word)
            attribute = place > 0 and line[place - 1] == "."
            words.append(names.setdefault(word, f"v{len(names)}") if own and not attribute else word)
        result.append(" ".join(words))
    return tuple(result)


def _windows(lines: tuple[tuple[str, ...], ...], size: int) -> Iterator[tuple[tuple[str, ...], ...]]:
    """All runs of ``size`` statements; where there are fewer, all of them; none that is too short."""
    size = min(size, len(lines))
    for start in range(len(lines) - size + 1):
        window = lines[start : start + size]
        if sum(len(word) for line in window for word in line) >= SHORTEST:
            yield window


class _Sought:
    """The runs of ``size`` statements of all solutions and the lines of all answers, as they are sought."""

    def __init__(self, hidden: Secrets, size: int) -> None:
        self.runs: dict[tuple[str, ...], dict[tuple[str, ...], str]] = {}  # by how the first statement begins
        self.quotes = [
            (line, f"the answers in {name}") for name, own in hidden.answers.items() for line in own
        ]
        for name, lines in hidden.solutions.items():
            for window in _windows(lines, size):
                told = f"the solution of {name}"
                self.runs.setdefault(renamed(window[:1]), {})[renamed(window)] = told
                self.quotes.append((_squeezed("".join(word for line in window for word in line)), told))

    def in_code(self, code: str) -> list[str]:
        """What is found in Python code, whatever its variables are called."""
        lines, found = statements(code), {}
        for start in range(len(lines)):
            for run, told in self.runs.get(renamed(lines[start : start + 1]), {}).items():
                if renamed(lines[start : start + len(run)]) == run:
                    found[told] = None
        return list(found)

    def in_text(self, text: str) -> list[str]:
        """What stands in a text to the letter, but for spaces, or in a block of code in it."""
        squeezed = _squeezed(text)
        found = [told for quote, told in self.quotes if quote in squeezed]
        found += [told for block in BLOCK.findall(text) for told in self.in_code(textwrap.dedent(block))]
        return list(dict.fromkeys(found))


def _squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


def _pieces(path: PurePosixPath, text: str) -> Iterator[tuple[str, str, str]]:
    """(place, kind, text): the cells of a notebook, or a file as one piece without a place."""
    if path.suffix != ".ipynb":
        yield "", "code" if path.suffix in CODE else "text" if path.suffix in TEXT else "data", text
        return
    for number, cell in enumerate(nbformat.reads(text, as_version=4).cells):
        yield f"cell {number}", "code" if cell.cell_type == "code" else "text", cell.source
        rest = {key: cell[key] for key in ("outputs", "metadata", "attachments") if cell.get(key)}
        if rest:
            yield f"cell {number}, beside its source", "data", json.dumps(rest)
