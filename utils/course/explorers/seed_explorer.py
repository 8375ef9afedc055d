"""The seed explorer: what a few runs of two configurations can say about the difference between them."""

from __future__ import annotations

from math import isfinite

from scipy.stats import t as student_t

from utils.course.explorers.base import Explorer

MOST_SEEDS, MOST_DIFFERENCE, MOST_SD = 20, 5.0, 5.0
UNIT = 0.1  # points between two places of a slider
# 97.5 % points of Student's t at 1/freedom = 0, 1/100, …, 1, between which the page interpolates
POINTS, LEVEL = 100, 0.975


def seed_explorer(
    difference: float = 1.0,
    sd: float = 1.8,
    seeds: int = 3,
    *,
    seed: int = 1,
    title: str = "What can a few seeds say?",
) -> Explorer:
    """Runs of configurations A and B, from normal distributions, and Welch's interval of the difference.

    difference: how much better B truly is, 0 to 5 points of accuracy, and sd: the standard deviation over
    seeds, the same for both, 0 to 5 points; both are rounded to 0.1. seeds: runs of each, 1 to 20. seed: of
    the first draw on the page, a whole number from 1. ``ValueError`` for anything else.
    """
    for name, value, most in (("difference", difference, MOST_DIFFERENCE), ("sd", sd, MOST_SD)):
        if not (isfinite(value) and 0 <= value <= most):
            raise ValueError(f"{name} must be from 0 to {most:g} points, got {value}")
    for name, value, most in (("seeds", seeds, MOST_SEEDS), ("seed", seed, 2**31)):
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
            raise ValueError(f"{name} must be a whole number from 1 to {most}, got {value!r}")
    data = {
        "difference": round(float(difference), 1),
        "sd": round(float(sd), 1),
        "seeds": seeds,
        "seed": seed,
        "unit": UNIT,
        "most": {"seeds": MOST_SEEDS, "difference": MOST_DIFFERENCE, "sd": MOST_SD},
        "critical": critical_values(),
    }
    summary = (
        f"Two configurations that differ by {data['difference']:g} points, "
        f"standard deviation over seeds {data['sd']:g} points: "
        "draw seeds of each, and see what the comparison says."
    )
    return Explorer("seed_explorer", title, data, summary)


def critical_values() -> list[float]:
    """Two-sided 5 % limits of Student's t, at 1/freedom = i / 100 for i = 0 … 100."""
    freedoms = [float("inf"), *(POINTS / i for i in range(1, POINTS + 1))]
    return [float(student_t.ppf(LEVEL, freedom)) for freedom in freedoms]
