"""The page that the benchmark writes: one section for each machine, renewed in its place."""

import datetime
from types import SimpleNamespace

import pytest

from tests.benchmarks.how_fast import PAGE, Machine, row, section, with_section

DATE = datetime.date(2026, 11, 29)


def machine(name: str, unit: str = "avx512_bf16") -> Machine:
    return Machine(name, unit, threads=2, torch="2.15.0", float32=140.0, bfloat16=400.0, rounds=3)


def found() -> SimpleNamespace:
    speeds = {
        "plain": [100, 110, 90],
        "float32": [150] * 3,
        "bfloat16": [280] * 3,
        "fit": [300, 330, 297],
        "limit": [310, 330, 330],
    }
    return SimpleNamespace(
        median=lambda name: sorted(speeds[name])[1],
        ratios=lambda a, b: [x / y for x, y in zip(speeds[a], speeds[b], strict=True)],
    )


def test_a_row_by_hand():
    # ratios 3, 3, 3.3 to the plain loop; .968, 1 and .9 of the limit
    assert row("VGG-A", found(), 0.504) == [
        "VGG-A",
        "100",
        "150",
        "280",
        "300",
        "3.0\u00a0(3.0\u00a0to\u00a03.3)",
        "97%",
        "50%",
    ]


@pytest.mark.parametrize("unit, peak", [("avx512_bf16", 400.0), ("avx512", 140.0), ("", 140.0)])
def test_the_peak_is_that_of_the_precision_in_use(unit, peak):
    assert machine("A", unit).peak == peak


def test_a_machine_keeps_one_section():
    page = "# How fast\n"
    for name in ("A (new)", "B", "A (new)"):
        page = with_section(page, machine(name).name, section(machine(name), [["LeNet"] + ["1"] * 7], DATE))
    assert (
        page.startswith("# How fast\n\n<!-- machine: A (new)")
        and page.count("### A (new)") == page.count("### B") == 1
    )
    assert page.index("### A (new)") < page.index("### B")


def test_the_page_has_a_place_for_tables():
    assert "## Measured" in PAGE.read_text(encoding="utf-8")
