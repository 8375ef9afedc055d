"""Bands of several runs: widths computed by hand, and what becomes of runs that ended early."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.analysis.landscape import loss_bands
from utils.training import History

RUNS = {"lr 0.1": [2.0, 1.0, 0.5, 0.25], "lr 0.2": [3.0, 0.5, 0.5, 1.0], "lr 0.4": [2.5, 2.0, 0.5, 0.5]}


def test_bands_by_hand():
    bands = loss_bands(RUNS)
    assert bands.lower.tolist() == [2.0, 0.5, 0.5, 0.25]
    assert bands.upper.tolist() == [3.0, 2.0, 0.5, 1.0]
    assert bands.width.tolist() == [1.0, 1.5, 0.0, 0.75]
    assert bands.mean_width == 3.25 / 4
    assert bands.labels == tuple(RUNS) and bands.steps.tolist() == [0, 1, 2, 3] and len(bands) == 4
    assert bands.left_out == {}


def test_a_slice_is_the_bands_of_these_steps():
    bands = loss_bands(RUNS, steps=[0, 10, 20, 30])
    assert bands[-2:].steps.tolist() == [20, 30] and bands[-2:].mean_width == 0.375
    assert bands[:2].mean_width == 1.25 and bands[1::2].width.tolist() == [1.5, 0.75]
    with pytest.raises(ValueError, match="no step is left: bands of 4"):
        bands[4:]
    with pytest.raises(ValueError, match="slice .* got 2"):
        bands[2]


def test_histories_and_unlabeled_runs_are_taken():
    bands = loss_bands([History(step_loss=[1.0, 2.0]), History(step_loss=[3.0, 1.0])])
    assert bands.labels == ("run 1", "run 2") and bands.width.tolist() == [2.0, 1.0]


def test_input_is_not_changed_and_the_result_is_frozen():
    values = np.array([1.0, 2.0])
    bands = loss_bands([values, [2.0, 4.0]])
    assert values.tolist() == [1.0, 2.0]
    with pytest.raises(dataclasses.FrozenInstanceError):
        bands.values = None


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        ([9.0, math.nan, 1.0, 1.0], "is nan at its recorded step 1"),
        ([9.0, math.inf, 1.0, 1.0], "is inf at its recorded step 1"),
        ([9.0], "has 1 recorded steps, the longest run has 4"),
    ],
)
def test_runs_that_end_early(last, reason):
    runs = RUNS | {"lr 0.8": last}
    with pytest.raises(ValueError, match=f"run 'lr 0.8' {reason}.*uneven='cut'.*uneven='drop'"):
        loss_bands(runs)
    cut = loss_bands(runs, uneven="cut")
    assert cut.labels == tuple(runs) and cut.width.tolist() == [7.0]
    dropped = loss_bands(runs, uneven="drop")
    assert dropped.labels == tuple(RUNS) and dropped.mean_width == 3.25 / 4
    assert reason in dropped.left_out["lr 0.8"]


@pytest.mark.parametrize(
    ("histories", "options", "message"),
    [
        ({"a": [1.0]}, {}, "at least two runs, got 1"),
        ({"a": [1.0], "b": []}, {}, "'b' has no recorded steps"),
        ([History(step_loss=[1.0]), History()], {}, "record_steps=True"),
        ({"a": [1.0], "b": [[1.0]]}, {}, r"'b' .* shape \(1, 1\)"),
        ({"a": [1.0], "b": [2.0]}, {"uneven": "pad"}, "raise, cut, drop, got 'pad'"),
        ({"a": [1.0], "b": [2.0]}, {"steps": [1, 2]}, "2 steps were given for runs of 1"),
        ({"a": [1.0, 2.0], "b": [2.0]}, {"uneven": "drop"}, "needs two runs, and 1 reached the end: 'b'"),
        ({"a": [1.0, 2.0], "b": [math.nan] * 2}, {"uneven": "cut"}, "'b' is nan at its recorded step 0"),
    ],
)
def test_refuses(histories, options, message):
    with pytest.raises(ValueError, match=message):
        loss_bands(histories, **options)


@settings(deadline=None, max_examples=50)
@given(
    st.integers(1, 8).flatmap(
        lambda T: st.lists(st.lists(st.floats(-1e6, 1e6), min_size=T, max_size=T), min_size=2, max_size=5)
    )
)
def test_every_run_lies_in_the_band_and_another_run_only_widens_it(runs):
    bands = loss_bands(runs)
    assert (bands.lower <= bands.values).all() and (bands.values <= bands.upper).all()
    assert bands.mean_width == pytest.approx(np.mean([max(c) - min(c) for c in zip(*runs, strict=True)]))
    if len(runs) > 2:
        assert (loss_bands(runs[:-1]).width <= bands.width).all()
