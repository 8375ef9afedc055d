"""How many published claims there are: every text that gives the number is held to the catalogue."""

import re

import pytest

from utils.experiments.catalogue.claims import CLAIMS
from utils.publishing.notebooks import ROOT, labs, read

ONES = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
WORDS = {word: number for number, word in enumerate(ONES)}
WORDS |= {word: 10 * number for number, word in enumerate(TENS, 2)}
WORDS |= {f"{ten}-{ONES[one]}": WORDS[ten] + one for ten in TENS for one in range(1, 10)}
NUMBER = rf"(\d+|{'|'.join(sorted(WORDS, key=len, reverse=True))})"
COUNTED = (
    re.compile(rf"\b{NUMBER}\s+(?:published\s+)?claims\b", re.IGNORECASE),
    re.compile(r"\bclaims\s+\(C1\s+to\s+C(\d+)\)"),
)
FILES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "book").glob("*.md")),
    *sorted((ROOT / "utils").rglob("*.py")),
]


def numbers(text):
    """(what stands there, the number it means) wherever the text says how many claims there are."""
    matches = [match for pattern in COUNTED for match in pattern.finditer(text)]
    given = [(match[0], match[1].lower()) for match in matches]
    return [(" ".join(said.split()), int(n) if n.isdigit() else WORDS[n]) for said, n in given]


@pytest.mark.parametrize(
    "text, expected",
    [
        ("## The 25 claims", [25]),
        ("Twenty-five published\nclaims (C1 to C25) are", [25, 25]),
        ("thirty claims and twelve published claims", [30, 12]),
        ("claims C1 to C5 of the report; the claims (C1 to C8); 25 networks", [8]),
        ("none claims that 3 claimed", []),
    ],
)
def test_numbers_are_found_in_words_and_digits(text, expected):
    assert [number for _, number in numbers(text)] == expected


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_file_gives_the_number_of_the_catalogue(path):
    wrong = [said for said, number in numbers(path.read_text(encoding="utf-8")) if number != len(CLAIMS)]
    assert wrong == [], f"{path.relative_to(ROOT)}: the catalogue has {len(CLAIMS)} claims"


def test_the_labs_give_the_number_of_the_catalogue():
    text = "\n".join(cell.source for path in labs() for cell in read(path).cells)
    assert [said for said, number in numbers(text) if number != len(CLAIMS)] == []
