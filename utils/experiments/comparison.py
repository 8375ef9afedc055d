"""The table of published claims and recorded runs, as the command line prints it and the claims page shows it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from utils.experiments.catalogue.claims import CLAIMS
from utils.experiments.claims import UNJUDGED, Claim, Row, compare
from utils.experiments.summary import Results, results

HEADER = ("", "claim", "published", "ours", "difference", "verdict", "why")


def chosen_claims(name: str | None) -> list[Claim]:
    """The claim of that id, the claims of that experiment, or all; ``ValueError`` for another name."""
    if name is None:
        return list(CLAIMS.values())
    chosen = [
        claim for claim in CLAIMS.values() if name in (claim.id, claim.experiment, claim.full_experiment)
    ]
    if not chosen:
        raise ValueError(f"no claim or experiment {name!r} is compared; there are {', '.join(CLAIMS)}")
    return chosen


def rows(claims: Iterable[Claim], folder: Path | None = None) -> list[Row]:
    """The lines of the table, judged from what is recorded."""
    return [row for claim in claims for row in compare(claim, recorded(claim, folder))]


def table(claims: Iterable[Claim], folder: Path | None = None) -> pd.DataFrame:
    """One line for each check of each claim: published, ours, difference, verdict, why."""
    return pd.DataFrame([vars(row) for row in rows(claims, folder)]).set_index("claim")


def markdown(claims: Iterable[Claim], folder: Path | None = None) -> str:
    """The same table in Markdown; a claim's id and its statement stand in the first of its lines."""
    lines = ["| " + " | ".join(HEADER) + " |", "| " + " | ".join("---" for _ in HEADER) + " |"]
    for claim in claims:
        for number, row in enumerate(compare(claim, recorded(claim, folder))):
            verdict = row.verdict if row.verdict == UNJUDGED else f"**{row.verdict}**"
            what = row.what if number == 0 else row.what.removeprefix(f"{claim.statement}: ")
            told = (what, _lines(row.published), _lines(row.ours), row.difference, verdict, row.why)
            lines.append("| " + " | ".join((f"**{row.claim}**" if number == 0 else "", *told)) + " |")
    return "\n".join(lines)


def _lines(figures: str) -> str:
    """Each of several figures in a line of its own."""
    return figures.replace(" / ", " /<br>")


def recorded(claim: Claim, folder: Path | None = None) -> Results | None:
    """The runs that a claim is judged by, of the largest profile; smoke runs are no results."""
    for profile in ("full", "quick"):
        try:
            return results(claim.experiment_for(profile), profile, folder)
        except FileNotFoundError:
            continue
    return None
