"""Published claims beside recorded runs, and verdicts that follow from the numbers by rule.

- A published *figure* (:class:`Published`) can be judged by runs of the published size only (network, epochs, all images but those for
  validation): it is replicated if it lies where one more run of ours would be expected (95 % prediction interval of Student's t over the
  seeds, at least ± half a point).
- A published *order* (:class:`Order`) is judged at whatever size it was run, and the verdict names the size: Welch's t test over the
  seeds at the level of 5 %.
- A published *likeness* (:class:`Alike`) is replicated if the 95 % interval of each difference lies within a margin, not replicated if
  one lies outside of it.
- Everything else "cannot be judged", with the reason: no runs, a smaller size, too few seeds, their spread, or a measure that is not the
  same on both sides.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from scipy.stats import t as student_t

from utils.experiments.differences import LEVEL, interval
from utils.experiments.summary import Figure, Results, unbroken

REPLICATED, NOT, UNJUDGED = "replicated", "not replicated", "cannot be judged"
CLEAR, REVERSED = "clear", "clear, the other way round"  # of comparisons that no source makes
SMALLEST_MARGIN = 0.005  # half a point of accuracy
ENOUGH_SEEDS = 3

# a measure of the runs of an experiment: name -> one number for each seed
Measure = Callable[[Results], Mapping[str, Sequence[float]]]


@dataclass(frozen=True)
class Published:
    """A published figure of one name of the measure."""

    name: str
    value: float


@dataclass(frozen=True)
class Order:
    """It is claimed that the measure of ``higher`` is larger than that of ``lower``; published figures where there are any.

    ``measure`` and ``unit`` stand in for the claim's, and ``at`` says in words what is then measured. ``claimed`` is False for a
    comparison that no source makes. ``remark`` is told beside the verdict. ``incomparable`` says why no numbers could decide.
    """

    higher: str
    lower: str
    published: tuple[float, float] | None = None
    at: str = ""
    measure: Measure | None = None
    unit: str | None = None
    claimed: bool = True
    remark: str = ""
    incomparable: str = ""


@dataclass(frozen=True)
class Alike:
    """It is claimed that the measures of these differ by no more than ``margin``."""

    names: tuple[str, ...]
    margin: float = 0.01


Check = Published | Order | Alike


@dataclass(frozen=True)
class Claim:
    """What a source says, the experiment that repeats it, and the checks that decide.

    Where ``experiment`` has narrower networks than the source, for a CPU, or other settings,
    ``full_experiment`` has those of the source; runs of it in the profile ``full`` decide, once there are
    any. ``same_networks`` says that the former are not narrower. ``epochs`` are those of the source: shorter
    runs are not of the published size, whatever their profile.
    """

    id: str
    source: str
    statement: str
    experiment: str
    checks: tuple[Check, ...]
    measure: Measure
    unit: str = "%"
    why: str = ""
    full_experiment: str = ""
    same_networks: bool = False
    epochs: int = 0

    def experiment_for(self, profile: str) -> str:
        """The experiment that decides when it is run in this profile."""
        return self.full_experiment if profile == "full" and self.full_experiment else self.experiment

    def is_full_size(self, results: Results) -> bool:
        """Whether these are runs of the published size."""
        if results.profile != "full" or results.experiment != self.experiment_for("full"):
            return False
        return all(len(run["history"]["train_loss"]) >= self.epochs for run in results.runs)

    def is_narrower(self, results: Results) -> bool:
        """Whether the networks of these runs are narrower than those of the source."""
        return results.experiment != self.experiment_for("full") and not self.same_networks


@dataclass(frozen=True)
class Row:
    """One line of the comparison, as text."""

    claim: str
    what: str
    published: str
    ours: str
    difference: str
    verdict: str
    why: str


def compare(claim: Claim, results: Results | None) -> list[Row]:
    """One row for each check of a claim; ``results`` None where nothing is recorded."""
    full = results is None or claim.is_full_size(results)
    size = "" if full else at_size(results, claim.is_narrower(results))
    rows = []
    for check in claim.checks:
        judge = {Published: _published, Order: _order, Alike: _alike}[type(check)]
        measure = getattr(check, "measure", None) or claim.measure
        row = judge(claim, check, {} if results is None else measure(results), size)
        if results is not None and results.diverged:
            row = replace(row, why=f"{row.why}; {results.describe_diverged()}")
        rows.append(row)
    return rows


def at_size(results: Results, narrower: bool = False) -> str:
    """How small the runs were, in words."""
    run = results.runs[0]
    networks = ", narrower networks" if narrower else ""
    return f"{run['dataset']['train']:,} images, {len(run['history']['train_loss'])} epochs{networks}"


def _published(claim: Claim, check: Published, measured: Mapping[str, Sequence[float]], size: str) -> Row:
    values = measured.get(check.name, ())
    what = f"{claim.statement}: {check.name}"
    published = _number(check.value, claim.unit)
    if not values:
        return Row(claim.id, what, published, "not run", "", UNJUDGED, claim.why or "no recorded run")
    mean = statistics.fmean(values)
    difference = _signed(mean - check.value, claim.unit)
    told = (claim.id, what, published, _spread(values, claim.unit), difference)
    if size:
        return Row(*told, UNJUDGED, f"run at a smaller size ({size})")
    if len(values) < ENOUGH_SEEDS:
        return Row(*told, UNJUDGED, f"{len(values)} of {ENOUGH_SEEDS} seeds")
    n = len(values)
    expected = student_t.ppf(1 - LEVEL / 2, n - 1) * statistics.stdev(values) * math.sqrt(1 + 1 / n)
    margin = max(expected, SMALLEST_MARGIN)
    inside = abs(mean - check.value) <= margin
    why = f"{'within' if inside else 'beyond'} ± {_number(margin, claim.unit)}, where one more run would be expected"
    return Row(*told, REPLICATED if inside else NOT, why)


def _order(claim: Claim, check: Order, measured: Mapping[str, Sequence[float]], size: str) -> Row:
    unit = claim.unit if check.unit is None else check.unit
    what = f"{claim.statement}: {check.higher} above {check.lower}{check.at and f', {check.at}'}"
    in_words = "in words" if check.claimed else "not claimed"
    published = " / ".join(_number(value, unit) for value in check.published) if check.published else in_words
    a, b = measured.get(check.higher, ()), measured.get(check.lower, ())
    if not a or not b:
        return Row(claim.id, what, published, "not run", "", UNJUDGED, claim.why or "no recorded run")
    difference = statistics.fmean(a) - statistics.fmean(b)
    verdict, why = _verdict(check, a, b, f" at {size}" if size else "")
    why = f"{why}; {check.remark}" if check.remark else why
    return Row(
        claim.id,
        what,
        published,
        f"{_spread(a, unit)} / {_spread(b, unit)}",
        _signed(difference, unit),
        verdict,
        why,
    )


def _verdict(check: Order, a: Sequence[float], b: Sequence[float], where: str) -> tuple[str, str]:
    """The verdict on an order and the reason, from the measures of both."""
    n = min(len(a), len(b))
    if check.incomparable:
        return UNJUDGED, check.incomparable
    if n < ENOUGH_SEEDS:
        return UNJUDGED, f"{n} of {ENOUGH_SEEDS} seeds"
    low, high = interval(a, b)
    yes, no = (REPLICATED, NOT) if check.claimed else (CLEAR, REVERSED)
    if low > 0:
        return yes + where, "the difference is clear over the seeds (Welch's t test, 5 %)"
    if high < 0:
        return (
            no + where,
            "the difference is clear over the seeds, and the other way round (Welch's t test, 5 %)",
        )
    return UNJUDGED, f"{n} seeds do not settle a difference of this size{where} (Welch's t test, 5 %)"


def _alike(claim: Claim, check: Alike, measured: Mapping[str, Sequence[float]], size: str) -> Row:
    what = f"{claim.statement}: {', '.join(check.names)} within {_number(check.margin, claim.unit)}"
    groups = [measured.get(name, ()) for name in check.names]
    if not all(groups):
        return Row(claim.id, what, "in words", "not run", "", UNJUDGED, claim.why or "no recorded run")
    ours = " / ".join(_spread(values, claim.unit) for values in groups)
    means = [statistics.fmean(values) for values in groups]
    told = (claim.id, what, "in words", ours, _signed(max(means) - min(means), claim.unit))
    if min(map(len, groups)) < ENOUGH_SEEDS:
        return Row(*told, UNJUDGED, f"{min(map(len, groups))} of {ENOUGH_SEEDS} seeds")
    where = f" at {size}" if size else ""
    intervals = [interval(a, b) for a, b in itertools.combinations(groups, 2)]
    if all(-check.margin <= low and high <= check.margin for low, high in intervals):
        return Row(*told, REPLICATED + where, "the 95 % interval of each difference lies within the margin")
    if any(low > check.margin or high < -check.margin for low, high in intervals):
        return Row(*told, NOT + where, "the 95 % interval of a difference lies outside of the margin")
    return Row(*told, UNJUDGED, f"the seeds do not settle differences of this size{where}")


def _number(value: float, unit: str) -> str:
    text = f"{100 * value:.2f} %" if unit == "%" else f"{value:.3f}{unit}"
    return unbroken(text.replace("-", "−"))


def _signed(value: float, unit: str) -> str:
    text = f"{100 * value:+.2f} points" if unit == "%" else f"{value:+.3f}{unit}"
    return text.replace("-", "−")


def _spread(values: Sequence[float], unit: str) -> str:
    figure = Figure.of(values)
    return figure.percent(2) if unit == "%" else figure.text(3, unit)
