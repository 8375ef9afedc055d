"""Which run comes next, in what state each is, and what the user reads of it."""

import pytest

from utils.experiments.catalogue.order import Entry, runs_of
from utils.experiments.configuration import Budget, Configuration, Experiment
from utils.experiments.queue.estimates import Estimate
from utils.experiments.queue.plan import (
    Candidate,
    State,
    hours_left,
    is_resumable,
    next_of,
    record_of,
    states_of,
)
from utils.experiments.queue.status import Active, duration, line, shortened, table

BUDGETS = dict.fromkeys(("smoke", "quick", "full"), Budget(epochs=20, seeds=(0,)))
CONFIGURATIONS = (
    Configuration("a", "linear", "digits"),
    Configuration("b", "linear", "digits", fit_options={"probes": {"gradient": {}}}),
    Configuration("c", "linear", "cifar100"),
)
ONE = Experiment("one", "?", "this test", CONFIGURATIONS, BUDGETS)
A, B, C = runs_of((Entry("one", 1, "why"),), {"one": ONE})
HOUR = Estimate(3600.0, 60.0)


def test_the_state_of_a_run_follows_from_its_record_and_its_data(tmp_path):
    def states(**more):
        return list(states_of((A, B, C), tmp_path, lambda name: name == "digits", **more).values())

    assert states() == [State.DUE, State.DUE, State.NO_DATA]
    assert states(running=[B.key]) == [State.DUE, State.RUNNING, State.NO_DATA]
    record_of(A, tmp_path).parent.mkdir()
    for run in (A, C):
        record_of(run, tmp_path).touch()
    assert states() == [State.DONE, State.DUE, State.DONE]


@pytest.mark.parametrize(
    "estimates, left, across, expected",
    [
        ((HOUR, HOUR), None, False, A),
        ((HOUR, HOUR), 3600.0, False, A),
        ((HOUR, Estimate(600.0, 60.0)), 3599.0, False, B),
        ((HOUR, HOUR), 3599.0, False, None),
        ((HOUR, HOUR), 3599.0, True, A),
        ((HOUR, HOUR), 59.0, True, None),
        ((None, HOUR), 10.0, False, A),
        ((), 10.0, False, None),
    ],
)
def test_the_first_run_that_fits_comes_next(estimates, left, across, expected):
    candidates = [Candidate(run, one) for run, one in zip((A, B), estimates, strict=False)]
    assert next_of(candidates, left, across) == expected


def test_what_cannot_go_on_is_not_begun_across_the_end():
    assert is_resumable(A) and not is_resumable(B)
    candidates = [Candidate(B, HOUR, is_resumable(B)), Candidate(A, HOUR, is_resumable(A))]
    assert next_of(candidates, 1800.0, across=True) == A


def test_hours_are_shared_by_the_workers():
    assert hours_left([HOUR, HOUR, HOUR, HOUR], 2) == (2.0, False)
    assert hours_left([HOUR], 2) == (1.0, False), "a run is not divided"
    assert hours_left([HOUR, None], 1) == (1.0, True)
    assert hours_left([Estimate(3600.0, 60.0, rough=True)], 1) == (1.0, True)
    assert hours_left([None], 1) is None and hours_left([], 1) == (0.0, False)


@pytest.mark.parametrize(
    "seconds, rough, text",
    [(1, False, "1 min"), (1740, False, "29 min"), (5400, False, "1.5 h"), (90, True, "≈ 2 min")],
)
def test_durations(seconds, rough, text):
    assert duration(seconds, rough) == text


def test_one_line_tells_it_all():
    active = [Active(A, 6, 20, Estimate(1740.0, 124.0)), Active(B, 0, 20, None, measuring=True)]
    assert line(active, done=3, due=19, failed=0, left=(14.0, False)) == (
        "2 running (one a seed 0: epoch 7/20, 29 min left; one b seed 0: measuring its speed)"
        " · 3 done · 19 due · about 14.0 h"
    )
    assert line([], 0, 1, 2, (0.5, True)) == "0 running · 0 done · 1 due · 2 failed · ≈ 30 min"
    assert line([], 0, 1, 0, None) == "0 running · 0 done · 1 due"
    assert Active(A, 20, 20, None).text() == "one a seed 0: epoch 20/20"


def test_a_line_stays_a_line():
    assert shortened("abcdef", 7) == "abcdef" and shortened("abcdef", 6) == "abcd…"


def test_the_table_ends_with_the_totals():
    states = {A: State.DONE, B: State.DUE, C: State.NO_DATA}
    lines = table(states, {B: HOUR}, [], workers=2, pid=None).splitlines()
    assert lines == [
        "tier 1: 1 done, 1 due, 1 needs data; 1.0 h on 2 cores   one",
        "no queue is at work",
        "total: 1 done, 1 due, 1 needs data; 1.0 h on 2 cores",
    ]
    states = {A: State.RUNNING, B: State.DUE}
    lines = table(states, {A: HOUR, B: None}, [Active(A, 0, 20, HOUR)], workers=1, pid=7).splitlines()
    assert lines[1:] == [
        "running: one a seed 0: epoch 1/20, 60 min left",
        "a queue is at work (process 7)",
        "total: 0 done, 1 running, 1 due; 1.0 h on one core, 1 not measured yet",
    ]
    assert (
        table({A: State.DUE}, {A: None}, [], 1, None).splitlines()[-1]
        == "total: 0 done, 1 due; not measured yet"
    )


def test_the_table_is_short_however_many_runs_there_are():
    configurations = tuple(Configuration(f"c{number}", "linear", "digits") for number in range(60))
    many = Experiment("many", "?", "this test", configurations, BUDGETS)
    runs = runs_of([Entry("many", n, "why", labels=(f"c{n}",)) for n in range(60)], {"many": many})
    text = table(dict.fromkeys(runs, State.RUNNING), {}, [Active(run, 0, 20, None) for run in runs], 60, 7)
    assert len(text.splitlines()) <= 25 and text.splitlines()[-1].startswith(
        "total: 0 done, 60 running, 0 due"
    )
