"""The tables of the page "Status": what labs ask of a reader, when they last ran, what is recorded and due.

They are made anew with every build of the book (``book/extensions/status_page.py``), so that none is ever
older than the book it stands in. What is not known is left open.
"""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nbformat import NotebookNode

from utils.course.profiles import PROFILES
from utils.publishing import origin
from utils.publishing.contents import Card, cards
from utils.publishing.minutes import EXPLORERS, OPTIONAL, core_minutes, words
from utils.publishing.notebooks import ROOT, labs, read, tags

PAGE = "book/status"
PLACE = re.compile(r"^<!-- status: (\w+) -->$", re.MULTILINE)
EXECUTED = Path("_build") / "executed"  # the labs that the building of the book has run to their end
INPUTS = ("labs/*.ipynb", "utils/**/*.py", "book/results/**/*.json", f"{EXECUTED.as_posix()}/*/*.ipynb")
BADGE_ROW = re.compile(r"<strong>([^<]+):</strong> (.*?)(?= · <strong>|</details>)", re.DOTALL)
TOOK = re.compile(r"(\d+) s after imports, on (\d{4}-\d\d-\d\d)")
UNKNOWN = "–"


@dataclass(frozen=True)
class Counts:
    """What there is to read and to do in a lab; core and optional sections apart."""

    words: int
    optional_words: int
    exercises: int
    optional_exercises: int
    explorers: int


@dataclass(frozen=True)
class LastRun:
    """A run of a lab to its end, as the badge of its page tells it."""

    profile: str
    date: str
    seconds: int
    versions: str
    data: str


def filled(text: str, root: Path = ROOT) -> str:
    """The page with a table in each of its places; ``ValueError`` for a place of an unknown name."""

    def table_for(place: re.Match) -> str:
        if place[1] not in TABLES:
            raise ValueError(f"{PAGE}.md: there is no table {place[1]!r}, only {', '.join(TABLES)}")
        return TABLES[place[1]](root)

    return PLACE.sub(table_for, text)


def state_of_inputs(root: Path = ROOT) -> str:
    """A digest that changes with every file that the tables are made from."""
    digest = hashlib.sha256()
    for path in sorted({path for pattern in INPUTS for path in root.glob(pattern)}):
        found = path.stat()
        digest.update(f"{path.relative_to(root).as_posix()} {found.st_size} {found.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def counts(notebook: NotebookNode) -> Counts:
    """Words, exercises and explorers of a lab; answers, which readers do not see, are left out."""
    optional, found = False, {True: [0, 0], False: [0, 0]}  # words and exercises
    explorers = 0
    for cell in notebook.cells:
        if "answer" in tags(cell):
            continue
        if cell.cell_type != "markdown":
            found[optional][1] += "solution" in tags(cell)
            explorers += len(EXPLORERS.findall(cell.source))
            continue
        for text in re.split(r"^(?=## )", cell.source, flags=re.M):
            if text.startswith("## "):
                optional = text.partition("\n")[0].rstrip().endswith((OPTIONAL, f"*{OPTIONAL}*"))
            found[optional][0] += words(text)
    return Counts(found[False][0], found[True][0], found[False][1], found[True][1], explorers)


def last_runs(stem: str, root: Path = ROOT) -> dict[str, LastRun]:
    """The newest run of a lab in each profile in which the building of the book has run it here."""
    found: dict[str, LastRun] = {}
    for path in sorted((root / EXECUTED / stem).glob("*.ipynb"), key=lambda path: path.stat().st_mtime):
        run = run_of(read(path))
        if run and (run.profile not in found or found[run.profile].date <= run.date):
            found[run.profile] = run
    return found


def run_of(executed: NotebookNode) -> LastRun | None:
    """What the badge of an executed lab says of the run; None if it does not say that it came to its end."""
    shown = (
        "".join(output.get("data", {}).get("text/html", ""))
        for cell in executed.cells
        for output in cell.get("outputs", ())
    )
    badge = next((text for text in shown if 'class="cnnlab-badge"' in text), "")
    rows = {name: html.unescape(value) for name, value in BADGE_ROW.findall(badge)}
    took = TOOK.fullmatch(rows.get("Executed live in", ""))
    if not took:
        return None
    return LastRun(rows["Profile"], took[2], int(took[1]), rows["Versions"], rows["Data"])


def table_of_labs(root: Path = ROOT) -> str:
    """Minutes, words, exercises and explorers of each lab."""
    rows = []
    for each, notebook in _labs(root):
        n = counts(notebook)
        rows.append(
            (
                each.link,
                str(each.minutes),
                f"{core_minutes(notebook):.0f}",
                _beside(n.words, n.optional_words),
                _beside(n.exercises, n.optional_exercises),
                str(n.explorers),
            )
        )
    head = ("lab", "minutes in class", "minutes counted", "words", "exercises", "explorers")
    return table(head, rows)


def table_of_runs(root: Path = ROOT) -> str:
    """The last run of each lab in each profile, and what is recorded of it."""
    rows = []
    for each, _ in _labs(root):
        runs = last_runs(each.stem, root)
        told = [_told(runs.get(profile)) for profile in PROFILES]
        measured = origin.records_of(f"{origin.OF_LABS}/{each.stem}", root)
        rows.append((each.link, *told, _recorded(measured) if measured else "none"))
    return table(
        ("lab", *(f"last run, {profile}" for profile in PROFILES), "own measurements recorded"), rows
    )


def table_of_measurements_due(root: Path = ROOT) -> str:
    """The measurements of labs that must be recorded anew."""
    from utils.publishing.measurements import due_measurements  # brings in torch

    due = due_measurements(root)
    if not due:
        return "No measurement of a lab is due: each is recorded, and none has changed since."
    return table(("lab", "measurement", "why it is due"), [(one.lab, one.function, one.why) for one in due])


def table_of_experiments(root: Path = ROOT) -> str:
    """What is recorded of each experiment, and what the queue still owes of it."""
    from utils.experiments.catalogue import EXPERIMENTS

    owed, rows = _owed(root), []
    for name in sorted(EXPERIMENTS):
        records = origin.records_of(name, root)
        due = [hours for run, hours in owed.items() if run.experiment.id == name and hours is not None]
        left = len([run for run in owed if run.experiment.id == name])
        if records or left:
            told = _row_of(records) if records else ("none", *[""] * 4)
            rows.append((f"`{name}`", *told, str(left), _hours(due, left)))
    head = ("experiment", "recorded", "data", "dates", "torch", "commits", "runs due", "hours of one core")
    return table(head, rows)


def table_of_queue(root: Path = ROOT) -> str:
    """The order of the queue, tier by tier, with what is done and due."""
    from utils.experiments.catalogue import EXPERIMENTS
    from utils.experiments.catalogue.order import ORDER, runs_of

    owed, runs, rows = _owed(root), runs_of(ORDER, EXPERIMENTS), []
    for tier in sorted({run.tier for run in runs}):
        own = [run for run in runs if run.tier == tier]
        due = [run for run in own if run in owed]
        known = [owed[run] for run in due if owed[run] is not None]
        names = ", ".join(f"`{name}`" for name in dict.fromkeys(run.experiment.id for run in own))
        rows.append((str(tier), names, str(len(own) - len(due)), str(len(due)), _hours(known, len(due))))
    known = [hours for hours in owed.values() if hours is not None]
    rows.append(("all", "", str(len(runs) - len(owed)), str(len(owed)), _hours(known, len(owed))))
    return table(("tier", "experiments", "runs done", "runs due", "hours of one core"), rows)


TABLES: Mapping[str, Callable[[Path], str]] = {
    "labs": table_of_labs,
    "runs": table_of_runs,
    "measurements": table_of_measurements_due,
    "experiments": table_of_experiments,
    "queue": table_of_queue,
}


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown; a bar in a cell is written so that it does not end the cell."""
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _labs(root: Path) -> Iterable[tuple[Card, NotebookNode]]:
    return zip(cards(root), map(read, labs(root)), strict=True)


def _owed(root: Path) -> dict:
    """The runs of the order that have no record, each with its hours on the reference core, or None."""
    from utils.experiments import records
    from utils.experiments.catalogue import EXPERIMENTS
    from utils.experiments.catalogue.order import ORDER, runs_of
    from utils.experiments.core_hours import core_hours

    return {
        run: core_hours(run.configuration, run.budget)
        for run in runs_of(ORDER, EXPERIMENTS)
        if not records.path_of(
            run.experiment.id, run.configuration.label, run.seed, run.profile, root / origin.RESULTS
        ).exists()
    }


def _hours(known: Sequence[float], runs: int) -> str:
    """The sum, and of how many runs the hours are not known."""
    if not runs:
        return "0"
    unknown = f"{runs - len(known)} runs not estimated"
    if not known:
        return unknown
    told = f"{sum(known):.1f}" if sum(known) < 10 else f"{sum(known):,.0f}"
    return told if len(known) == runs else f"{told}, {unknown}"


def _beside(core: int, optional: int) -> str:
    return f"{core:,} + {optional:,}" if optional else f"{core:,}"


def _told(run: LastRun | None) -> str:
    return f"{run.date}, {run.seconds} s, {run.versions}, {run.data}" if run else UNKNOWN


def _recorded(records: origin.Records) -> str:
    data, torch = ", ".join(records.data), _without_build(records.torch)
    commits = ", ".join(map(origin.short, records.commits))
    return (
        f"{records.count} ({records.profile}), {data}, {origin.span(records.dates)}, torch {torch}, {commits}"
    )


def _row_of(records: origin.Records) -> tuple[str, ...]:
    commits = [origin.short(commit) for commit in records.commits]
    return (
        f"{records.counted} ({records.profile})",
        ", ".join(records.data),
        origin.span(records.dates),
        _without_build(records.torch),
        ", ".join(commits) if len(commits) <= 3 else f"{commits[0]} to {commits[-1]} ({len(commits)})",
    )


def _without_build(versions: Iterable[str]) -> str:
    """2.15.0 for 2.15.0+cu132: which build it was stands in the record."""
    return ", ".join(dict.fromkeys(version.partition("+")[0] for version in versions))
