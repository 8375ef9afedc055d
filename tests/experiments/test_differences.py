"""Welch's t test against scipy's own, and what is said of values that it cannot judge."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_ind

from utils.experiments.differences import interval, is_clear

values = st.lists(st.floats(-1, 1).map(lambda x: round(x, 3)), min_size=2, max_size=6)


def test_the_interval_is_that_of_welchs_test():
    generator = np.random.default_rng(0)
    for _ in range(20):
        a, b = generator.normal(0, 1, 4), generator.normal(0.5, 2, 6)
        theirs = ttest_ind(a, b, equal_var=False)
        assert interval(list(a), list(b)) == pytest.approx(tuple(theirs.confidence_interval(0.95)))
        assert is_clear(a, b) == (theirs.pvalue < 0.05)


@settings(deadline=None)
@given(values, values)
def test_the_order_of_the_two_changes_the_sign_only(a, b):
    low, high = interval(a, b)
    assert interval(b, a) == pytest.approx((-high, -low))
    assert is_clear(a, b) == is_clear(b, a)


def test_values_without_spread():
    assert interval([0.5, 0.5], [0.25, 0.25]) == (0.25, 0.25)
    assert is_clear([0.5, 0.5], [0.25, 0.25]) is True and is_clear([0.5, 0.5], [0.5, 0.5]) is False


def test_a_single_value_cannot_be_judged():
    assert is_clear([0.9], [0.1, 0.2]) is None
    with pytest.raises(ValueError, match="at least two values of each, got 1 and 2"):
        interval([0.9], [0.1, 0.2])
