"""Numbers in prose are bound: each has a mark, and is what the record or the source behind the mark says.

A person writes the sentence and mends it when the record has changed; no program does. The kinds of marks
stand in :mod:`utils.publishing.bound_values`, what counts as a number in :mod:`utils.publishing.prose`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from utils.publishing.bound_values import Archive, mark_kinds
from utils.publishing.notebooks import ROOT, read
from utils.publishing.prose import Figure, read_prose, starts_a_line
from utils.publishing.written_numbers import normal

# the pages for which the rule is switched on
BOUND = (
    "README.md",
    "CONTRIBUTING.md",
    "book/bibliography.md",
    "book/claims.md",
    "book/how_to_use.md",
    "book/instructors.md",
    "book/intro.md",
    "labs/01_convolution_toeplitz.ipynb",
    "labs/02_lenet.ipynb",
    "labs/03_imagenet_decade.ipynb",
    "labs/04_resnet.ipynb",
    "labs/05_efficient_convolutions.ipynb",
    "labs/06_receptive_fields.ipynb",
    "labs/07_batchnorm_vgg.ipynb",
    "labs/08_loss_landscapes.ipynb",
    "labs/09_training_choices.ipynb",
    "labs/10_regularization_augmentation.ipynb",
    "labs/11_filters_and_attribution.ipynb",
    "labs/12_transfer_learning.ipynb",
    "labs/13_noisy_labels.ipynb",
    "labs/14_contrastive_learning.ipynb",
    "labs/15_squeeze_and_convnext.ipynb",
    "labs/16_vision_transformers.ipynb",
)
# the comments between which a command writes: what stands there is no prose
GENERATED = (
    *(
        (rf"<!-- {name} -->", rf"<!-- /{name} -->")
        for name in ("labs", "plan", "map", "badges", "claims", "precisions")
    ),
    *((rf"<!-- {name} -->", rf"<!-- /{name} -->") for name in ("measured", "resnets", "macs", "fields")),
    (r"<!-- machine: [^>]*-->", r"<!-- /machine -->"),
)
UNBOUND, CHANGED, WRONG = "no mark", "changed", "a mark that cannot be followed"


@dataclass(frozen=True)
class Problem:
    """A figure that is not bound, one that says something else than its mark, or a mark that says nothing."""

    kind: str
    page: str
    place: str
    told: str

    def __str__(self) -> str:
        return f"{self.page}, {self.place}: {self.told}"


@dataclass(frozen=True)
class Text:
    """A page of the book, or a cell of text in a lab; ``place`` says which."""

    page: str
    place: str
    source: str

    def at(self, line: int) -> str:
        """Where a line of it stands, in words."""
        return f"{self.place}line {line}"


def texts(page: Path, root: Path = ROOT) -> tuple[list[Text], list[str]]:
    """The texts of a page and, if it is a notebook, the source of its code cells."""
    name = page.relative_to(root).as_posix() if page.is_relative_to(root) else str(page)
    if page.suffix != ".ipynb":
        return [Text(name, "", page.read_text(encoding="utf-8"))], []
    cells = list(enumerate(read(page).cells))
    prose = [Text(name, f"cell {n}, ", cell.source) for n, cell in cells if cell.cell_type == "markdown"]
    return prose, [cell.source for _, cell in cells if cell.cell_type == "code"]


def problems(page: Path, archive: Archive | None = None) -> list[Problem]:
    """What is wrong with the numbers of a page, in the order of the text."""
    archive = archive or Archive()
    pieces, code = texts(page, archive.root)
    return [problem for piece in pieces for problem in problems_of(piece, code, archive)]


def problems_of(text: Text, code: Sequence[str], archive: Archive) -> Iterator[Problem]:
    """What is wrong with the numbers of one text; ``code``: the code cells of its page."""
    prose = read_prose(text.source, GENERATED)
    for figure in prose.figures:
        kind, told = _judged(figure, text, code, archive)
        if kind:
            yield Problem(kind, text.page, text.at(figure.line), told)
    for place, mark in prose.loose:
        if mark.partition(" ")[0] not in mark_kinds():
            continue
        # Markdown takes such a line for a comment to its end
        why = ", which must not begin a line" if starts_a_line(text.source, place) else ""
        line = text.source.count("\n", 0, place) + 1
        told = f"no number stands directly before the mark '{mark}'{why}"
        yield Problem(WRONG, text.page, text.at(line), told)


def _judged(figure: Figure, text: Text, code: Sequence[str], archive: Archive) -> tuple[str, str]:
    """What kind of problem a figure is, and the sentence that says so; empty if it is none."""
    if figure.mark is None:
        return UNBOUND, f"{figure.written!r} has no mark"
    told = f"{figure.written!r}, marked '{figure.mark}'"
    try:
        expected = archive.expected(figure, code)
    except ValueError as error:
        return WRONG, f"{told}: {error}"
    if [normal(each) for each in figure.numbers] == [normal(each) for each in expected]:
        return "", ""
    return CHANGED, f"{told}: it is {' and '.join(expected)} now"


def report(pages: Sequence[Path], root: Path = ROOT) -> tuple[str, int]:
    """What the command prints, and how many problems there are on pages for which the rule is switched on."""
    archive, lines, failed = Archive(root), [], 0
    for page in pages:
        found = problems(page, archive)
        bound = page.is_relative_to(root) and page.relative_to(root).as_posix() in BOUND
        failed += len(found) if bound else 0
        figures = [one for text in texts(page, root)[0] for one in read_prose(text.source, GENERATED).figures]
        marked = sum(one.mark is not None for one in figures)
        state = "" if bound else " (the rule is not switched on for this page)"
        lines.append(
            f"{_name(page, root)}: {_some(marked, 'marked number')}, {_some(len(found), 'problem')}{state}"
        )
        for kind in (CHANGED, WRONG, UNBOUND):
            lines += [f"  {each.place}: {each.told}" for each in found if each.kind == kind]
    return "\n".join(lines), failed


def chosen(names: Sequence[str], root: Path = ROOT) -> list[Path]:
    """The pages of these names: a path, or a lab or a page of the book without its folder and ending."""
    found = []
    for name in names:
        places = (Path(name), root / name, root / "labs" / f"{name}.ipynb", root / "book" / f"{name}.md")
        there = [place.resolve() for place in places if place.is_file()]
        if not there:
            raise ValueError(f"there is no page {name!r}, such as labs/02_lenet.ipynb or book/claims.md")
        found.append(there[0])
    return found


def bound_pages(root: Path = ROOT) -> list[Path]:
    """The pages for which the rule is switched on."""
    return [root / name for name in BOUND]


def _name(page: Path, root: Path) -> str:
    return page.relative_to(root).as_posix() if page.is_relative_to(root) else str(page)


def _some(n: int, what: str) -> str:
    return f"{n} {what}{'s' if n != 1 else ''}"
