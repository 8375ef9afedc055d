"""Verdicts follow from numbers by rule: each rule with numbers made for it."""

import pytest

from utils.experiments import summary
from utils.experiments.catalogue import EXPERIMENTS
from utils.experiments.catalogue.claims import CLAIMS
from utils.experiments.claims import (
    CLEAR,
    NOT,
    REPLICATED,
    REVERSED,
    UNJUDGED,
    Alike,
    Claim,
    Order,
    Published,
    compare,
)
from utils.experiments.summary import Results


def recorded(profile="full", **accuracies):
    """Results with these test accuracies, a list for each label."""
    history = {
        "train_loss": [1.0, 0.5],
        "valid_loss": [0.9, 0.8],
        "train_accuracy": [0.5, 0.7],
        "valid_accuracy": [0.1, 0.2],
    }
    runs = tuple(
        {
            "configuration": {"label": label},
            "seed": seed,
            "result": {"test_accuracy": value},
            "dataset": {"train": 4000},
            "history": history,
        }
        for label, values in accuracies.items()
        for seed, value in enumerate(values)
    )
    return Results("e", profile, runs)


def verdict(check, results, **more):
    claim = Claim("C0", "here", "it works", "e", (check,), summary.accuracy_on_test, **more)
    (row,) = compare(claim, results)
    return row


@pytest.mark.parametrize(
    "values, expected",
    [
        ([0.92, 0.925, 0.915], REPLICATED),  # published .92 in the middle
        ([0.92, 0.98, 0.86], REPLICATED),  # far spread: one more run may well give .95
        ([0.931, 0.932, 0.930], NOT),  # 1.1 points off, and seeds differ by a tenth of a point
        ([0.924, 0.9241, 0.9239], REPLICATED),  # within half a point
        ([0.92, 0.92], UNJUDGED),  # two seeds
    ],
)
def test_a_published_figure(values, expected):
    row = verdict(Published("a", 0.92), recorded(a=values))
    assert row.verdict == expected and row.published == "92.00\N{NO-BREAK SPACE}%"


def test_a_figure_is_not_judged_by_a_smaller_run():
    row = verdict(Published("a", 0.92), recorded("quick", a=[0.92, 0.92, 0.92]))
    assert row.verdict == UNJUDGED and "4,000 images, 2 epochs" in row.why


@pytest.mark.parametrize(
    "a, b, expected",
    [
        ([0.90, 0.91, 0.92], [0.80, 0.81, 0.82], REPLICATED),
        ([0.80, 0.81, 0.82], [0.90, 0.91, 0.92], NOT),
        ([0.80, 0.85, 0.90], [0.79, 0.84, 0.89], UNJUDGED),
        ([0.9, 0.9], [0.8, 0.8], UNJUDGED),
    ],
)
def test_a_published_order(a, b, expected):
    assert verdict(Order("a", "b"), recorded(a=a, b=b)).verdict == expected
    small = verdict(Order("a", "b"), recorded("quick", a=a, b=b))
    assert small.verdict == (expected if expected == UNJUDGED else f"{expected} at 4,000 images, 2 epochs")


@pytest.mark.parametrize(
    "a, b, expected",
    [
        ([0.900, 0.901, 0.902], [0.901, 0.902, 0.903], REPLICATED),
        ([0.90, 0.91, 0.92], [0.80, 0.81, 0.82], NOT),
        ([0.80, 0.85, 0.90], [0.81, 0.84, 0.90], UNJUDGED),
    ],
)
def test_a_published_likeness(a, b, expected):
    assert verdict(Alike(("a", "b"), 0.01), recorded(a=a, b=b)).verdict == expected


def test_a_narrower_network_is_never_of_the_published_size():
    many = [0.92, 0.925, 0.915]
    narrow = {"full_experiment": "the full one"}
    row = verdict(Published("a", 0.92), recorded(a=many), **narrow)
    assert (
        row.verdict == UNJUDGED
        and row.why == "not run as published (4,000 images, 2 epochs, narrower networks)"
    )
    assert verdict(Order("a", "b"), recorded(a=many, b=[0.8, 0.81, 0.82]), **narrow).verdict.endswith(
        "epochs, narrower networks"
    )
    full = Results("the full one", "full", recorded(a=many).runs)
    assert verdict(Published("a", 0.92), full, **narrow).verdict == REPLICATED


def test_a_shorter_training_is_never_of_the_published_size_and_equal_networks_are_not_called_narrower():
    runs = recorded(a=[0.92, 0.925, 0.915])  # of two epochs
    assert verdict(Published("a", 0.92), runs, epochs=2).verdict == REPLICATED
    row = verdict(Published("a", 0.92), runs, epochs=3)
    assert (row.verdict, row.why) == (UNJUDGED, "not run as published (4,000 images, 2 epochs)")
    row = verdict(Published("a", 0.92), runs, full_experiment="the full one", same_networks=True)
    assert (row.verdict, row.why) == (UNJUDGED, "not run as published (4,000 images, 2 epochs)")


def test_runs_on_the_jpeg_copy_are_never_held_against_a_published_figure():
    runs = recorded(a=[0.92, 0.925, 0.915], b=[0.8, 0.81, 0.82]).runs
    copies = [{**run, "dataset": {"train": 4000, "title": "CIFAR-10 (JPEG copy)"}} for run in runs]
    for some in (copies, [*runs[:-1], copies[-1]]):  # all of them, or a single one
        row = verdict(Published("a", 0.92), Results("e", "full", tuple(some)))
        assert (row.verdict, row.difference) == (UNJUDGED, "")
        assert row.why == "not run as published (4,000 images, 2 epochs, JPEG copy)"
        row = verdict(Order("a", "b"), Results("e", "full", tuple(some)))
        assert row.verdict == "replicated at 4,000 images, 2 epochs, JPEG copy"
    same_pixels = [{**run, "dataset": {"train": 4000, "title": "CIFAR-10 (PNG copy)"}} for run in runs]
    row = verdict(Published("a", 0.92), Results("e", "full", tuple(same_pixels)))
    assert (row.verdict, row.difference) == (REPLICATED, "+0.00 points")


def test_a_difference_is_told_only_where_it_was_judged():
    two, three = [0.9, 0.91], [0.80, 0.85, 0.90]
    assert verdict(Order("a", "b"), recorded(a=two, b=three)).difference == ""
    assert verdict(Alike(("a", "b")), recorded(a=two, b=three)).difference == ""
    assert verdict(Published("a", 0.5), recorded(a=two)).difference == ""
    assert verdict(Order("a", "b", incomparable="x"), recorded(a=three, b=three)).difference == ""
    undecided = verdict(Order("a", "b"), recorded(a=three, b=[0.79, 0.84, 0.89]))
    assert (undecided.verdict, undecided.difference) == (UNJUDGED, "+1.00 points")
    assert verdict(Alike(("a", "b")), recorded(a=three, b=three)).difference == "+0.00 points"


def test_an_experiment_in_the_profile_full_has_the_width_of_the_source():
    for claim in CLAIMS.values():
        for configuration in EXPERIMENTS[claim.experiment_for("full")].configurations:
            assert configuration.model_options.get("width", 1) == 1, (claim.id, configuration.label)


def test_an_order_of_our_own_is_clear_or_not_and_an_incomparable_one_is_not_judged():
    a, b = [0.90, 0.91, 0.92], [0.80, 0.81, 0.82]
    row = verdict(Order("a", "b", claimed=False, remark="by the way"), recorded(a=a, b=b))
    assert (row.published, row.verdict) == ("not claimed", CLEAR) and row.why.endswith("5 %); by the way")
    assert verdict(Order("b", "a", claimed=False), recorded(a=a, b=b)).verdict == REVERSED
    row = verdict(Order("a", "b", incomparable="another scale"), recorded(a=a, b=b))
    assert (row.verdict, row.why) == (UNJUDGED, "another scale")


def test_an_order_may_have_a_measure_of_its_own():
    results = recorded(a=[0.9, 0.9, 0.9], b=[0.8, 0.8, 0.8])
    row = verdict(Order("a", "b", measure=summary.early_accuracy, at="early", unit=""), results)
    assert (
        row.what == "it works: a above b, early" and row.ours.startswith("0.100") and row.verdict == UNJUDGED
    )


def test_what_was_not_run_says_so():
    assert verdict(Order("a", "b"), recorded(a=[0.9])).verdict == UNJUDGED
    claim = Claim(
        "C0", "here", "it works", "e", (Published("a", 0.5),), summary.accuracy_on_test, why="no data"
    )
    (row,) = compare(claim, None)
    assert (row.ours, row.verdict, row.why) == ("not run", UNJUDGED, "no data")


def test_the_claims_are_numbered_and_name_what_their_experiment_measures():
    assert list(CLAIMS) == [f"C{number}" for number in range(1, len(CLAIMS) + 1)]
    for claim, experiment in [
        (claim, claim.experiment_for(profile)) for claim in CLAIMS.values() for profile in ("quick", "full")
    ]:
        labels = {configuration.label for configuration in EXPERIMENTS[experiment].configurations}
        if claim.measure is summary.band_width:
            labels = {"without BN", "with BN"}
        for check in claim.checks:
            named = (
                check.names
                if isinstance(check, Alike)
                else (check.name,)
                if isinstance(check, Published)
                else (check.higher, check.lower)
            )
            assert set(named) <= labels, (claim.id, named)


def test_measures_by_hand():
    runs = recorded(a=[0.9, 0.8])
    assert summary.accuracy_on_test(runs) == {"a": [0.9, 0.8]}
    assert summary.train_error(runs)["a"] == pytest.approx([0.3, 0.3])
    assert summary.early_accuracy(runs)["a"] == [0.1, 0.1]
    assert summary.overfitting(runs)["a"] == pytest.approx([0.3, 0.3])


def test_band_width_is_taken_over_the_published_rates_for_each_seed():
    def run(label, seed, losses):
        return {"configuration": {"label": label}, "seed": seed, "history": {"step_loss": losses}}

    rates = ("0.0001", "0.0005", "0.001", "0.002")
    runs = [run(f"plain-{rate}", seed, [2.0, 1.0 + i]) for i, rate in enumerate(rates) for seed in (0, 1)]
    runs += [run("plain-0.01", 0, [99.0, 99.0])]
    assert summary.band_width(Results("e", "quick", tuple(runs))) == {"without BN": [1.5, 1.5]}
