"""The introduction as a page that JupyterLab shows: the book's own, in plain Markdown.

Jupyter Book's directives are written out, and its links lead to the notebooks and pages themselves.
"""

from __future__ import annotations

import re
from pathlib import Path

SOURCE = Path("book") / "intro.md"
STUDENTS = Path("README.md")  # the student edition has no book; its first page lists the labs
WRITTEN = Path("_build") / "introduction.md"
CARD = re.compile(r"^:{3,}\{grid-item-card\} (.+)$", re.MULTILINE)
DIRECTIVE = re.compile(r"^:{3,}.*\n|^:[a-z][\w-]*:.*\n", re.MULTILINE)
TERM = re.compile(r"^(\S[^\n]*)\n: +", re.MULTILINE)
LINK = re.compile(r"\{doc\}`(?:([^`<]+?) *<([^`>]+)>|([^`]+))`")


def introduction(root: Path) -> Path:
    """The page to begin with, as a path below ``root``; written anew from the book where there is one."""
    if not (root / SOURCE).is_file():
        return STUDENTS
    text = plain((root / SOURCE).read_text(encoding="utf-8"), root)
    (root / WRITTEN).parent.mkdir(exist_ok=True)
    (root / WRITTEN).write_text(text, encoding="utf-8")
    return WRITTEN


def plain(text: str, root: Path) -> str:
    """A page of the folder ``book`` without what only Jupyter Book understands, for a folder beside it."""
    text = CARD.sub(r"**\1.**", text)
    text = DIRECTIVE.sub("", text)
    text = TERM.sub(r"**\1.** ", text)
    return LINK.sub(lambda found: _link(found[1], found[2] or found[3], root), text)


def _link(title: str | None, target: str, root: Path) -> str:
    """A link to the notebook or page ``target``, counted from the folder ``book``, by its title."""
    page = (root / "book" / target).resolve()
    suffix = next((each for each in (".ipynb", ".md") if page.with_name(page.name + each).is_file()), None)
    if suffix is None:
        raise ValueError(f"{SOURCE} has a link to {target}, which is neither a page nor a lab")
    file = page.with_name(page.name + suffix)
    heading = file.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
    return f"[{title or heading}](../{file.relative_to(root.resolve()).as_posix()})"
