"""One name and one spelling for each thing: ``book/terms.csv``, and where a page has another.

A row says what to ``write``, a regular expression of what is ``not`` to be written (as whole words, whatever
the capitals unless it has some), and why. Code, mathematics, links and what a command writes are left alone.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from utils.publishing.bound_numbers import GENERATED, chosen, texts
from utils.publishing.notebooks import ROOT
from utils.publishing.prose import visible_text

FILE = ROOT / "book" / "terms.csv"
SPELLING = "American spelling"  # rows with this reason hold for all labs, the others for these pages
HELD = (
    "README.md",
    "CONTRIBUTING.md",
    "book/against_other_counters.md",
    "book/bibliography.md",
    "book/claims.md",
    "book/glossary.md",
    "book/how_fast.md",
    "book/how_to_use.md",
    "book/instructors.md",
    "book/intro.md",
    "labs/01_convolution_toeplitz.ipynb",
    "labs/02_lenet.ipynb",
    "labs/03_imagenet_decade.ipynb",
    "labs/04_resnet.ipynb",
    "labs/05_efficient_convolutions.ipynb",
    "labs/06_receptive_fields.ipynb",
    "labs/07_batchnorm_vgg.ipynb",
    "labs/08_loss_landscapes.ipynb",
    "labs/09_training_choices.ipynb",
    "labs/10_regularization_augmentation.ipynb",
    "labs/11_filters_and_attribution.ipynb",
    "labs/12_transfer_learning.ipynb",
    "labs/13_noisy_labels.ipynb",
    "labs/14_contrastive_learning.ipynb",
    "labs/15_squeeze_and_convnext.ipynb",
    "labs/16_vision_transformers.ipynb",
)


@dataclass(frozen=True)
class Term:
    """What to ``write``, the ``pattern`` of what stands in its place too often, and why."""

    write: str
    pattern: re.Pattern[str]
    because: str


@cache
def terms(file: Path = FILE) -> tuple[Term, ...]:
    """The list of terms; ``ValueError`` names a row that lacks a field or whose pattern is none."""
    found = []
    with file.open(encoding="utf-8", newline="") as lines:
        for number, row in enumerate(csv.DictReader(lines), start=2):
            if None in row or not all(row.values()):
                raise ValueError(f"{file.name}, line {number}: needs write, not and because, has {row}")
            capitals = 0 if re.search(r"(?<!\\)[A-Z]", row["not"]) else re.IGNORECASE
            try:
                pattern = re.compile(rf"(?<![\w-])(?:{row['not']})(?!\w)", capitals)
            except re.error as error:
                raise ValueError(
                    f"{file.name}, line {number}: {row['not']!r} is no pattern: {error}"
                ) from None
            found.append(Term(row["write"], pattern, row["because"]))
    return tuple(found)


def other_terms(page: Path, root: Path = ROOT, because: str = "") -> list[str]:
    """Where the prose of a page has another word than the list, one line for each place.

    ``because``: only the rows of the list that give this reason.
    """
    found = []
    for text in texts(page, root)[0]:
        shown = visible_text(text.source, GENERATED)
        for term in (each for each in terms() if because in ("", each.because)):
            for match in term.pattern.finditer(shown):
                line = shown.count("\n", 0, match.start()) + 1
                place = f"{text.page}, {text.at(line)}"
                found.append(f"{place}: {match.group()!r}; write {term.write} ({term.because})")
    return found


def report(pages: Sequence[str] = ()) -> int:
    """Print the words of these pages that the list has another for; returns 1 if there are any."""
    paths = chosen(pages) or [ROOT / page for page in HELD]
    lines = [line for page in paths for line in other_terms(page)]
    print("\n".join(lines) or "one name for each thing")
    return int(bool(lines))
