"""Published claims beside recorded runs, and verdicts that follow from the numbers by rule.

- A published *figure* (:class:`Published`) can be judged by runs of the published size only (network, epochs,
  all images but those for validation, and no JPEG copy of them): it is replicated if it lies where one more
  run of ours would be expected (95 % prediction interval of Student's t over the seeds, at least ± half a
  point). A shortfall that the images kept for validation could explain decides nothing.
- A published *order* (:class:`Order`) is judged by the difference over the seeds
  (:mod:`utils.experiments.differences`): of runs of the published size, or of smaller ones that have
  converged, and then the verdict names the size. Of smaller ones that have not, it is too early to compare
  what they reach in the end.
- A published *likeness* (:class:`Alike`) is replicated if the 95 % interval of each difference lies within a
  margin, not replicated if one lies outside of it.
- A network that "does not learn" (:class:`AtChance`): the state in which its runs stop is what is measured.
- Everything else is "undecided", with the reason: a smaller size, a copy of the images, too few seeds, their
  spread, or a measure that is not the same on both sides. What has not been run, and what the queue will run,
  is "due". A difference is told only where it was judged. Where the lead of a source is within the noise of
  its own test images, the table says so.
"""

from __future__ import annotations

import itertools
import math
import re
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from scipy.stats import t as student_t

from utils.experiments.differences import (
    ENOUGH_SEEDS,
    HIGHER,
    LEVEL,
    LOWER,
    TOO_EARLY,
    TOO_FEW,
    UNDECIDED,
    Difference,
    difference,
    signed,
    unbroken,
)
from utils.experiments.learning import AT_CHANCE, CONVERGED, state_of, state_of_run
from utils.experiments.summary import AT, MeanSd, Measured, Results

REPLICATED, NOT, UNJUDGED, DUE = "replicated", "not replicated", UNDECIDED, "due"
CLEAR, REVERSED = "clear", "clear, the other way round"  # of comparisons that no source makes
SMALLEST_MARGIN = 0.005  # half a point of accuracy
SHARE_TRAINED_ON = 0.9  # of the training images; the others are for validation
# Errors fall as a power of the number of images, in the tasks of Hestness et al. 2017 (arXiv:1712.00409) by
# the exponents 0.07 to 0.35, where theory gives 0.5 at most. This is the bound.
GAIN_BY_IMAGES = 0.5
TWO_SIDED = 1.96  # standard errors of a normal distribution that hold 95 %
JPEG = "JPEG copy"  # so the title of a dataset whose images were compressed anew, which costs accuracy

Measure = Callable[[Results], Measured]


@dataclass(frozen=True)
class Published:
    """A published figure of one name of the measure.

    ``behind``: the networks that the measure is computed from, where its name is not theirs. ``remark`` is
    told beside the verdict. ``incomparable`` says why no numbers could decide.
    """

    name: str
    value: float
    remark: str = ""
    incomparable: str = ""
    behind: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """What is compared, by the names of the measure."""
        return (self.name,)


@dataclass(frozen=True)
class Order:
    """It is claimed that the measure of ``higher`` is larger than that of ``lower``.

    ``published``: their figures, where there are any. ``measure`` and ``unit`` stand in for the claim's, and
    ``at`` says in words what is then measured. ``claimed`` is False for a comparison that no source makes.
    ``final`` says that it is about what networks reach in the end, so that they must have converged.
    ``at_length`` says that it is about a training as long as the source's, which no shorter one can test.
    ``untested`` tells of runs why they do not test it, or nothing if they do. ``behind``: the networks that a
    measure is computed from, where its names are not theirs. ``remark`` is told beside the verdict.
    ``incomparable`` says why no numbers could decide.
    """

    higher: str
    lower: str
    published: tuple[float, float] | None = None
    at: str = ""
    measure: Measure | None = None
    unit: str | None = None
    claimed: bool = True
    final: bool = True
    at_length: bool = False
    untested: Callable[[Results, Sequence[str]], str] | None = None
    behind: tuple[str, ...] = ()
    remark: str = ""
    incomparable: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """What is compared, by the names of the measure."""
        return (self.higher, self.lower)


@dataclass(frozen=True)
class Alike:
    """It is claimed that the measures of these differ by no more than ``margin``."""

    names: tuple[str, ...]
    margin: float = 0.01


@dataclass(frozen=True)
class AtChance:
    """It is claimed that networks of this name do not learn.

    A run that has learned in a shorter training refutes that; one at chance proves it at full length only.
    """

    name: str
    remark: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """What is compared, by the names of the measure."""
        return (self.name,)


Check = Published | Order | Alike | AtChance


@dataclass(frozen=True)
class Claim:
    """What a source says, the experiment that repeats it, and the checks that decide.

    Where ``experiment`` has narrower networks than the source, for a CPU, or other settings,
    ``full_experiment`` has those of the source; runs of it in the profile ``full`` decide, once there are
    any. ``same_networks`` says that the former are not narrower. ``epochs`` and ``images`` are those that the
    source trained with: runs of fewer epochs, or of fewer images than remain when a tenth is kept for
    validation, are not of the published size, whatever their profile. ``judged`` counts its test images.

    ``reference`` says where in the source it stands, ``key`` is the source's in the bibliography.
    ``networks`` says how those of all experiments here differ from the source's, such as "narrower networks".
    ``also``: experiments like ``experiment`` on other
    numbers of images, whose runs are judged together with its own; a label then reads "vit, 1,000 images".
    ``left_out``: label → why the queue does not run it. ``unrun``: why the queue runs nothing of it.
    """

    id: str
    source: str
    statement: str
    experiment: str
    checks: tuple[Check, ...]
    measure: Measure
    unit: str = "%"
    full_experiment: str = ""
    same_networks: bool = False
    epochs: int = 0
    images: int = 50_000
    judged: int = 10_000
    reference: str = ""
    key: str = ""
    networks: str = ""
    also: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    unrun: str = ""

    def experiment_for(self, profile: str) -> str:
        """The experiment that decides when it is run in this profile."""
        return self.full_experiment if profile == "full" and self.full_experiment else self.experiment

    def is_full_size(self, results: Results) -> bool:
        """Whether these are runs of the published size, on the images as they were published."""
        if results.profile != "full" or results.experiment != self.experiment_for("full"):
            return False
        if self.networks or self.also:
            return False
        if is_on_jpeg_copy(results):
            return False
        enough = SHARE_TRAINED_ON * self.images
        return all(
            len(run["history"]["train_loss"]) >= self.epochs and run["dataset"]["train"] >= enough
            for run in results.runs
        )

    def networks_of(self, results: Results) -> str:
        """How the networks of these runs differ from those of the source; empty if they do not."""
        narrower = results.experiment != self.experiment_for("full") and not self.same_networks
        return self.networks or ("narrower networks" if narrower else "")


@dataclass(frozen=True)
class Comparison:
    """What a source published beside what we measured, with the verdict: one line of the table, as text."""

    claim: str
    what: str
    published: str
    ours: str
    difference: str
    verdict: str
    why: str


@dataclass(frozen=True)
class Waiting:
    """Runs that a check still waits for: how many, of how many epochs, and hours of one core for all.

    ``epochs`` has those of each run. ``hours`` is None where it is not known. ``left_out``: why others will
    not be run.
    """

    runs: int = 0
    epochs: tuple[int, ...] = ()
    hours: float | None = None
    left_out: str = ""

    def text(self) -> str:
        """``24 runs of 20 epochs, about 17 h of one core``, and what is left out; empty if nothing is."""
        parts = [self.left_out] if self.left_out else []
        if self.runs:
            hours = "" if self.hours is None else f", about {told_hours(self.hours)} of one core"
            plural = "" if self.runs == 1 else "s"
            parts.insert(0, f"{self.runs} run{plural} of {_from_to(self.epochs)} epochs{hours}")
        return "; ".join(parts)


def told_hours(hours: float) -> str:
    """Whole hours, below ten with one decimal: ``17 h``, ``0.3 h``."""
    return unbroken(f"{hours:.0f} h" if hours >= 9.95 else f"{max(0.1, hours):.1f} h")


def compare(
    claim: Claim, results: Results | None, waiting: Callable[[Check], Waiting] = lambda check: Waiting()
) -> list[Comparison]:
    """One line for each check of a claim; ``results`` None where nothing is recorded.

    ``waiting`` says of a check which runs it still waits for.
    """
    lines, runs = [], _runs(claim, results)
    for check in claim.checks:
        measure = getattr(check, "measure", None) or claim.measure
        line = _judged(claim, check, {} if results is None else measure(results), runs)
        if results is not None and results.diverged:
            line = replace(line, why=f"{line.why}; {results.describe_diverged()}")
        incomparable = getattr(check, "incomparable", "")
        if incomparable:
            line = replace(line, why=incomparable) if line.ours == NOT_RUN else line
        else:
            line = _with_what_is_due(line, waiting(check))
        lines.append(replace(line, why="; ".join([line.why, *_remarks(claim, check)])))
    return lines


def _remarks(claim: Claim, check: Check) -> list[str]:
    """What is told beside any verdict on a check."""
    lead = _lead(claim, check) if isinstance(check, Order) else ""
    return [remark for remark in (lead, getattr(check, "remark", "")) if remark]


def _with_what_is_due(line: Comparison, waiting: Waiting) -> Comparison:
    """The line with the runs that could decide it, where it is not decided."""
    told = waiting.text()
    if not told or line.verdict not in (UNJUDGED, TOO_EARLY):
        return line
    if line.ours == NOT_RUN:
        return replace(line, verdict=DUE if waiting.runs else UNJUDGED, why=told)
    return replace(line, why=f"{line.why}; {'due: ' if waiting.runs else ''}{told}")


@dataclass(frozen=True)
class Runs:
    """What is to be known of the runs behind a line beside their measures.

    ``size``: how small they were, in words; empty if of the published size. ``labels``: what was run.
    ``early``: label → in which state its runs stopped, of those that ended too early to be compared.
    ``images``: how many they were trained on. ``results``: the runs; None if there are none. ``epochs``: how
    many they had.
    """

    size: str = ""
    labels: tuple[str, ...] = ()
    early: Mapping[str, str] = field(default_factory=dict)
    images: int = 0
    results: Results | None = None
    epochs: int = 0

    @property
    def where(self) -> str:
        """The size as a part of a sentence."""
        return f" at {self.size}" if self.size else ""

    def too_early(self, *names: str, behind: Sequence[str] = ()) -> str:
        """Which of the runs behind these names of a measure ended too early, in words; empty if none.

        A name that is no label, as that of a band over several rates, stands for all runs, or for those of
        the networks ``behind`` it.
        """
        of_these = self.labels
        if set(names) <= set(self.labels):
            of_these = names
        elif behind:
            of_these = meant_by(behind, self.labels)
        by_state: dict[str, list[str]] = {}
        for label in of_these:
            if label in self.early:
                by_state.setdefault(self.early[label], []).append(label)
        return "; ".join(
            f"{', '.join(labels)} {'was' if len(labels) == 1 else 'were'} {state}"
            for state, labels in by_state.items()
        )


def meant_by(names: Sequence[str], labels: Iterable[str]) -> tuple[str, ...]:
    """The labels that these names stand for: themselves, with a number of images, or with a rate.

    So "bn" stands for "bn", "bn with 100 images" and "bn-0.1", and not for "bn-all-0.1".
    """

    def bare(label: str) -> set[str]:
        label = label.partition(AT)[0]
        return {label, re.sub(r"-[0-9.]+$", "", label)}

    return tuple(label for label in labels if bare(label) & set(names))


def _runs(claim: Claim, results: Results | None) -> Runs:
    if results is None:
        return Runs()
    labels = tuple(results.labels())
    images = min(run["dataset"]["train"] for run in results.runs)
    epochs = len(results.runs[0]["history"]["train_loss"])
    if claim.is_full_size(results):
        return Runs("", labels, {}, images, results, epochs)
    states = {label: state_of(results.of(label)) for label in labels}
    early = {label: f"{state} after {epochs} epochs" for label, state in states.items() if state != CONVERGED}
    return Runs(at_size(results, claim.networks_of(results)), labels, early, images, results, epochs)


def _judged(claim: Claim, check: Check, measured: Measured, runs: Runs) -> Comparison:
    if isinstance(check, Published):
        return _published(claim, check, measured, runs)
    if isinstance(check, Order):
        return _order(claim, check, measured, runs)
    if isinstance(check, AtChance):
        return _at_chance(claim, check, measured, runs)
    return _alike(claim, check, measured, runs)


def is_on_jpeg_copy(results: Results) -> bool:
    """Whether some of these runs saw images that had been compressed anew."""
    return any(JPEG in run["dataset"].get("title", "") for run in results.runs)


def at_size(results: Results, networks: str = "") -> str:
    """How small the runs were, in words, and whether their images were those of the source."""
    found = [run["dataset"]["train"] for run in results.runs]
    lengths = [len(run["history"]["train_loss"]) for run in results.runs]
    networks = networks and f", {networks}"
    images = f", {JPEG}" if is_on_jpeg_copy(results) else ""
    return f"{_from_to(found)} images, {_from_to(lengths)} epochs{networks}{images}"


def _from_to(numbers: Sequence[int]) -> str:
    least, most = min(numbers), max(numbers)
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def _published(claim: Claim, check: Published, measured: Measured, runs: Runs) -> Comparison:
    values = measured.get(check.name, ())
    what = f"{claim.statement}: {check.name}"
    published = _number(check.value, claim.unit)
    if not values:
        return _not_run(claim, what, published)
    told = (claim.id, what, published, _spread(values, claim.unit))
    if check.incomparable:
        return Comparison(*told, "", UNJUDGED, check.incomparable)
    if runs.size:
        return Comparison(*told, "", UNJUDGED, f"not run as published ({runs.size})")
    n = len(values)
    if n < ENOUGH_SEEDS:
        return Comparison(*told, "", UNJUDGED, _too_few(n))
    off = statistics.fmean(values) - check.value
    expected = student_t.ppf(1 - LEVEL / 2, n - 1) * statistics.stdev(values) * math.sqrt(1 + 1 / n)
    margin = max(expected, SMALLEST_MARGIN)
    inside = abs(off) <= margin
    verdict = REPLICATED if inside else NOT
    why = (
        f"{'within' if inside else 'beyond'} ± {_number(margin, claim.unit)}, "
        "where one more run would be expected"
    )
    if claim.unit == "%" and -margin > off >= -margin - _by_images(claim, check, runs):
        verdict = UNJUDGED
        why += f"; but {runs.images:,} training images instead of {claim.images:,} could explain that"
    return Comparison(*told, _signed(off, claim.unit), verdict, why)


def _by_images(claim: Claim, check: Published, runs: Runs) -> float:
    """How much accuracy fewer training images than those of the source may have cost at most."""
    fewer = max(1.0, claim.images / runs.images)
    return (1 - check.value) * (fewer**GAIN_BY_IMAGES - 1)


def _order(claim: Claim, check: Order, measured: Measured, runs: Runs) -> Comparison:
    unit = claim.unit if check.unit is None else check.unit
    what = f"{claim.statement}: {check.higher} above {check.lower}{check.at and f', {check.at}'}"
    in_words = "in words" if check.claimed else "not claimed"
    published = " / ".join(_number(value, unit) for value in check.published) if check.published else in_words
    a, b = measured.get(check.higher, ()), measured.get(check.lower, ())
    if not a or not b:
        return _not_run(claim, what, published)
    told = (claim.id, what, published, f"{_spread(a, unit)} / {_spread(b, unit)}")
    if check.incomparable:
        found, verdict, why = "", UNJUDGED, check.incomparable
    else:
        early = _why_too_early(claim, check, runs)
        judged = difference(a, b, early=bool(early))
        found = "" if judged.verdict in (TOO_FEW, TOO_EARLY) else _signed(judged.mean, unit)
        verdict, why = _verdict(check, judged, early, runs.where)
    return Comparison(*told, found, verdict, why)


def _why_too_early(claim: Claim, check: Order, runs: Runs) -> str:
    """Why these runs say nothing yet about an order; empty if they do."""
    reasons = []
    if check.at_length and runs.epochs < claim.epochs:
        reasons.append(f"{runs.epochs} of {claim.epochs} epochs: a shorter training does not test it")
    elif check.final:
        reasons.append(runs.too_early(*check.names, behind=check.behind))
    if check.untested and runs.results is not None:
        reasons.append(check.untested(runs.results, check.names))
    return "; ".join(filter(None, reasons))


def _lead(claim: Claim, check: Order) -> str:
    """A remark where the source's own lead is no more than chance among its test images may give."""
    unit = claim.unit if check.unit is None else check.unit
    if unit != "%" or not check.published:
        return ""
    variance = sum(share * (1 - share) / claim.judged for share in check.published)
    lead = check.published[0] - check.published[1]
    if abs(lead) > TWO_SIDED * math.sqrt(variance):
        return ""
    return f"the source's own {_signed(lead, unit)} are within the noise of {claim.judged:,} test images"


def _verdict(check: Order, judged: Difference, early: str, where: str) -> tuple[str, str]:
    """The verdict on an order and the reason, from the difference of the two."""
    yes, no = (REPLICATED, NOT) if check.claimed else (CLEAR, REVERSED)
    if judged.verdict == TOO_EARLY:
        return TOO_EARLY, early
    if judged.verdict == TOO_FEW:
        return UNJUDGED, _too_few(judged.n)
    if judged.verdict == HIGHER:
        return yes + where, "the difference is clear over the seeds (Welch's t test, 5 %)"
    if judged.verdict == LOWER:
        why = "the difference is clear over the seeds, and the other way round (Welch's t test, 5 %)"
        return no + where, why
    return UNJUDGED, f"{judged.n} seeds do not settle a difference of this size{where} (Welch's t test, 5 %)"


def _alike(claim: Claim, check: Alike, measured: Measured, runs: Runs) -> Comparison:
    what = f"{claim.statement}: {', '.join(check.names)} within {_number(check.margin, claim.unit)}"
    groups = [measured.get(name, ()) for name in check.names]
    if not all(groups):
        return _not_run(claim, what, "in words")
    told = (claim.id, what, "in words", " / ".join(_spread(values, claim.unit) for values in groups))
    found = [difference(a, b) for a, b in itertools.combinations(groups, 2)]
    if any(one.verdict == TOO_FEW for one in found):
        return Comparison(*told, "", UNJUDGED, _too_few(min(one.n for one in found)))
    early = runs.too_early(*check.names)
    if early:
        return Comparison(*told, "", TOO_EARLY, early)
    widest, where = _signed(max(abs(one.mean) for one in found), claim.unit), runs.where
    intervals = [one.interval for one in found if one.interval is not None]
    if all(-check.margin <= low and high <= check.margin for low, high in intervals):
        verdict, why = REPLICATED + where, "the 95 % interval of each difference lies within the margin"
    elif any(low > check.margin or high < -check.margin for low, high in intervals):
        verdict, why = NOT + where, "the 95 % interval of a difference lies outside of the margin"
    else:
        verdict, why = UNJUDGED, f"the seeds do not settle differences of this size{where}"
    return Comparison(*told, widest, verdict, why)


def _at_chance(claim: Claim, check: AtChance, measured: Measured, runs: Runs) -> Comparison:
    what = f"{claim.statement}: {check.name} stays at chance"
    values = measured.get(check.name, ())
    diverged = [] if runs.results is None else runs.results.diverged
    wild = sum(run["configuration"]["label"] == check.name for run in diverged)
    if not values and not wild:
        return _not_run(claim, what, "in words")
    states = [state_of_run(run) for run in runs.results.of(check.name)] if values and runs.results else []
    n, failed = len(states) + wild, states.count(AT_CHANCE) + wild
    told = (claim.id, what, "in words", _spread(values, claim.unit) if values else "diverged", "")
    why = f"{failed} of {n} runs are at chance after {runs.epochs} epochs{', or diverged' if wild else ''}"
    if n < ENOUGH_SEEDS:
        return Comparison(*told, UNJUDGED, f"{_too_few(n)}; {why}")
    if not failed:
        return Comparison(*told, NOT + runs.where, why)
    if failed < n:
        return Comparison(*told, UNJUDGED, why)
    return Comparison(*told, TOO_EARLY if runs.epochs < claim.epochs else REPLICATED + runs.where, why)


NOT_RUN = "not run"


def _not_run(claim: Claim, what: str, published: str) -> Comparison:
    return Comparison(claim.id, what, published, NOT_RUN, "", UNJUDGED, claim.unrun or "no recorded run")


def _too_few(runs: int) -> str:
    return f"{runs} of {ENOUGH_SEEDS} seeds"


def _number(value: float, unit: str) -> str:
    text = f"{100 * value:.2f} %" if unit == "%" else f"{value:.3f}{unit}"
    return unbroken(text.replace("-", "−"))


def _signed(value: float, unit: str) -> str:
    return f"{signed(100 * value, 2)} points" if unit == "%" else f"{signed(value, 3)}{unit}"


def _spread(values: Sequence[float], unit: str) -> str:
    over_seeds = MeanSd.of(values)
    return over_seeds.percent(2) if unit == "%" else over_seeds.text(3, unit)
