"""Verdicts follow from numbers by rule: each rule with numbers made for it."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from utils.experiments import summary
from utils.experiments.catalogue import EXPERIMENTS
from utils.experiments.catalogue.claims import CLAIMS
from utils.experiments.catalogue.literature import WALK
from utils.experiments.catalogue.order import ORDER, runs_of
from utils.experiments.claims import (
    CLEAR,
    DUE,
    NOT,
    REPLICATED,
    REVERSED,
    UNJUDGED,
    Alike,
    AtChance,
    Claim,
    Order,
    Published,
    Runs,
    Waiting,
    compare,
    meant_by,
)
from utils.experiments.comparison import needed_labels, waiting
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
        if claim.networks:
            continue  # then no run counts as one of the published size
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
        "C0", "here", "it works", "e", (Published("a", 0.5),), summary.accuracy_on_test, unrun="no data"
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
        if claim.also:
            sizes = [EXPERIMENTS[e].budgets["full"].train_images for e in (experiment, *claim.also)]
            labels = {f"{label} with {size:,} images" for label in (*labels, "lead") for size in sizes}
        for check in claim.checks:
            if getattr(check, "measure", None) is summary.largest_rate:
                assert set(check.names) <= {label.rpartition("-")[0] for label in labels}
            else:
                assert set(check.names) <= labels, (claim.id, check.names)


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


def runs_with(claim_epochs=0, **labels):
    """Results whose runs have these histories: label → list of (train accuracy, validation accuracies)."""
    runs = tuple(
        {
            "configuration": {"label": label},
            "seed": seed,
            "result": {"test_accuracy": valid[-1]},
            "dataset": {"train": 50_000, "valid": 5_000},
            "history": {
                "train_loss": [1.0] * len(valid),
                "train_accuracy": [train] * len(valid),
                "valid_accuracy": valid,
                "lr": [0.1] * len(valid),
            },
        }
        for label, found in labels.items()
        for seed, (train, valid) in enumerate(found)
    )
    return Results("e", "full", runs)


CHANCE, LEARNED = (0.1, [0.1, 0.1]), (0.3, [0.2, 0.3])


@pytest.mark.parametrize(
    ("found", "epochs", "expected", "said"),
    [
        ([CHANCE] * 3, 2, REPLICATED, "3 of 3 runs are at chance after 2 epochs"),
        ([CHANCE] * 3, 3, TOO_EARLY, "3 of 3 runs are at chance after 2 epochs"),
        ([LEARNED] * 3, 2, NOT, "0 of 3 runs are at chance after 2 epochs"),
        ([LEARNED] * 3, 3, f"{NOT} at 50,000 images, 2 epochs", "0 of 3 runs are at chance after 2 epochs"),
        ([CHANCE, CHANCE, LEARNED], 2, UNJUDGED, "2 of 3 runs are at chance after 2 epochs"),
        ([CHANCE] * 2, 2, UNJUDGED, "2 of 3 seeds; 2 of 2 runs are at chance after 2 epochs"),
    ],
)
def test_whether_a_network_learns_is_itself_what_is_measured(found, epochs, expected, said):
    row = verdict(AtChance("a"), runs_with(a=found), epochs=epochs)
    assert (row.verdict, row.why, row.published) == (expected, said, "in words")


def test_a_run_that_diverges_has_not_learned():
    diverged = tuple(
        {"configuration": {"label": "a"}, "seed": seed, "diverged": {"step": 7}} for seed in range(3)
    )
    row = verdict(AtChance("a"), replace(runs_with(b=[LEARNED]), diverged=diverged), epochs=2)
    assert row.verdict == REPLICATED and row.ours == "diverged"
    assert row.why.startswith("3 of 3 runs are at chance after 2 epochs, or diverged")


def test_what_only_a_training_as_long_as_the_sources_tests_is_not_judged_by_a_shorter_one():
    a, b = [0.9, 0.91, 0.92], [0.8, 0.81, 0.82]
    check = Order("a", "b", at_length=True)
    row = verdict(check, recorded(a=a, b=b), epochs=3)
    assert (row.verdict, row.difference) == (TOO_EARLY, "")
    assert row.why == "2 of 3 epochs: a shorter training does not test it"
    assert verdict(check, recorded(a=a, b=b), epochs=2).verdict == REPLICATED


def test_runs_that_do_not_test_a_claim_say_why():
    a, b = [0.9, 0.91, 0.92], [0.8, 0.81, 0.82]
    check = Order("a", "b", untested=lambda results, names: f"no memory in {names[1]}")
    row = verdict(check, recorded(a=a, b=b))
    assert (row.verdict, row.why) == (TOO_EARLY, "no memory in b")
    assert verdict(Order("a", "b", untested=lambda *_: ""), recorded(a=a, b=b)).verdict == REPLICATED


def test_runs_of_other_networks_are_never_of_the_published_size():
    values = [0.92, 0.925, 0.915]
    row = verdict(Published("a", 0.92), recorded(a=values), networks="other networks")
    assert (row.verdict, row.why) == (
        UNJUDGED,
        "not run as published (50,000 images, 2 epochs, other networks)",
    )
    row = verdict(Order("a", "b"), recorded(a=values, b=[0.8, 0.81, 0.82]), networks="other networks")
    assert row.verdict == "replicated at 50,000 images, 2 epochs, other networks"


def test_a_figure_that_cannot_be_compared_says_why_and_a_remark_follows_the_verdict():
    runs = recorded(a=[0.92, 0.925, 0.915])
    row = verdict(Published("a", 0.92, incomparable="another schedule"), runs)
    assert (row.verdict, row.why) == (UNJUDGED, "another schedule")
    assert verdict(Published("a", 0.92, remark="by the way"), runs).why.endswith("; by the way")


def due(check):
    return Waiting(runs=24, epochs=(20,) * 24, hours=17.4)


FIGURE = Published("a", 0.5)


def lines_with(waiting, results, check=FIGURE):
    claim = Claim("C0", "here", "it works", "e", (check,), summary.accuracy_on_test)
    (row,) = compare(claim, results, waiting)
    return row


def test_what_has_not_been_run_is_due_with_its_hours():
    row = lines_with(due, None)
    assert (row.ours, row.verdict) == ("not run", DUE)
    assert row.why.replace("\N{NO-BREAK SPACE}", " ") == "24 runs of 20 epochs, about 17 h of one core"
    row = lines_with(lambda check: Waiting(left_out="too large"), None)
    assert (row.verdict, row.why) == (UNJUDGED, "too large")
    unknown = lines_with(lambda check: Waiting(runs=1, epochs=(3,)), None)
    assert unknown.why == "1 run of 3 epochs"
    assert lines_with(lambda check: Waiting(), None).verdict == UNJUDGED


def test_what_is_undecided_names_the_runs_that_are_due_and_what_is_decided_does_not():
    small = recorded("quick", a=[0.9, 0.9, 0.9])
    row = lines_with(due, small)
    assert row.verdict == UNJUDGED
    assert "; due: 24 runs of 20 epochs, about 17" in row.why
    assert "due" not in lines_with(due, recorded(a=[0.5, 0.5, 0.5])).why
    assert "due" not in lines_with(due, small, Published("a", 0.5, incomparable="x")).why


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=lambda claim: claim.id)
def test_a_claim_names_its_source_in_the_bibliography_and_the_place_in_it(claim):
    bibliography = Path(__file__).resolve().parents[2] / "book" / "references.bib"
    keys = re.findall(r"^@\w+\{([^,]+),", bibliography.read_text(encoding="utf-8"), re.MULTILINE)
    assert claim.key in keys, claim.key
    assert re.search(r"\b(table|figure|figures|section)\b", claim.reference), claim.reference


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=lambda claim: claim.id)
def test_what_decides_a_claim_is_in_the_order_or_says_why_not(claim):
    in_order = {(run.experiment.id, run.configuration.label) for run in runs_of(ORDER, EXPERIMENTS)}
    needed = set().union(*(needed_labels(claim, check) for check in claim.checks))
    for name in (claim.experiment_for("full"), *claim.also):
        absent = {label for label in needed if (name, label) not in in_order}
        assert claim.unrun or absent <= set(claim.left_out), (name, absent)
    assert bool(claim.unrun) == (claim.id == "C15") and set(claim.left_out) <= needed


def test_the_walk_has_a_figure_for_every_step_and_names_the_better_side_first():
    claim = CLAIMS["C44"]
    assert len(WALK) == 13 and len(claim.checks) == 12
    assert claim.checks[0] == Order("stage-ratio", "resnet", (0.7936, 0.7882))
    assert claim.checks[2] == Order("patchify", "depthwise", (0.7951, 0.7828)), "this step costs accuracy"
    assert all(check.published[0] > check.published[1] for check in claim.checks)


def test_a_network_that_has_learned_no_wrong_label_by_heart_does_not_test_a_remedy():
    """With 40 % wrong, one that knows the true labels agrees with 60 % of those that it is given."""

    def one(label, train, noise, method="supervised"):
        return {
            "configuration": {"label": label, "label_noise": noise, "method": method},
            "seed": 0,
            "dataset": {"classes": 10},
            "history": {"train_accuracy": [0.1, train]},
        }

    def said(train, noise):
        runs = (one("noise", train, noise), one("remedy", 0.2, noise, "co-teaching"), one("clean", 0.2, {}))
        found = summary.no_memory(Results("e", "full", runs), ("remedy", "noise", "clean"))
        return found.replace("\N{NO-BREAK SPACE}", " ")

    told = "noise agrees with 60 % of its training labels, of which 60 % are right: no sign of memory yet"
    assert said(0.6, {"rate": 0.4}) == told
    assert said(0.61, {"rate": 0.4}) == ""
    # drawn from all ten classes, 36 % are wrong
    assert said(0.63, {"rate": 0.4, "may_redraw": True}).endswith(
        "of which 64 % are right: no sign of memory yet"
    )
    assert said(0.65, {"rate": 0.4, "may_redraw": True}) == ""


def test_the_largest_rate_that_trains():
    def one(label, seed, train):
        return {**runs_with(a=[LEARNED if train else CHANCE]).runs[0], "seed": seed,
                "configuration": {"label": label}}  # fmt: skip

    runs = [one("plain-0.01", 0, True), one("plain-0.1", 0, True), one("plain-1", 0, False)]
    runs += [one("plain-0.1", 1, False)]  # its 0.01 is the first seed's
    runs += [one("bn-all-0.1", 0, True), one("dead-0.1", 0, False)]
    diverged = ({"configuration": {"label": "bn-all-1"}, "seed": 0},)
    found = summary.largest_rate(Results("e", "full", tuple(runs), diverged))
    assert found == {"plain": [-1.0, -2.0], "bn-all": [-1.0]}


def test_measures_along_the_gradient_take_the_steps_of_equal_loss():
    probe = {
        "lengths": [0.5, 1.0], "steps": [0, 1, 2, 3],
        "start_loss": [2.0, 1.0, 0.8, 0.1],
        "losses": [[9.0, 1.0], [0.9, 1.4], [0.7, 0.8], [5.0, 1.0]],
        "gradient_norms": [1.0, 2.0, 1.0, 1.0],
        "changes": [[9.0, 9.0], [1.0, 3.0], [2.0, 1.0], [8.0, 9.0]],
    }  # fmt: skip
    wild = {**probe, "losses": [[9.0, 1.0], [None, 1.4], [0.7, 0.8], [5.0, 1.0]]}
    runs = tuple(
        {"configuration": {"label": label}, "experiment": "e", "seed": 0, "probes": {"gradient": one}}
        for label, one in (("a", probe), ("b", wild), ("c", {**probe, "start_loss": [2.0] * 4}))
    )
    results = Results("e", "full", runs)
    # the second and third step count: widths .5 and .1, largest changes 3 and 2
    assert summary.loss_along_gradient(results) == {"a": [pytest.approx(0.3)], "b": [pytest.approx(0.1)]}
    assert summary.change_along_gradient(results)["a"] == [2.5]
    # 1 / (.5 · 2) and 3 / (1 · 2); 2 / .5 and 1 / 1
    assert summary.smoothness_along_gradient(results)["a"] == [pytest.approx((1.5 + 4) / 2)]
    assert "c" not in summary.change_along_gradient(results)


def test_the_loss_at_a_distance_is_that_of_the_last_steps_at_the_largest_one():
    def one(losses):
        return {"configuration": {"label": "a"}, "seed": 0, "probes": {"distances": {"losses": losses}}}

    last = one([[[1.0, 5.0]]] * 4 + [[[1.0, 100.0]]])
    found = summary.loss_at_a_distance(Results("e", "full", (last,)))
    assert found == {"a": [pytest.approx(2.0)]}
    three = one([[[1.0, 10.0], [1.0, 1000.0], [7.0, 100.0]]])
    assert summary.loss_at_a_distance(Results("e", "full", (three,))) == {"a": [pytest.approx(2.0)]}
    lost = one([[[1.0, None], [1.0, None], [1.0, 3.0]]])
    assert summary.loss_at_a_distance(Results("e", "full", (lost,))) == {"a": [pytest.approx(12.0)]}


def test_the_loss_at_half_the_distance_is_a_median_over_directions_and_last_steps():
    losses = [[[0.1, 9.0, 9.0]] * 2] * 8 + [[[0.1, 1.0, 9.0], [0.1, 2.0, 9.0]], [[0.1, 4.0, 9.0]] * 2]
    run = {
        "configuration": {"label": "a"},
        "seed": 0,
        "probes": {"distances": {"distances": [0.25, 0.5, 1.0], "losses": losses}},
    }
    # of ten steps the last two: 1, 2, 4, 4
    assert summary.loss_at_half_distance(Results("e", "full", (run,))) == {"a": [3.0]}


def test_runs_on_different_numbers_of_images_stand_side_by_side_and_have_leads():
    small = recorded("quick", images=100, a=[0.5, 0.6, 0.7], b=[0.4, 0.4, 0.4])
    large = recorded("quick", images=2_000, a=[0.8, 0.9], b=[0.8, 0.8, 0.7])
    both = summary.side_by_side([small, large])
    assert both.labels() == [
        "a with 100 images",
        "b with 100 images",
        "a with 2,000 images",
        "b with 2,000 images",
    ]
    found = summary.lead("a", "b")(both)
    assert found["lead with 100 images"] == pytest.approx([0.1, 0.2, 0.3])
    assert found["lead with 2,000 images"] == pytest.approx([0.0, 0.1]), "the seeds that both have"
    with pytest.raises(
        ValueError, match="two of these experiments have a run 'a with 100 images' with seed 0"
    ):
        summary.side_by_side([small, small])
    with pytest.raises(ValueError, match="no results to put side by side"):
        summary.side_by_side([])


def test_a_lead_is_too_early_only_if_its_own_networks_are():
    labels = ("vit with 9 images", "vit with 99 images", "mlp with 9 images", "linear with 9 images")
    runs = Runs("small", labels, {"linear with 9 images": "still improving after 4 epochs"})
    told = "linear with 9 images was still improving after 4 epochs"
    assert runs.too_early("lead with 9 images") == told, "nobody says what is behind it: all"
    assert runs.too_early("lead with 9 images", behind=("vit", "mlp")) == ""
    assert runs.too_early("lead with 9 images", behind=("vit", "linear")) == told
    assert runs.too_early("vit with 9 images", behind=("linear",)) == "", "a label stands for itself"


def test_a_name_stands_for_its_label_at_any_rate_and_number_of_images():
    labels = ("bn", "bn-0.1", "bn-1", "bn-all-0.1", "bn with 9 images", "plain-0.1")
    assert meant_by(("bn",), labels) == ("bn", "bn-0.1", "bn-1", "bn with 9 images")
    assert meant_by(("bn-all", "plain"), labels) == ("bn-all-0.1", "plain-0.1")
    assert meant_by(("bn-0.1",), labels) == ("bn-0.1",)
    assert meant_by(("band",), labels) == ()


def test_what_a_check_waits_for_are_its_own_runs():
    c8, c29, c43 = CLAIMS["C8"], CLAIMS["C29"], CLAIMS["C43"]
    assert {label.partition("-")[0] for label in needed_labels(c8, c8.checks[0])} == {"plain"}
    assert {label.partition("-")[0] for label in needed_labels(c8, c8.checks[2])} == {"plain", "bn"}
    assert not any("all" in label for label in needed_labels(c29, c29.checks[0]))
    empty = Path("nowhere")
    few, many = (waiting(c43, check, empty) for check in c43.checks)
    assert (few.runs, set(few.epochs)) == (6, {400}), "two networks, three seeds, on 1,000 images"
    assert many.runs == 12, "and on 45,000"


def test_a_published_figure_does_not_wait_for_runs_that_cannot_judge_it():
    claim = CLAIMS["C27"]
    figure = next(check for check in claim.checks if isinstance(check, Published))
    assert waiting(claim, figure, Path("nowhere")) == Waiting(
        left_out="the source trained for 164 epochs; the queue runs 30, which decide orders only"
    )
    order = next(check for check in claim.checks if isinstance(check, Order))
    assert waiting(claim, order, Path("nowhere")).runs > 0
