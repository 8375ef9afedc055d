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
from utils.experiments.differences import TOO_EARLY
from utils.experiments.summary import Results

CONVERGED = [0.5, 0.9]  # shares of the training images that are right in two epochs
SMALL = "4,000 images, 2 epochs"


def recorded(profile="full", learned=CONVERGED, images=None, **accuracies):
    """Results with these test accuracies, a list for each label, on all images if ``profile`` is full."""
    history = {
        "train_loss": [1.0, 0.5],
        "valid_loss": [0.9, 0.8],
        "train_accuracy": learned,
        "valid_accuracy": [0.1, 0.2],
        "lr": [0.1, 0.1],
    }
    train = images or (50_000 if profile == "full" else 4_000)
    runs = tuple(
        {
            "configuration": {"label": label},
            "seed": seed,
            "result": {"test_accuracy": value},
            "dataset": {"train": train, "valid": 5_000},
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
    assert row.verdict == UNJUDGED
    assert row.why == "not run as published (50,000 images, 2 epochs, narrower networks)"
    assert verdict(Order("a", "b"), recorded(a=many, b=[0.8, 0.81, 0.82]), **narrow).verdict.endswith(
        "epochs, narrower networks"
    )
    full = Results("the full one", "full", recorded(a=many).runs)
    assert verdict(Published("a", 0.92), full, **narrow).verdict == REPLICATED


def test_a_shorter_training_is_never_of_the_published_size_and_equal_networks_are_not_called_narrower():
    runs = recorded(a=[0.92, 0.925, 0.915])  # of two epochs
    assert verdict(Published("a", 0.92), runs, epochs=2).verdict == REPLICATED
    row = verdict(Published("a", 0.92), runs, epochs=3)
    assert (row.verdict, row.why) == (UNJUDGED, "not run as published (50,000 images, 2 epochs)")
    row = verdict(Published("a", 0.92), runs, full_experiment="the full one", same_networks=True)
    assert (row.verdict, row.why) == (UNJUDGED, "not run as published (50,000 images, 2 epochs)")


@pytest.mark.parametrize(("images", "expected"), [(45_000, REPLICATED), (44_999, UNJUDGED)])
def test_runs_of_the_published_size_lack_no_more_images_than_those_for_validation(images, expected):
    runs = recorded(a=[0.92, 0.925, 0.915], images=images)
    assert verdict(Published("a", 0.92), runs).verdict == expected
    assert verdict(Published("a", 0.92), runs, images=40_000).verdict == REPLICATED


def test_a_shortfall_that_fewer_images_could_explain_decides_nothing():
    """At an error of 20 %, nine tenths of the images may cost 20 · (√(10/9) − 1) = 1.08 points."""
    fewer = {"images": 45_000}
    within = verdict(Published("a", 0.8), recorded(a=[0.785] * 3, **fewer))
    assert within.verdict == UNJUDGED and within.difference == "−1.50 points"
    assert within.why.endswith("45,000 training images instead of 50,000 could explain that")
    assert verdict(Published("a", 0.8), recorded(a=[0.784] * 3, **fewer)).verdict == NOT
    assert verdict(Published("a", 0.8), recorded(a=[0.785] * 3)).verdict == NOT, "nothing is lacking"
    assert verdict(Published("a", 0.8), recorded(a=[0.815] * 3, **fewer)).verdict == NOT, "it is better"


def test_what_smaller_runs_reach_is_compared_once_they_have_converged():
    a, b = [0.90, 0.91, 0.92], [0.80, 0.81, 0.82]
    small = {"a": a, "b": b, "profile": "quick"}
    assert verdict(Order("a", "b"), recorded(**small)).verdict == f"{REPLICATED} at {SMALL}"
    early = recorded(**small, learned=[0.5, 0.7])
    row = verdict(Order("a", "b"), early)
    assert (row.verdict, row.difference) == (TOO_EARLY, "")
    assert row.why == "a, b were still improving after 2 epochs"
    assert verdict(Order("a", "b", final=False), early).verdict == f"{REPLICATED} at {SMALL}", "of the start"
    assert verdict(Order("a", "b", claimed=False), early).verdict == TOO_EARLY
    assert verdict(Alike(("a", "b"), 0.5), early).verdict == TOO_EARLY
    assert verdict(Alike(("a", "b"), 0.5), recorded(**small)).verdict == f"{REPLICATED} at {SMALL}"
    # at the length of the source, the state in which it stops is part of what is measured
    assert verdict(Order("a", "b"), recorded(a=a, b=b, learned=[0.5, 0.7])).verdict == REPLICATED


def test_one_side_that_has_not_converged_is_enough():
    small = {"a": [0.90, 0.91, 0.92], "profile": "quick"}
    done, early = recorded(**small), recorded(**small, learned=[0.5, 0.7])
    runs = tuple({**run, "configuration": {"label": "b"}} for run in early.runs)
    row = verdict(Order("a", "b"), Results("e", "quick", done.runs + runs))
    assert (row.verdict, row.why) == (TOO_EARLY, "b was still improving after 2 epochs")


def test_a_measure_over_several_labels_needs_all_of_them():
    early = recorded(profile="quick", a=[0.9] * 3, b=[0.8] * 3, learned=[0.5, 0.7])
    measured = Order(
        "both", "one", measure=lambda results: {"both": [0.9, 0.91, 0.92], "one": [0.1, 0.2, 0.3]}
    )
    row = verdict(measured, early)
    assert row.verdict == TOO_EARLY and row.why == "a, b were still improving after 2 epochs"


@pytest.mark.parametrize(("published", "noted"), [((0.5097, 0.5), True), ((0.52, 0.5), False), ((), False)])
def test_a_lead_within_the_noise_of_the_sources_own_test_images_is_noted(published, noted):
    """At one half each, 10,000 images give a standard error of √(2 · ¼ / 10,000) = 0.71 points."""
    row = verdict(Order("a", "b", published or None), recorded(a=[0.9, 0.91, 0.92], b=[0.8, 0.81, 0.82]))
    assert row.verdict == REPLICATED
    assert ("are within the noise of 10,000 test images" in row.why) == noted
    few = verdict(Order("a", "b", (0.52, 0.5)), recorded(a=[0.9] * 3, b=[0.8] * 3), judged=100)
    assert few.why.endswith("the source's own +2.00 points are within the noise of 100 test images")


def test_runs_on_the_jpeg_copy_are_never_held_against_a_published_figure():
    runs = recorded(a=[0.92, 0.925, 0.915], b=[0.8, 0.81, 0.82]).runs
    copies = [{**run, "dataset": {**run["dataset"], "title": "CIFAR-10 (JPEG copy)"}} for run in runs]
    for some in (copies, [*runs[:-1], copies[-1]]):  # all of them, or a single one
        row = verdict(Published("a", 0.92), Results("e", "full", tuple(some)))
        assert (row.verdict, row.difference) == (UNJUDGED, "")
        assert row.why == "not run as published (50,000 images, 2 epochs, JPEG copy)"
        row = verdict(Order("a", "b"), Results("e", "full", tuple(some)))
        assert row.verdict == "replicated at 50,000 images, 2 epochs, JPEG copy"
    same_pixels = [{**run, "dataset": {**run["dataset"], "title": "CIFAR-10 (PNG copy)"}} for run in runs]
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
    assert summary.train_error(runs)["a"] == pytest.approx([0.1, 0.1])
    assert summary.early_accuracy(runs)["a"] == [0.1, 0.1]
    assert summary.overfitting(runs)["a"] == pytest.approx([0.3, 0.3])


def test_band_width_is_taken_over_the_published_rates_for_each_seed():
    def run(label, seed, losses):
        return {"configuration": {"label": label}, "seed": seed, "history": {"step_loss": losses}}

    rates = ("0.0001", "0.0005", "0.001", "0.002")
    runs = [run(f"plain-{rate}", seed, [2.0, 1.0 + i]) for i, rate in enumerate(rates) for seed in (0, 1)]
    runs += [run("plain-0.01", 0, [99.0, 99.0])]
    assert summary.band_width(Results("e", "quick", tuple(runs))) == {"without BN": [1.5, 1.5]}
