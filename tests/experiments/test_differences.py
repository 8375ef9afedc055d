"""One difference for every page, against intervals computed by hand and against scipy's own tests."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_ind, ttest_rel

from utils.experiments import Difference, difference

NO_BREAK = "\N{NO-BREAK SPACE}"
values = st.lists(st.floats(-1, 1).map(lambda x: round(x, 3)), min_size=3, max_size=6)
# the 97.5 % points of Student's t as tables print them
T2, T3, T4 = 4.3027, 3.1824, 2.7764


def test_welch_by_hand():
    # variances 2 and 6 of 2 and 3 runs, so 1 + 2, with (1 + 2)² / (1²/1 + 2²/2) = 3 degrees of freedom
    found = difference([1, 3], [10 - math.sqrt(6), 10, 10 + math.sqrt(6)])
    assert (found.n, found.paired) == (2, False) and found.mean == pytest.approx(-8)
    assert found.interval == pytest.approx((-8 - T3 * math.sqrt(3), -8 + T3 * math.sqrt(3)), rel=1e-4)


def test_equal_variances_by_hand():
    # variances 1 and 1, so 2/3, with 4 degrees of freedom
    low, high = difference([1, 2, 3], [4, 5, 6]).interval
    assert (low, high) == pytest.approx((-3 - T4 * math.sqrt(2 / 3), -3 + T4 * math.sqrt(2 / 3)), rel=1e-4)


def test_pairs_by_hand():
    # differences 1, 2 and 3: mean 2, variance 1, 2 degrees of freedom
    found = difference([11, 22, 33], [10, 20, 30], paired=True)
    reach = T2 * math.sqrt(1 / 3)
    assert (found.mean, found.n, found.paired) == (2, 3, True)
    assert found.interval == pytest.approx((2 - reach, 2 + reach), rel=1e-4)
    assert found.verdict == "undecided", "2 − 2.48 is below 0"
    assert difference([12, 22, 32], [10, 20, 30.5], paired=True).verdict == "higher"


def test_the_intervals_are_those_of_scipys_tests():
    generator = np.random.default_rng(0)
    for _ in range(50):
        a, b = generator.normal(0, 1, 4), generator.normal(1, 2, 6)
        theirs, ours = ttest_ind(a, b, equal_var=False), difference(a, b)
        assert ours.interval == pytest.approx(tuple(theirs.confidence_interval(0.95)))
        assert (ours.verdict != "undecided") == (theirs.pvalue < 0.05) and ours.n == 4
        theirs, ours = ttest_rel(a, b[:4]), difference(a, b[:4], paired=True)
        assert ours.interval == pytest.approx(tuple(theirs.confidence_interval(0.95)))
        assert (ours.verdict != "undecided") == (theirs.pvalue < 0.05)


@settings(deadline=None)
@given(values, values, st.booleans())
def test_the_order_of_the_two_changes_the_sign_only(a, b, paired):
    assume(not paired or len(a) == len(b))
    one, other = difference(a, b, paired), difference(b, a, paired)
    assert one.interval == pytest.approx((-other.interval[1], -other.interval[0]))
    opposite = {"higher": "lower", "lower": "higher", "undecided": "undecided"}
    assert one.verdict == opposite[other.verdict]


@pytest.mark.parametrize(
    "found, n, verdict",
    [
        ((0.01, 0.2), 3, "higher"),
        ((0.0, 0.2), 3, "undecided"),  # an interval that ends at 0 does not leave it out
        ((-0.2, 0.0), 3, "undecided"),
        ((-0.2, -0.01), 3, "lower"),
        ((0.0, 0.0), 3, "undecided"),
        ((-0.2, 0.2), 3, "undecided"),
        ((0.01, 0.2), 2, "too few runs"),
        (None, 1, "too few runs"),
    ],
)
def test_a_verdict_follows_from_interval_and_number(found, n, verdict):
    assert Difference(0.1, found, n).verdict == verdict
    assert Difference(0.1, found, n, early=True).verdict == "too early to compare"


@pytest.mark.parametrize("paired", [False, True])
def test_values_without_spread(paired):
    same, less = [0.1, 0.1, 0.1], [0.05, 0.05, 0.05]
    assert difference(same, less, paired).interval == (0.05, 0.05)
    assert difference(same, less, paired).verdict == "higher"
    assert difference(less, same, paired).verdict == "lower"
    assert (difference(same, same, paired).interval, difference(same, same, paired).verdict) == (
        (0, 0),
        "undecided",
    )
    assert difference([0.1] * 3, [0.1] * 7).interval == (0, 0), "however many"
    told = {
        True: "no difference in any pair (n = 3 pairs)",
        False: "no difference in any run (n = 3)",
    }
    assert difference(same, same, paired).text().replace("\N{NO-BREAK SPACE}", " ") == told[paired]


def test_one_group_without_spread_has_the_freedom_of_the_other():
    low, high = difference([0.5] * 9, [0.1, 0.2, 0.3]).interval
    reach = T2 * math.sqrt(0.01 / 3)
    assert (low, high) == pytest.approx((0.3 - reach, 0.3 + reach), rel=1e-4)


def test_few_runs_have_no_verdict_however_far_apart():
    two = difference([0.9, 0.91], [0.1, 0.11])
    assert (two.n, two.verdict) == (2, "too few runs") and two.interval[0] > 0.7
    one = difference([0.9], [0.1, 0.2, 0.3, 0.4])
    assert (one.n, one.interval, one.verdict) == (1, None, "too few runs")
    assert one.mean == pytest.approx(0.65)
    assert difference([0.9], [0.1], paired=True).interval is None
    assert difference([0.9, 0.91, 0.92], [0.1, 0.11]).verdict == "too few runs", "the smaller group counts"
    assert difference([0.9, 0.91, 0.92], [0.1, 0.11, 0.12]).verdict == "higher"


def test_pairs_are_made_by_seed():
    a, b = {0: 0.5, 1: 0.6, 2: 0.7}, {2: 0.6, 0: 0.4, 1: 0.5}
    assert difference(a, b, paired=True).mean == pytest.approx(0.1)
    assert difference(a, b, paired=True).verdict == "higher"
    assert difference(a, b).verdict == "undecided" and difference(a, b).n == 3
    with pytest.raises(ValueError, match="without a partner: 2, 7"):
        difference(a, {0: 0.4, 1: 0.5, 7: 0.6}, paired=True)
    with pytest.raises(ValueError, match="cannot be paired with values by position"):
        difference(a, [0.4, 0.5, 0.6], paired=True)
    with pytest.raises(ValueError, match="got 3 and 2 values"):
        difference([1, 2, 3], [1, 2], paired=True)


@pytest.mark.parametrize("paired", [False, True])
def test_what_is_no_number_is_refused(paired):
    with pytest.raises(ValueError, match="finite values, got nan"):
        difference([0.1, math.nan, 0.2], [0.1, 0.2, 0.3], paired)
    with pytest.raises(ValueError, match="finite values, got inf"):
        difference([0.1, 0.2, 0.3], [0.1, 0.2, math.inf], paired)
    with pytest.raises(ValueError, match="at least one value on each side"):
        difference([], [], paired)


@pytest.mark.parametrize(
    "found, options, text",
    [
        (
            Difference(0.236, (0.165, 0.307), 3),
            {},
            "+23.6 points (95 % interval +16.5 to +30.7, n = 3): higher",
        ),
        (
            Difference(-0.236, (-0.307, -0.165), 4, paired=True),
            {},
            "−23.6 points (95 % interval −30.7 to −16.5, n = 4 pairs): lower",
        ),
        (
            Difference(-0.0001, (-0.25, 0.25), 3),
            {"unit": "", "digits": 2, "scale": 1},
            "+0.00 (95 % interval −0.25 to +0.25, n = 3): undecided",
        ),
        (
            Difference(1.5, (1.0, 2.0), 3),
            {"unit": "s", "scale": 1},
            "+1.5 s (95 % interval +1.0 to +2.0, n = 3): higher",
        ),
        # an end that would be rounded to 0 shows on which side of it it lies
        (
            Difference(-0.0028, (-0.0051, -0.0004), 9),
            {},
            "−0.28 points (95 % interval −0.51 to −0.04, n = 9): lower",
        ),
        (Difference(0.5, (0.4, 0.6), 2), {}, "too few runs (n = 2)"),
        (Difference(0.5, None, 1), {}, "too few runs (n = 1)"),
        (Difference(0.5, (0.4, 0.6), 3, early=True), {}, "too early to compare (n = 3)"),
    ],
)
def test_in_words(found, options, text):
    said = found.text(**options)
    assert said.replace(NO_BREAK, " ") == text
    assert "n = " not in said, "no line ends within it"


def test_too_early_is_for_the_caller_to_say():
    found = difference([0.9, 0.91, 0.92], [0.1, 0.11, 0.12], early=True)
    assert found.verdict == "too early to compare" and found.interval[0] > 0.7
