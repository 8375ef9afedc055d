"""A table of strings as plain text and as HTML, for results that print themselves."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

LEFT = 3  # columns of words, before the columns of numbers
NARROWEST_NOTES = 60  # characters


@dataclass(frozen=True, repr=False)
class TextTable:
    """``header`` and each line of ``body`` (and ``total``, if there is one) have as many cells as each other.

    The first three columns stand to the left, the others to the right. ``notes`` follow the table.
    """

    title: str
    header: Sequence[str]
    body: Sequence[Sequence[str]]
    total: Sequence[str] | None = None
    notes: str = ""

    def __str__(self) -> str:
        return self.text()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.html()

    def text(self) -> str:
        """Title, header, a rule, the body, the total under another rule, notes as wide as the table."""
        lines = [self.header, *self.body, *([self.total] if self.total else [])]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.header))]
        header, *rest = (_aligned(line, widths) for line in lines)
        rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
        end = [rule, rest.pop()] if self.total else []
        notes = ["", textwrap.fill(self.notes, max(len(rule), NARROWEST_NOTES))] if self.notes else []
        return "\n".join([self.title, header, rule, *rest, *end, *notes])

    def html(self) -> str:
        """The same as a table element with a caption."""
        foot = f"<tfoot><tr>{_cells(self.total, 'th')}</tr></tfoot>" if self.total else ""
        notes = f"<p><small>{html.escape(self.notes)}</small></p>" if self.notes else ""
        return (
            f"<table><caption>{html.escape(self.title)}</caption>"
            + f"<thead><tr>{_cells(self.header, 'th')}</tr></thead><tbody>"
            + "".join(f"<tr>{_cells(line, 'td')}</tr>" for line in self.body)
            + f"</tbody>{foot}</table>{notes}"
        )


def _aligned(line: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(
        cell.ljust(width) if column < LEFT else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(line, widths, strict=True))
    ).rstrip()


def _cells(line: Sequence[str], tag: str) -> str:
    return "".join(
        f'<{tag} style="text-align:{"left" if column < LEFT else "right"}">{html.escape(cell)}</{tag}>'
        for column, cell in enumerate(line)
    )
