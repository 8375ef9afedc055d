"""The page "How fast": one section for each machine on which the benchmark ran, written by the benchmark."""

from __future__ import annotations

import datetime
import re
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from utils.training.processor import BFLOAT16_UNITS

PAGE = Path(__file__).resolve().parents[2] / "book" / "how_fast.md"
COLUMNS = ("model", "plain", "float32", "bfloat16", "fit", "fit / plain", "of its limit", "of the peak")
NO_BREAK = "\u00a0"  # a space that stays on its line


class Measured(Protocol):
    """What the benchmark measured of one model."""

    def median(self, name: str) -> float: ...

    def ratios(self, name: str, other: str) -> list[float]: ...


@dataclass(frozen=True)
class Machine:
    """What a section says of its machine; the products of matrices in GFLOP/s."""

    processor: str
    unit: str
    threads: int
    torch: str
    float32: float
    bfloat16: float
    rounds: int

    @property
    def peak(self) -> float:
        """The fastest product of matrices in the precision that is chosen here."""
        return self.bfloat16 if self.unit in BFLOAT16_UNITS else self.float32

    @property
    def name(self) -> str:
        return f"{self.processor} ({self.unit or 'no unit with a rule'}), {self.threads} threads"

    def describe(self) -> str:
        return (
            f"{self.name}, torch {self.torch}; product of two matrices: "
            f"{self.float32:,.0f} GFLOP/s in float32, {self.bfloat16:,.0f} in bfloat16"
        )


def row(name: str, found: Measured, share: float) -> list[str]:
    """One line of the table, as text."""
    ratios = found.ratios("fit", "plain")
    ratio = f"{statistics.median(ratios):.1f}"
    spread = f"{min(ratios):.1f} to {max(ratios):.1f}" if len(ratios) > 1 else ""
    limit = statistics.median(found.ratios("fit", "limit"))
    speeds = [f"{found.median(way):,.0f}" for way in ("plain", "float32", "bfloat16", "fit")]
    told = f"{ratio} ({spread})".replace(" ", NO_BREAK) if spread else ratio
    return [name, *speeds, told, f"{limit:.0%}", f"{share:.0%}"]


def section(machine: Machine, rows: list[list[str]], date: datetime.date) -> str:
    """Heading, machine and table in Markdown, between two marks by which it is found again."""
    table = [COLUMNS, ["---"] + ["--:"] * (len(COLUMNS) - 1), *rows]
    lines = ["| " + " | ".join(cells) + " |" for cells in table]
    measured = f"{date:%Y-%m-%d}, medians of {machine.rounds} rounds, batches of 128 images"
    told = f"{machine.describe()}; {measured}."
    body = "\n".join([f"### {machine.name}", "", told, "", *lines])
    return f"<!-- machine: {machine.name} -->\n{body}\n<!-- /machine -->"


def with_section(page: str, name: str, new: str) -> str:
    """The page with the section of the machine ``name`` put in place of its older one, or at the end."""
    old = re.compile(rf"<!-- machine: {re.escape(name)} -->.*?<!-- /machine -->", re.DOTALL)
    if old.search(page):
        return old.sub(lambda _: new, page)
    return f"{page.rstrip()}\n\n{new}\n"


def write_section(machine: Machine, rows: list[list[str]], path: Path = PAGE) -> None:
    """Put this machine's figures of today into the page."""
    new = section(machine, rows, datetime.date.today())
    path.write_text(with_section(path.read_text(encoding="utf-8"), machine.name, new), encoding="utf-8")
