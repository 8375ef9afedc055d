"""The table of published claims and recorded runs, for the command line, labs and the claims page."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

import pandas as pd

from utils.experiments.catalogue.claims import CLAIMS, LABELS
from utils.experiments.claims import UNJUDGED, Claim, Comparison, compare
from utils.experiments.configuration import WrongUse, closest, meant
from utils.experiments.summary import Results, results

HEADER = ("", "claim", "published", "ours", "difference", "verdict", "why")
PAGE = Path(__file__).resolve().parents[2] / "book" / "claims.md"
BEGIN, END = "<!-- claims -->", "<!-- /claims -->"


def chosen_claims(name: str | None) -> list[Claim]:
    """The claim of that id, the claims of that experiment, or all; ``ValueError`` for another name."""
    if name is None:
        return list(CLAIMS.values())
    experiments = dict.fromkeys(
        name for claim in CLAIMS.values() for name in (claim.experiment, claim.full_experiment) if name
    )
    known = (*CLAIMS, *experiments)
    found = meant(name, known)
    if found is None:
        raise WrongUse(
            f"no claim or experiment {name!r} is compared{closest(name, known)}; there are the claims "
            f"{', '.join(CLAIMS)}, and those of the experiments {', '.join(experiments)}"
        )
    return [
        claim for claim in CLAIMS.values() if found in (claim.id, claim.experiment, claim.full_experiment)
    ]


def recorded(claim: Claim, folder: Path | None = None) -> Results | None:
    """The runs that a claim is judged by, of the largest profile; smoke runs are no results."""
    for profile in ("full", "quick"):
        try:
            return results(claim.experiment_for(profile), profile, folder)
        except FileNotFoundError:
            continue
    return None


def rows(claims: Iterable[Claim], folder: Path | None = None) -> list[Comparison]:
    """The lines of the table, judged from what is recorded."""
    return [line for claim in claims for line in compare(claim, recorded(claim, folder))]


def table(claims: Iterable[Claim], folder: Path | None = None) -> pd.DataFrame:
    """One line for each check of each claim: published, ours, difference, verdict, why."""
    return pd.DataFrame([vars(line) for line in rows(claims, folder)]).set_index("claim")


def markdown(claims: Iterable[Claim], folder: Path | None = None) -> str:
    """The same table in Markdown; a claim's id and its statement stand in the first of its lines."""
    lines = ["| " + " | ".join(HEADER) + " |", "| " + " | ".join("---" for _ in HEADER) + " |"]
    for claim in claims:
        for number, line in enumerate(compare(claim, recorded(claim, folder))):
            verdict = line.verdict if line.verdict == UNJUDGED else f"**{line.verdict}**"
            what = line.what if number == 0 else line.what.removeprefix(f"{claim.statement}: ")
            told = (what, _broken(line.published), _broken(line.ours), line.difference, verdict, line.why)
            lines.append("| " + " | ".join((f"**{line.claim}**" if number == 0 else "", *told)) + " |")
    return "\n".join(lines)


def page(text: str, folder: Path | None = None) -> str:
    """The claims page with its tables made anew; ``ValueError`` unless its two marks are there."""
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ValueError(f"the claims page needs {BEGIN} and {END}, once each")
    head, rest = text.split(BEGIN)
    _, tail = rest.split(END)
    return f"{head}{BEGIN}\n\n{page_tables(folder)}\n\n{END}{tail}"


def page_tables(folder: Path | None = None) -> str:
    """For each source what its names mean, and a Markdown table from the records."""
    parts = []
    for source, of_source in groupby(CLAIMS.values(), key=lambda claim: claim.source):
        claims = list(of_source)
        if source not in LABELS:
            raise ValueError(f"LABELS of the catalogue does not say what the names in {source!r} mean")
        ids = claims[0].id if len(claims) == 1 else f"{claims[0].id} to {claims[-1].id}"
        title = f"### {source[0].upper()}{source[1:]}: {ids}"
        parts.append(f"{title}\n\n{LABELS[source]}\n\n{markdown(claims, folder)}")
    return "\n\n".join(parts)


def _broken(figures: str) -> str:
    """Each of several figures in a line of its own."""
    return figures.replace(" / ", " /<br>")
