"""What a lab says of itself, once, in its notebook's metadata, and the pages that are written from that.

The contents, the introduction, the instructors' table and, where a notebook has a place for it, the map of a
lab are written between two marks; the rest of these pages is written by hand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import get_type_hints

from nbformat import NotebookNode

from utils.publishing.minutes import Section, core_minutes, sections
from utils.publishing.notebooks import CARD, ROOT, labs, read, write

RENEW = "python -m utils.publishing contents"
MAP = ("<!-- map -->", "<!-- /map -->")
MAP_HEADING = "what you will do"  # of the section that holds it
FOLDED = "What you build, measure, learn and need; data and running time; what is optional"
MOST = 105  # minutes of a core that fits into a class of ninety, read by a slow reader


@dataclass(frozen=True)
class Card:
    """A lab in a few words, as the key ``lab`` of its notebook's metadata has them.

    title: what stands behind "Lab N · ". part: of the book. question: with a question mark. build, measure,
    learn: what the reader does. minutes: in class. prerequisites: earlier labs, and what else to know. data:
    what the lab runs on. time: how long it runs, in each profile. picture: number of the figure that shows
    the question.
    """

    stem: str
    title: str
    part: str
    question: str
    build: str
    measure: str
    learn: str
    minutes: int
    prerequisites: str
    data: str
    time: str
    picture: str

    @property
    def number(self) -> int:
        """The number of the lab, from the name of its file."""
        return int(self.stem[:2])

    @property
    def link(self) -> str:
        """A link to the lab's page, for the pages of the folder ``book``."""
        return f"{{doc}}`{self.number} · {self.title} <../labs/{self.stem}>`"


KEYS = {name: kind for name, kind in get_type_hints(Card).items() if name != "stem"}


def card(notebook: NotebookNode, stem: str) -> Card:
    """The card of a lab; ``ValueError`` naming what is missing, unknown or wrong in it."""
    given = dict(notebook.metadata.get(CARD, {}))
    where = f"labs/{stem}.ipynb: the metadata, under {CARD!r},"
    missing, unknown = [key for key in KEYS if not given.get(key)], sorted(set(given) - set(KEYS))
    if missing or unknown:
        complaints = [f"lack {', '.join(missing)}"] if missing else []
        complaints += [f"have {', '.join(unknown)}, which nobody reads"] if unknown else []
        raise ValueError(f"{where} {' and '.join(complaints)}")
    for key, kind in KEYS.items():
        if not isinstance(given[key], kind):
            raise ValueError(
                f"{where} have {given[key]!r} as {key}, which is not of the type {kind.__name__}"
            )
    found = Card(stem=stem, **given)
    title = notebook.cells[0].source.partition("\n")[0]
    if title != f"# Lab {found.number} · {found.title}":
        raise ValueError(f"{where} have the title {found.title!r}, the first line of the lab is {title!r}")
    if not any(cell.source.startswith(f"**Figure {found.picture}.**") for cell in notebook.cells):
        raise ValueError(f"{where} name Figure {found.picture} as its picture, which the lab does not have")
    later = [number for number in _labs_named(found.prerequisites) if number >= found.number]
    if later:
        raise ValueError(f"{where} ask for lab {later[0]} as a prerequisite, which comes later")
    return found


def cards(root: Path = ROOT) -> list[Card]:
    """The cards of all labs, in the order of the book; ``ValueError`` if a part of the book is torn apart."""
    found = [card(read(path), path.stem) for path in labs(root)]
    parts = [part for part, _ in groupby(found, key=lambda each: each.part)]
    torn = [part for part in parts if parts.count(part) > 1]
    if torn:
        raise ValueError(f"the labs of the part {torn[0]!r} do not stand one behind the other")
    return found


def contents(found: list[Card]) -> str:
    """The labs in ``_toc.yml``, by parts."""
    lines = []
    for part, members in groupby(found, key=lambda each: each.part):
        lines += [f"  - caption: {_yaml(part)}", "    chapters:"]
        lines += [f"      - file: labs/{each.stem}" for each in members]
    return "\n".join(lines)


def introduction(found: list[Card]) -> str:
    """The table of the labs in the introduction."""
    return _table(
        ("lab", "the question", "what you build"), [(each.link, each.question, each.build) for each in found]
    )


def plan(found: list[Card]) -> str:
    """The instructors' table."""
    rows = [
        (str(week), each.link, str(each.minutes), each.prerequisites) for week, each in enumerate(found, 1)
    ]
    return _table(("week", "lab", "minutes in class", "prerequisites"), rows)


def lab_map(each: Card, parts: Sequence[Section] = ()) -> str:
    """The map of one lab, which stands in the notebook itself; ``parts``: its sections, if it tells them.

    What fits on the first screen is open: the sections of the core with their minutes. The rest is folded.
    """
    told = {
        optional: [f"{part.title} {part.minutes:.0f}" for part in parts if part.optional == optional]
        for optional in (False, True)
    }
    minutes = sum(part.minutes for part in parts if not part.optional)
    open_line = (
        f"**The core, {minutes:.0f} minutes:** {' · '.join(told[False])}."
        if told[False]
        else f"**Minutes in class:** {each.minutes}."
    )
    rows = [
        ("You build", each.build),
        ("You measure", each.measure),
        ("You learn", each.learn),
        ("You need", each.prerequisites),
        ("Words", "[glossary](../book/glossary.md)"),
        ("Data", each.data),
        ("Time on two cores", each.time),
        *([("Optional, in minutes", " · ".join(told[True]))] if told[True] else []),
    ]
    table = _table(("", ""), rows)
    return f"{open_line}\n\n<details><summary>{FOLDED}</summary>\n\n{table}\n\n</details>"


PAGES = {  # page → its two marks, and what stands between them
    "_toc.yml": ("# labs: written by `" + RENEW + "`", "# end of the labs", contents),
    "book/intro.md": ("<!-- labs -->", "<!-- /labs -->", introduction),
    "book/instructors.md": ("<!-- plan -->", "<!-- /plan -->", plan),
}


def stale(root: Path = ROOT) -> list[str]:
    """The pages that do not say what the metadata of the labs say."""
    return [page for page, (old, new) in _pages(root).items() if old != new]


def write_contents(root: Path = ROOT) -> list[str]:
    """Write anew what is stale; returns the pages that were changed."""
    changed = stale(root)
    pages = _pages(root)
    for page in changed:
        path = root / page
        if path.suffix == ".ipynb":
            notebook = read(path)
            _put_map(notebook, card(notebook, path.stem))
            write(notebook, path)
        else:
            path.write_text(pages[page][1], encoding="utf-8")
    return changed


def between(text: str, begin: str, end: str, body: str, page: str) -> str:
    """The text with ``body`` between its two marks; ``ValueError`` naming the page where one is missing."""
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise ValueError(f"{page} needs one {begin!r} before one {end!r}")
    head, _, rest = text.partition(begin)
    gap = "\n" if page.endswith((".yml", ".yaml")) else "\n\n"
    indent = head[head.rfind("\n") + 1 :]
    return f"{head}{begin}{gap}{body}{gap}{indent}{end}{rest.partition(end)[2]}"


def _pages(root: Path) -> Mapping[str, tuple[str, str]]:
    """Page → its text as it is, and as it should be."""
    found, texts = cards(root), {}
    for page, (begin, end, body) in PAGES.items():
        old = (root / page).read_text(encoding="utf-8")
        texts[page] = old, between(old, begin, end, body(found), page)
    for path, each in zip(labs(root), found, strict=True):
        notebook = read(path)
        old = "".join(cell.source for cell in notebook.cells)
        _put_map(notebook, each)
        texts[f"labs/{path.name}"] = old, "".join(cell.source for cell in notebook.cells)
    return texts


def _put_map(notebook: NotebookNode, each: Card) -> None:
    page = f"labs/{each.stem}.ipynb"
    cells = [cell for cell in notebook.cells if cell.cell_type == "markdown" and MAP[0] in cell.source]
    if len(cells) != 1:
        raise ValueError(f"{page} needs one cell with {' and '.join(map(repr, MAP))}, it has {len(cells)}")
    cells[0].source = between(cells[0].source, *MAP, lab_map(each, told_sections(notebook)), page)


def told_sections(notebook: NotebookNode) -> list[Section]:
    """The sections that the map tells, of a lab whose core fits into a class: what takes half a minute."""
    if core_minutes(notebook) > MOST:
        return []
    return [
        part for part in sections(notebook) if part.minutes >= 0.5 and MAP_HEADING not in part.title.lower()
    ]


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _labs_named(prerequisites: str) -> list[int]:
    """The numbers in "lab 2" and "labs 4, 5 and 7"."""
    groups = re.findall(r"\blabs? (\d+(?:(?:, | and |, and )\d+)*)", prerequisites)
    return [int(number) for group in groups for number in re.findall(r"\d+", group)]


def _yaml(text: str) -> str:
    """A scalar of YAML; quoted where it could be read as something else."""
    return text if re.fullmatch(r"[A-Za-z][\w ,.-]*", text) else json.dumps(text, ensure_ascii=False)
