"""The tables of the claims page, between two marks in ``book/claims.md``."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from utils.experiments.catalogue.claims import CLAIMS, LABELS
from utils.experiments.comparison import markdown

PAGE = Path(__file__).resolve().parents[2] / "book" / "claims.md"
BEGIN, END = "<!-- claims -->", "<!-- /claims -->"


def tables(folder: Path | None = None) -> str:
    """For each source what its names mean, and a Markdown table from the records."""
    parts = [
        f"### {source[0].upper()}{source[1:]}: {_range(source)}\n\n{LABELS[source]}\n\n{markdown(claims, folder)}"
        for source, claims in groupby(CLAIMS.values(), key=lambda claim: claim.source)
    ]
    return "\n\n".join(parts)


def written(text: str, folder: Path | None = None) -> str:
    """The page with its tables made anew. Raises ``ValueError`` where a mark is missing."""
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ValueError(f"the claims page needs {BEGIN} and {END}, once each")
    head, rest = text.split(BEGIN)
    _, tail = rest.split(END)
    return f"{head}{BEGIN}\n\n{tables(folder)}\n\n{END}{tail}"


def _range(source: str) -> str:
    ids = [claim.id for claim in CLAIMS.values() if claim.source == source]
    return ids[0] if len(ids) == 1 else f"{ids[0]} to {ids[-1]}"
