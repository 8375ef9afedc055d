"""The table of published claims and recorded runs, for the command line, labs and the claims page."""

from __future__ import annotations

import functools
import textwrap
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

from utils.experiments import records
from utils.experiments.catalogue import EXPERIMENTS
from utils.experiments.catalogue.batchnorm import PUBLISHED_RATES
from utils.experiments.catalogue.claims import CLAIMS, LABELS
from utils.experiments.catalogue.order import ORDER, Run, runs_of
from utils.experiments.claims import (
    DUE,
    UNJUDGED,
    Check,
    Claim,
    Comparison,
    Published,
    Waiting,
    compare,
    meant_by,
)
from utils.experiments.configuration import WrongUse, closest, meant
from utils.experiments.core_hours import core_hours
from utils.experiments.differences import ENOUGH_SEEDS
from utils.experiments.pages import with_part
from utils.experiments.replications import vgg_a_by_rate
from utils.experiments.summary import AT, Results, results, side_by_side

PUBLIC_OURS = "vgg-batchnorm"
PUBLIC_TITLE = "What others measured: VGG-A by learning rate, beside C6 and C7"
PUBLIC_TEXT = (
    "Public repositories that have done the same exercise, the report's among them: Adam, all images, 8 "
    "to 50 epochs, medians of the test accuracy over the repositories, one run of each. Most took the "
    "best epoch on the test images, and many share the template of a course with its seed, so that they "
    "are not independent. Ours have 20 epochs, the last of which counts, and are augmented, as those of "
    "the report."
)
HEADER = (
    "",
    "what is compared",
    "verdict",
    "published",
    "ours",
    "difference",
    "why",
)  # on a phone the first are seen
PAGE = Path(__file__).resolve().parents[2] / "book" / "claims.md"


def chosen_claims(name: str | None) -> list[Claim]:
    """The claim of that id, the claims of that experiment, or all; ``ValueError`` for another name."""
    if name is None:
        return list(CLAIMS.values())
    experiments = dict.fromkeys(name for claim in CLAIMS.values() for name in experiments_of(claim))
    known = (*CLAIMS, *experiments)
    found = meant(name, known)
    if found is None:
        raise WrongUse(
            f"no claim or experiment {name!r} is compared{closest(name, known)}; there are the claims "
            f"{', '.join(CLAIMS)}, and those of the experiments {', '.join(experiments)}"
        )
    return [claim for claim in CLAIMS.values() if found in (claim.id, *experiments_of(claim))]


def experiments_of(claim: Claim) -> tuple[str, ...]:
    """The names of all experiments that a claim may be judged by."""
    return tuple(name for name in (claim.experiment, claim.full_experiment, *claim.also) if name)


def recorded(claim: Claim, folder: Path | None = None) -> Results | None:
    """The runs that a claim is judged by, of the largest profile; smoke runs are no results."""
    for profile in ("full", "quick"):
        found = []
        for name in (claim.experiment_for(profile), *claim.also):
            try:
                found.append(results(name, profile, folder))
            except FileNotFoundError:
                continue
        if found:
            return side_by_side(found) if claim.also else found[0]
    return None


@functools.cache
def _of_the_order() -> tuple[Run, ...]:
    return runs_of(ORDER, EXPERIMENTS)


def needed_labels(claim: Claim, check: Check) -> set[str]:
    """The configurations whose runs of full size a check compares."""
    labels = set.intersection(
        *(
            {configuration.label for configuration in EXPERIMENTS[name].configurations}
            for name in (claim.experiment_for("full"), *claim.also)
        )
    )
    names = [name.partition(AT)[0] for name in getattr(check, "behind", ()) or check.names]
    found = [set(meant_by((name,), labels)) for name in names]
    return set().union(*found) if all(found) else labels  # one that stands for none stands for all of them


def _on_so_many(claim: Claim, check: Check, run: Run) -> bool:
    """Whether a check compares runs on so many images, where the experiments of a claim differ in that."""
    asked = {name.partition(AT)[2] for name in check.names} - {""}
    images = run.budget.train_images
    return not claim.also or not asked or images is None or f"{images:,} images" in asked


def _beyond_the_queue(claim: Claim, check: Check, due: list[Run]) -> str:
    """Why these runs cannot judge a published figure; empty if they can, or if the check is none."""
    if not due or not isinstance(check, Published):
        return ""
    longest = max(run.budget.epochs for run in due)
    if longest < claim.epochs:
        ours = f"the queue runs {longest}, which decide orders only"
        return f"the source trained for {claim.epochs} epochs; {ours}"
    differ = claim.networks or ("several numbers of images" if claim.also else "")
    return f"the queue runs {differ}, which decide orders only" if differ else ""


def waiting(claim: Claim, check: Check, folder: Path | None = None) -> Waiting:
    """What a check still waits for: runs of full size that are in the queue's order and have no record."""
    names, needed = (claim.experiment_for("full"), *claim.also), needed_labels(claim, check)
    due = [
        run
        for run in _of_the_order()
        if (run.experiment.id in names and run.profile == "full" and run.configuration.label in needed)
        and _on_so_many(claim, check, run)
        and not records.path_of(
            run.experiment.id, run.configuration.label, run.seed, run.profile, folder
        ).exists()
    ]
    if beyond := _beyond_the_queue(claim, check, due):
        return Waiting(left_out=beyond)
    hours = [core_hours(run.configuration, run.budget) for run in due]
    known = [one for one in hours if one is not None]
    reasons = dict.fromkeys(claim.left_out[label] for label in claim.left_out if label in needed)
    return Waiting(
        len(due),
        tuple(run.budget.epochs for run in due),
        sum(known) if len(known) == len(due) else None,
        "; ".join(reasons),
    )


def rows(claims: Iterable[Claim], folder: Path | None = None) -> list[Comparison]:
    """The lines of the table, judged from what is recorded."""
    return [line for claim in claims for line in judged(claim, folder)]


def judged(claim: Claim, folder: Path | None = None) -> list[Comparison]:
    """The lines of one claim."""
    return compare(claim, recorded(claim, folder), lambda check: waiting(claim, check, folder))


def told(claims: Iterable[Claim], width: int = 100, folder: Path | None = None) -> str:
    """The same lines as text for a terminal of ``width`` columns, each claim under what it says."""

    def wrapped(text: str, indent: str) -> str:
        more = indent + "  "
        return textwrap.fill(
            text, width, initial_indent=indent, subsequent_indent=more, break_on_hyphens=False
        )

    parts = []
    for claim in claims:
        lines = [wrapped(f"{claim.id}  {_stated(claim)}", "")]
        for line in judged(claim, folder):
            figures = f"published {line.published}; ours {line.ours}"
            difference = f"; difference {line.difference}" if line.difference else ""
            lines.append(wrapped(f"{_compared(claim, line)}: {line.verdict}", "  "))
            lines.append(wrapped(f"{figures}{difference}", "      "))
            lines.append(wrapped(line.why, "      "))
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _stated(claim: Claim) -> str:
    """What the source says, and where."""
    return f"{claim.statement} ({claim.reference})" if claim.reference else claim.statement


def _compared(claim: Claim, line: Comparison) -> str:
    """What a line compares, without the claim that stands above it."""
    return line.what.removeprefix(f"{claim.statement}: ")


def markdown(claims: Iterable[Claim], folder: Path | None = None) -> str:
    """What is claimed as a list, and the table in Markdown; a claim's id stands in the first of its lines."""
    stated = []
    lines = ["| " + " | ".join(HEADER) + " |", "| " + " | ".join("---" for _ in HEADER) + " |"]
    for claim in claims:
        stated.append(f"- **{claim.id}**: {_stated(claim)}")
        for number, line in enumerate(judged(claim, folder)):
            verdict = line.verdict if line.verdict in (UNJUDGED, DUE) else f"**{line.verdict}**"
            figures = _broken(line.published), _broken(line.ours), line.difference
            name = f"**{line.claim}**" if number == 0 else ""
            cells = (name, _compared(claim, line), verdict, *figures, line.why)
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*stated, "", *lines])


def page(text: str, folder: Path | None = None) -> str:
    """The claims page with its tables made anew; ``ValueError`` unless its two marks are there."""
    return with_part(text, "claims", page_tables(folder))


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
    parts.append(f"### {PUBLIC_TITLE}\n\n{PUBLIC_TEXT}\n\n{public_copies(folder)}")
    return "\n\n".join(parts)


def public_copies(folder: Path | None = None) -> str:
    """VGG-A in public repositories, medians by rate, beside our runs of full size: a Markdown table."""
    try:
        ours: Results | None = results(PUBLIC_OURS, "full", folder)
    except FileNotFoundError:
        ours = None
    header = (
        "learning rate", "augmented", "repositories", "without BN", "with BN", "BN ahead in",
        "ours without BN", "ours with BN",
    )  # fmt: skip
    lines = ["| " + " | ".join(header) + " |", "| " + " | ".join("---" for _ in header) + " |"]
    table = vgg_a_by_rate()
    for (rate, augmented), of_rate in table.groupby(["rate", "augmented"]):
        if rate not in PUBLISHED_RATES or len(of_rate) < ENOUGH_SEEDS:
            continue
        told = (
            f"{rate:g}",
            "yes" if augmented else "no",
            str(len(of_rate)),
            f"{of_rate.without.median():.2f} %",
            f"{of_rate.with_bn.median():.2f} %",
            f"{(of_rate.with_bn > of_rate.without).sum()} of {len(of_rate)}",
            *(_ours_at(ours, f"{kind}-{rate:g}") if augmented else "" for kind in ("plain", "bn")),
        )
        lines.append("| " + " | ".join(told) + " |")
    return "\n".join(lines)


def _ours_at(found: Results | None, label: str) -> str:
    if found is None or label not in found.labels():
        return DUE
    return found.figure(label).percent(2)


def _broken(figures: str) -> str:
    """Each of several figures in a line of its own."""
    return figures.replace(" / ", " /<br>")
