"""Where a page of the book comes from: the commit, the day of its building, and the records that it shows.

This stands at the foot of every page. Without torch, since a build that changes little must stay quick.
"""

from __future__ import annotations

import datetime
import html
import json
import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from utils.publishing.notebooks import ROOT

RESULTS = Path("book") / "results"
OF_LABS = "labs"  # the folder of the results with what single labs have measured
SIZES = ("full", "quick")  # profiles from the largest; pages show the records of the largest there is
BADGE = re.compile(r'<div[^>]*\bclass="cnnlab-badge"[^>]*\bdata-records="([^"]*)"')
MARK = re.compile(r"<!-- (lab )?([\w-]+)(?:@\w+)? (?!-->)")  # of a number that is bound to a record
ALL_CLAIMS = "<!-- claims -->"  # begins the tables of all claims
CLAIM = re.compile(r"C\d+")
VERSION = re.compile(r"v\d+(?:\.\d+)*(?:[-.]?(?:a|b|rc)\d+)?")
OF_BUILD = re.compile(r'<span class="cnnlab-built">.*?</span>')
VERSIONS_GO_HERE = '<span class="cnnlab-versions"></span>'  # `make site` writes a link to the versions there


@dataclass(frozen=True)
class Built:
    """What a book was built from.

    commit: 40 hex digits, empty outside of a repository. changed: whether files differ from it. version: the
    tag of the commit, such as v1.2, or empty. date: the day, in universal time.
    """

    commit: str
    changed: bool
    version: str
    date: str


@dataclass(frozen=True)
class Records:
    """The records of one experiment, or what one lab has measured, as the foot of a page tells of them.

    data: titles of the data sets. dates: of the first and the last. commits: of the code that made them, a
    ``+`` behind those with changes on top. torch: its versions.
    """

    name: str
    kind: str
    count: int
    profile: str
    data: tuple[str, ...]
    dates: tuple[str, str]
    commits: tuple[str, ...]
    torch: tuple[str, ...]

    @property
    def counted(self) -> str:
        """``1 run``, ``3 measurements``."""
        return f"{self.count} {self.kind}{'' if self.count == 1 else 's'}"


def built(root: Path = ROOT) -> Built:
    """What the book in ``root`` is built from now; ``SOURCE_DATE_EPOCH`` takes the place of the clock."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    now = datetime.datetime.now(datetime.UTC) if not epoch else _day_of(epoch)
    commit = _git(root, "rev-parse", "HEAD")
    if not commit or _git(root, "rev-parse", "--show-cdup"):  # the folder of another repository
        return Built("", False, "", f"{now:%Y-%m-%d}")
    changed = bool(_git(root, "status", "--porcelain", "--untracked-files=no"))
    tags = [tag for tag in _git(root, "tag", "--points-at", "HEAD").split() if VERSION.fullmatch(tag)]
    return Built(commit, changed, "" if changed else max(tags, key=order, default=""), f"{now:%Y-%m-%d}")


def order(version: str) -> list[tuple[int, int | str]]:
    """A key for versions: v1.10 comes after v1.9, and v1.2 after v1.2rc1."""
    parts = re.findall(r"\d+|[a-z]+", version[1:])
    return [(1, int(part)) if part.isdigit() else (-1, part) for part in parts] + [(0, 0)]


def sources(text: str, shown: Iterable[str] = ()) -> list[str]:
    """Names of the experiments, claims and labs whose records a page shows, sorted.

    ``text``: the source of the page, in which bound numbers and the tables of claims are marked; ``shown``:
    what its outputs are, where the badge of a lab names more. A lab is named ``labs/07_batchnorm_vgg``.
    """
    found = {name for piece in shown for names in BADGE.findall(piece) for name in names.split()}
    for of_lab, name in MARK.findall(text):
        found.add(f"{OF_LABS}/{name}" if of_lab else name)
    if ALL_CLAIMS in text:
        found.add(ALL_CLAIMS)
    return sorted(found)


def records_of(name: str, root: Path = ROOT) -> Records | None:
    """The records of an experiment, or of a lab such as ``labs/02_lenet``; None if there are none.

    Those of an experiment are the runs of its largest profile, which are what pages show. ``ValueError``
    naming the file that is damaged.
    """
    folder, _, lab = name.rpartition("/")
    if folder == OF_LABS:
        path = root / RESULTS / OF_LABS / f"{lab}.json"
        measured = list(_read(path)["measurements"].values()) if path.is_file() else []
        return _summary(name, "measurement", measured)
    for profile in SIZES:
        paths = sorted((root / RESULTS / name).glob(f"*-seed*-{profile}.json"))
        if paths:
            return _summary(name, "run", [_read(path) for path in paths])
    return None


def foot(build: Built, shown: Iterable[Records], url: str) -> str:
    """The foot of a page as HTML; ``url``: of the repository, to which the commit is a link."""
    shown = list(shown)
    told = [of_build(build, url), VERSIONS_GO_HERE]
    if not shown:
        told.insert(1, "No recorded results on this page.")
        return f'<p class="cnnlab-origin">{" ".join(told)}</p>'
    items = "".join(f"<li>{html.escape(line)}</li>" for line in map(told_of, shown))
    return (
        f'<p class="cnnlab-origin">{" ".join(told)}</p>'
        f'<details class="cnnlab-origin"><summary>{html.escape(summary(shown))}</summary>'
        f"<ul>{items}</ul></details>"
    )


def of_build(build: Built, url: str) -> str:
    """The part of the foot that is the same on all pages, and changes with each build."""
    version = f"Version {build.version[1:]}. " if build.version else ""
    return f'<span class="cnnlab-built">{version}Built on {build.date} from {_commit(build, url)}.</span>'


def stamp_pages(folder: Path, build: Built, url: str) -> int:
    """Bring that part up to date on all pages in a folder; returns how many pages were changed.

    A page need not be written anew because there was a commit.
    """
    new, changed = of_build(build, url), 0
    for path in sorted(folder.rglob("*.html")):
        text = path.read_text(encoding="utf-8")
        if (stamped := OF_BUILD.sub(lambda _: new, text)) != text:
            path.write_text(stamped, encoding="utf-8", newline="\n")
            changed += 1
    return changed


def summary(shown: list[Records]) -> str:
    """``Records on this page: 13 runs on CIFAR-10 and Fashion-MNIST, 2026-11-28 to 2026-11-29``."""
    counts: dict[str, int] = {}
    for each in shown:
        counts[each.kind] = counts.get(each.kind, 0) + each.count
    what = _listed([f"{n} {kind}{'' if n == 1 else 's'}" for kind, n in counts.items()])
    data = dict.fromkeys(title for each in shown for title in each.data)
    dates = min(each.dates[0] for each in shown), max(each.dates[1] for each in shown)
    return f"Records on this page: {what}{f' on {_listed(list(data))}' if data else ''}, {span(dates)}"


def told_of(each: Records) -> str:
    """One line on records: ``vgg-batchnorm: 2 runs (full), CIFAR-10, 2026-11-29, commit 2b9be73``."""
    data = [_listed(list(each.data))] if each.data else []
    commits = f"commit{'' if len(each.commits) == 1 else 's'} {', '.join(map(short, each.commits))}"
    told = [f"{each.counted} ({each.profile})", *data, span(each.dates), commits]
    return f"{each.name.removeprefix(OF_LABS + '/')}: {', '.join(told)}"


def span(dates: tuple[str, str]) -> str:
    """One day, or the first and the last."""
    return dates[0] if dates[0] == dates[1] else f"{dates[0]} to {dates[1]}"


def short(commit: str) -> str:
    """Seven digits of a commit, with the ``+`` of one that has changes on top."""
    return commit[:7] + ("+" if commit.endswith("+") else "")


def claims_and_experiments(names: Iterable[str], root: Path = ROOT) -> list[str]:
    """The names with experiments in the place of claims: those by whose runs the claims are judged."""
    found, claims = set(), []
    for name in names:
        if name == ALL_CLAIMS or CLAIM.fullmatch(name):
            claims.append(name)
        else:
            found.add(name)
    if claims:
        from utils.experiments.comparison import chosen_claims, recorded  # brings in torch

        named = [one for name in claims for one in chosen_claims(None if name == ALL_CLAIMS else name)]
        for claim in named:
            results = recorded(claim, root / RESULTS)
            found |= {run["experiment"] for run in results.runs} if results else set()
    return sorted(found)


def _summary(name: str, kind: str, records: list[Mapping[str, Any]]) -> Records | None:
    if not records:
        return None
    days = sorted(record["started"][:10] for record in records)
    profiles = dict.fromkeys(record["profile"] for record in records)
    return Records(
        name,
        kind,
        len(records),
        ", ".join(profiles),
        tuple(sorted({title for record in records for title in _titles(record)})),
        (days[0], days[-1]),
        # in the order of their days
        tuple(dict.fromkeys(one["commit"] for one in sorted(records, key=lambda one: one["started"]))),
        tuple(sorted({record["versions"]["torch"] for record in records})),
    )


def _titles(record: Mapping[str, Any]) -> Iterator[str]:
    for data in record["datasets"] if "datasets" in record else [record["dataset"]]:
        yield data["title"]


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is not a record: {error}") from error


def _commit(build: Built, url: str) -> str:
    if not build.commit:
        return "a copy without its history"
    link = f'commit <a href="{html.escape(url)}/commit/{build.commit}">{build.commit[:7]}</a>'
    return f"{link} with changes that are not committed" if build.changed else link


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _day_of(epoch: str) -> datetime.datetime:
    try:
        return datetime.datetime.fromtimestamp(int(epoch), datetime.UTC)
    except ValueError as error:
        raise ValueError(f"SOURCE_DATE_EPOCH is a number of seconds, got {epoch!r}") from error


def _git(root: Path, *arguments: str) -> str:
    """What git says in this folder; nothing where there is no git or no repository."""
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, encoding="utf-8")
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
