"""What a mark says that must be written: a figure of a record, of a claim, of the code, or of a source.

A mark is one of these, in the comment behind the figure:

- ``EXPERIMENT[@PROFILE] LABEL FIELD STATISTIC FORMAT``: a statistic over the seeds of recorded runs.
- ``EXPERIMENT LABEL minus LABEL FIELD STATISTIC FORMAT``: of their difference, ``mean``, ``low``, ``high``,
  ``interval`` or ``n``; ``minus-paired`` pairs the runs by their seeds.
- ``EXPERIMENT LABEL over LABEL FIELD STATISTIC FORMAT``: the one statistic divided by the other.
- ``claim ID NAME [minus NAME] FORMAT``: the figure that a claim of the catalogue takes from its source.
- ``option EXPERIMENT LABEL NAME [FORMAT]``: a setting of a configuration in the catalogue.
- ``lab STEM FUNCTION.PATH [STATISTIC] FORMAT``: a recorded measurement of a lab; with ``sizes.`` before it,
  what it was made with. A list needs a STATISTIC.
- ``account MODEL CxHxW FIELD FORMAT``: what the accounting of a network says, such as ``total_params``.
- ``code: SNIPPET``: the number in a snippet of a code cell of the same notebook, such as ``lr=0.1``.
- ``= EXPRESSION [FORMAT]``: arithmetic with literals, ``sqrt``, ``log``, ``exp``, and constants of the code
  by their full name, such as ``utils.experiments.differences.LEVEL``.
- ``source: KEY FIGURE[, WHERE]``: a figure as a work of the bibliography prints it.

FIELD is a field of ``result``, a measure of ``utils.experiments.summary`` by name, or a path into the
record such as ``history.train_accuracy[-1]``, where ``[*]`` is every entry of a list. STATISTIC is
``mean``, ``sd``, ``min``, ``max``, ``median``, ``n``, ``seed=K``, and for two numbers ``mean±sd`` or
``range``. A label with blanks in it stands in quotation marks. FORMAT is ``.2`` for two decimals, ``,`` for
none; behind it ``%`` for percent, ``k``, ``M``, ``G``, ``m``, ``µ`` for thousands and so on, ``e`` for
powers of ten. Without a format, the figure is the exact value.
"""

from __future__ import annotations

import math
import re
import shlex
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from utils.course.measured import read_measurements
from utils.experiments import summary
from utils.experiments.configuration import PROFILES, closest
from utils.experiments.differences import difference
from utils.publishing.notebooks import ROOT
from utils.publishing.prose import FIGURE, Figure
from utils.publishing.written_numbers import FORMAT, Number, calculate, exact, formatted, number, rounded_as

KINDS = ("source:", "code:", "=", "claim", "option", "lab", "account")
MEASURES: dict[str, Callable[[summary.Results], summary.Measured]] = {
    name: measure
    for name, measure in vars(summary).items()
    if not name.startswith("_") and getattr(measure, "__annotations__", {}).get("return") == "Measured"
}


def mean_and_sd(values: Sequence[float]) -> tuple[float, float]:
    """Mean and sample standard deviation; ``ValueError`` for a single value."""
    return statistics.fmean(values), _sd(values)


def _sd(values: Sequence[float]) -> float:
    if len(values) < 2:
        raise ValueError("a single run has no standard deviation")
    return statistics.stdev(values)


STATISTICS: dict[str, Callable[[Sequence[float]], Number | tuple[Number, ...]]] = {
    "mean": statistics.fmean,
    "sd": _sd,
    "min": min,
    "max": max,
    "median": statistics.median,
    "n": len,
    "mean±sd": mean_and_sd,
    "range": lambda values: (min(values), max(values)),
}


@dataclass(frozen=True)
class Archive:
    """Where marks are looked up: the records, the bibliography, and the code cells of the page's notebook.

    ``results`` gives the runs of an experiment in a profile; tests put their own in its place.
    """

    root: Path = ROOT
    results: Callable[[str, str | None], summary.Results] = field(
        default=cache(lambda experiment, profile: summary.results(experiment, profile))
    )

    @cached_property
    def keys(self) -> frozenset[str]:
        """The keys of the bibliography."""
        text = (self.root / "book" / "references.bib").read_text(encoding="utf-8")
        return frozenset(re.findall(r"^@\w+\{([^,\s]+),", text, re.MULTILINE))

    def expected(self, figure: Figure, cells: Sequence[str] = ()) -> tuple[str, ...]:
        """What each number of the figure should be by its mark; ``ValueError`` in one sentence if nothing.

        ``cells``: the code of the page.
        """
        mark = (figure.mark or "").strip()
        kind, _, rest = mark.partition(" ")
        if kind in ("source:", "code:", "="):
            texts = {"source:": self._source, "code:": _code, "=": _calculated}[kind](rest, figure, cells)
        else:
            words = _words(mark)
            looked_up = {
                "claim": _claim, "option": _option, "lab": self._lab, "account": _account,
            }.get(kind)  # fmt: skip
            texts = looked_up(words[1:], figure) if looked_up else self._runs(words)
        if len(texts) != len(figure.numbers):
            raise ValueError(
                f"the mark gives {_count(len(texts))}, and {_count(len(figure.numbers))} stand before it"
            )
        return texts

    def _source(self, rest: str, figure: Figure, cells: Sequence[str]) -> tuple[str, ...]:
        """The figure that the mark repeats, rounded to the decimals that are written."""
        key, _, repeated = rest.partition(" ")
        if key.rstrip(",") not in self.keys:
            raise ValueError(
                f"book/references.bib has no {key.rstrip(',')!r}{closest(key, sorted(self.keys))}"
            )
        printed = FIGURE.match(repeated.strip())
        if not printed or key.endswith(","):
            raise ValueError(
                f"the mark has to repeat the figure as the source prints it: source: {key.rstrip(',')} "
                f"{figure.written}"
            )
        told = [each for each in (printed["first"], printed["second"]) if each]
        if len(told) != len(figure.numbers):
            return tuple(told)
        return tuple(rounded_as(each, written) for each, written in zip(told, figure.numbers, strict=True))

    def _lab(self, words: Sequence[str], figure: Figure) -> tuple[str, ...]:
        if len(words) not in (3, 4):
            raise ValueError("it should be lab STEM FUNCTION.PATH [STATISTIC] FORMAT")
        stem, path, *statistic, shape = words
        value = at_path(measurements(stem, self.root), path, f"the record of {stem}")
        if isinstance(value, list):
            values = [number(each, path) for each in value]
            if not statistic:
                raise ValueError(f"{path} is a list of {len(values)} numbers: say which statistic is meant")
            return _texts(_statistic(statistic[0], values), shape)
        if statistic:
            raise ValueError(f"{path} is one number, of which there is no {statistic[0]}")
        return _texts(number(value, path), shape)

    def _runs(self, words: Sequence[str]) -> tuple[str, ...]:
        experiment, *rest = words or ("",)
        experiment, _, profile = experiment.partition("@")
        _check_experiment(experiment)
        if profile and profile not in PROFILES:
            raise ValueError(f"{profile!r} is no profile; there are {', '.join(PROFILES)}")
        if len(rest) not in (4, 6):
            raise ValueError("it should be EXPERIMENT LABEL [minus LABEL] FIELD STATISTIC FORMAT")
        label, *other, name, statistic, shape = rest
        try:
            runs = self.results(experiment, profile or None)
        except FileNotFoundError as error:
            raise ValueError(str(error)) from None
        first = by_seed(runs, label, name)
        if not other:
            return _texts(_statistic(statistic, first), shape)
        between, second_label = other
        second = by_seed(runs, second_label, name)
        if between == "over":
            return _texts(_ratio(_statistic(statistic, first), _statistic(statistic, second)), shape)
        if between not in ("minus", "minus-paired"):
            raise ValueError(f"{between!r} joins no labels; minus, minus-paired and over do")
        found = difference(first, second, paired=between == "minus-paired")
        if statistic in ("low", "high", "interval") and found.interval is None:
            raise ValueError("a single run on one side leaves no interval")
        low, high = found.interval or (math.nan, math.nan)
        told: dict[str, Number | tuple[Number, ...]] = {
            "mean": found.mean, "n": found.n, "low": low, "high": high, "interval": (low, high),
        }  # fmt: skip
        if statistic not in told:
            raise ValueError(f"a difference has no {statistic!r}; it has {', '.join(told)}")
        return _texts(told[statistic], shape)


def measurements(stem: str, root: Path = ROOT) -> dict[str, Any]:
    """What is recorded of a lab, in lists and objects: function → value, and under ``sizes`` its sizes.

    ``ValueError`` if there are no records, or damaged ones.
    """
    path = root / "book" / "results" / "labs" / f"{stem}.json"
    recorded = read_measurements(path)
    if not recorded:
        raise ValueError(f"there is no record of the lab {stem!r}: {path.relative_to(root)} is missing")
    values = {name: _plain(record.value) for name, record in recorded.items()}
    return {**values, "sizes": {name: _plain(record.sizes) for name, record in recorded.items()}}


def _plain(value: Any) -> Any:
    """Lists in the place of tuples, arrays and tensors, and texts for keys."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    return [_plain(entry) for entry in value] if isinstance(value, list | tuple) else value


def at_path(value: Any, path: str, where: str) -> Any:
    """What stands at a path such as ``loss.bn.0.001[-1]``, whose keys may have points in them.

    ``[*]`` stands for every entry of a list, and gives a list.
    """
    rest = path
    while rest:
        if isinstance(value, Mapping):
            fits = [key for key in value if re.match(rf"{re.escape(key)}(?=[.\[]|$)", rest)]
            if not fits:
                raise ValueError(
                    f"{where} has no {path!r}: at {rest!r} there is {', '.join(map(str, value))}"
                )
            key = max(fits, key=len)
            value, rest = value[key], rest[len(key) :]
        else:
            if rest.startswith("[*]") and isinstance(value, list):
                return [at_path(entry, rest[3:].removeprefix("."), where) for entry in value]
            step = re.match(r"\[(-?\d+)\]|(\d+)(?=[.\[]|$)", rest)
            if not step or not isinstance(value, list):
                raise ValueError(f"{where} has no {path!r}: before {rest!r} stands no list or object")
            at = int(step[1] or step[2])
            if not -len(value) <= at < len(value):
                raise ValueError(f"{where} has no {path!r}: the list has {len(value)} entries")
            value, rest = value[at], rest[step.end() :]
        rest = rest.removeprefix(".")
    return value


def by_seed(runs: summary.Results, label: str, name: str) -> dict[int, float]:
    """Seed → the field of that name in the runs of one label, or what the measure of that name makes of them.

    A measure that combines runs of several labels counts its values from 0.
    """
    if name not in MEASURES:
        where = f"the record of {label}"
        path = name if re.search(r"[.\[]", name) else f"result.{name}"
        own = {run["seed"]: run if "." in path else run["result"] for run in runs.of(label)}
        return {seed: number(at_path(run, path, where), name) for seed, run in own.items()}
    measured = MEASURES[name](runs)
    if label not in measured:
        raise ValueError(f"{name} has no {label!r} in {runs.experiment}; it has {', '.join(measured)}")
    seeds = [run["seed"] for run in runs.runs if run["configuration"]["label"] == label]
    values = measured[label]
    return dict(zip(seeds if len(seeds) == len(values) else range(len(values)), values, strict=True))


def _texts(value: Number | tuple[Number, ...], shape: str) -> tuple[str, ...]:
    return tuple(formatted(each, shape) for each in (value if isinstance(value, tuple) else (value,)))


def _statistic(name: str, values: Mapping[int, float] | Sequence[float]) -> Number | tuple[Number, ...]:
    numbers = list(values.values()) if isinstance(values, Mapping) else list(values)
    if name.startswith("seed=") and isinstance(values, Mapping):
        seeds = {str(seed): value for seed, value in values.items()}
        if name[5:] not in seeds:
            raise ValueError(f"there is no run with seed {name[5:]}, only with {', '.join(seeds)}")
        return seeds[name[5:]]
    if name not in STATISTICS:
        raise ValueError(f"{name!r} is no statistic; there are {', '.join(STATISTICS)} and seed=K")
    if not numbers:
        raise ValueError("there are no values")
    return STATISTICS[name](numbers)


def _ratio(a: Number | tuple[Number, ...], b: Number | tuple[Number, ...]) -> Number:
    if isinstance(a, tuple) or isinstance(b, tuple):
        raise ValueError("two numbers are not divided by two others")
    if not b:
        raise ValueError("the second value is 0, which nothing is divided by")
    return a / b


def _claim(words: Sequence[str], figure: Figure) -> tuple[str, ...]:
    match list(words):
        case [name, label, shape]:
            return _texts(published(name, label), shape)
        case [name, label, "minus", other, shape]:
            return _texts(published(name, label) - published(name, other), shape)
    raise ValueError("it should be claim ID NAME [minus NAME] FORMAT")


def published(claim: str, name: str) -> float:
    """The figure that the source of a claim gives of that name; ``ValueError`` unless there is one."""
    from utils.experiments.catalogue.claims import CLAIMS
    from utils.experiments.claims import Order, Published

    if claim not in CLAIMS:
        raise ValueError(f"there is no claim {claim!r}{closest(claim, list(CLAIMS))}")
    figures: dict[str, set[float]] = {}
    for check in CLAIMS[claim].checks:
        if isinstance(check, Published):
            figures.setdefault(check.name, set()).add(check.value)
        elif isinstance(check, Order) and check.published:
            for one, value in zip((check.higher, check.lower), check.published, strict=True):
                figures.setdefault(one, set()).add(value)
    if name not in figures:
        raise ValueError(f"{claim} gives no figure of {name!r}, only of {', '.join(figures) or 'nothing'}")
    if len(figures[name]) > 1:
        raise ValueError(f"{claim} gives several figures of {name!r}: {sorted(figures[name])}")
    return figures[name].pop()


def _option(words: Sequence[str], figure: Figure) -> tuple[str, ...]:
    from utils.experiments.catalogue import find

    if len(words) not in (3, 4):
        raise ValueError("it should be option EXPERIMENT LABEL NAME [FORMAT]")
    experiment, label, name, *shape = words
    _check_experiment(experiment)
    configurations = {each.label: each for each in find(experiment).configurations}
    if label not in configurations:
        raise ValueError(f"{experiment} has no configuration {label!r}, only {', '.join(configurations)}")
    one = configurations[label]
    options: dict[str, Any] = {
        **one.model_options, **one.fit_options, **one.method_options, **one.label_noise,
    }  # fmt: skip
    value = number(at_path(options, name, f"the configuration {label!r}"), name)
    return _texts(value, shape[0]) if shape else (exact(Fraction(repr(value)), figure.percent),)


def _account(words: Sequence[str], figure: Figure) -> tuple[str, ...]:
    if len(words) != 4 or not re.fullmatch(r"\d+x\d+x\d+", words[1]):
        raise ValueError("it should be account MODEL CxHxW FIELD FORMAT, such as account vgg-a 3x224x224 …")
    model, size, name, shape = words
    table = _accounted(model, tuple(int(each) for each in size.split("x")))
    if not isinstance(getattr(table, name, None), int | float):
        raise ValueError(f"an account has no number {name!r}, such as total_params and total_macs")
    return _texts(getattr(table, name), shape)


@cache
def _accounted(model: str, size: tuple[int, ...]) -> Any:
    import torch

    from utils.analysis.accounting import account
    from utils.models import build_model

    with torch.device("meta"):  # nothing is computed but shapes
        return account(build_model(model), size)


def _code(rest: str, figure: Figure, cells: Sequence[str]) -> tuple[str, ...]:
    if not cells:
        raise ValueError("the page has no code cells")
    # blanks do not matter, and 0.1 is not in 0.15
    signs = r"\s*".join(re.escape(sign) for sign in re.findall(r"[\w.]+|[^\w\s]", rest))
    if not any(re.search(rf"(?<![\w.]){signs}(?![\w.])", cell) for cell in cells):
        raise ValueError(f"no code cell of the page has {rest!r}")
    numbers = re.findall(r"(?<![\w.])(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?(?![\w.])", rest)
    if len(numbers) != 1:
        raise ValueError(f"{rest!r} has {_count(len(numbers))}, and should have one")
    return (exact(Fraction(numbers[0]), figure.percent),)


def _calculated(rest: str, figure: Figure, cells: Sequence[str]) -> tuple[str, ...]:
    head, _, last = rest.strip().rpartition(" ")
    if head and FORMAT.fullmatch(last):
        try:
            value = calculate(head)
        except SyntaxError:  # what looks like a format is the last number
            pass
        else:
            return _texts(value, last)
    try:
        value = calculate(rest)
    except SyntaxError:
        raise ValueError(f"{rest!r} is no arithmetic") from None
    if not isinstance(value, Fraction):
        raise ValueError(f"{rest!r} has no exact value: say in which format it is written")
    return (exact(value, figure.percent),)


def _check_experiment(name: str) -> None:
    from utils.experiments.catalogue import EXPERIMENTS

    if name not in EXPERIMENTS:
        known = [*KINDS, *EXPERIMENTS]
        raise ValueError(
            f"a mark begins with an experiment or {', '.join(KINDS)}, not with {name!r}{closest(name, known)}"
        )


def _count(n: int) -> str:
    return "one number" if n == 1 else f"{n} numbers"


def _words(mark: str) -> list[str]:
    try:
        return shlex.split(mark)
    except ValueError:
        raise ValueError("its quotation marks do not match") from None


def mark_kinds() -> Iterable[str]:
    """The words that a mark can begin with."""
    from utils.experiments.catalogue import EXPERIMENTS

    return (*KINDS, *EXPERIMENTS)
