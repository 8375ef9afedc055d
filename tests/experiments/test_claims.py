"""Verdicts follow from numbers by rule: each rule with numbers made for it."""

import pytest

from utils.experiments import measures
from utils.experiments.catalogue import EXPERIMENTS
from utils.experiments.catalogue.claims import CLAIMS
from utils.experiments.claims import NOT, REPLICATED, UNJUDGED, Alike, Claim, Order, Published, compare
from utils.experiments.comparison import chosen_claims, rows, table
from utils.experiments.summary import Results


def recorded(profile="full", **accuracies):
    """Results with these test accuracies, a list for each label."""
    runs = tuple(
        {
            "configuration": {"label": label}, "seed": seed, "result": {"test_accuracy": value}, "dataset": {"train": 4000},
            "history": {"train_loss": [1.0, 0.5], "valid_loss": [0.9, 0.8], "train_accuracy": [0.5, 0.7], "valid_accuracy": [0.1, 0.2]},
        }
        for label, values in accuracies.items() for seed, value in enumerate(values)
    )  # fmt: skip
    return Results("e", profile, runs)


def verdict(check, results, **more):
    claim = Claim("C0", "here", "it works", "e", (check,), measures.test_accuracy, **more)
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


def test_what_was_not_run_says_so():
    assert verdict(Order("a", "b"), recorded(a=[0.9])).verdict == UNJUDGED
    claim = Claim("C0", "here", "it works", "e", (Published("a", 0.5),), measures.test_accuracy, why="no data")
    (row,) = compare(claim, None)
    assert (row.ours, row.verdict, row.why) == ("not run", UNJUDGED, "no data")


def test_all_25_claims_are_there_and_name_what_their_experiment_measures():
    assert list(CLAIMS) == [f"C{number}" for number in range(1, 26)]
    for claim in CLAIMS.values():
        labels = {configuration.label for configuration in EXPERIMENTS[claim.experiment].configurations}
        if claim.measure is measures.band_width:
            labels = {"without BN", "with BN"}
        for check in claim.checks:
            named = check.names if isinstance(check, Alike) else (check.name,) if isinstance(check, Published) else (check.higher, check.lower)
            assert set(named) <= labels, (claim.id, named)


def test_the_table_has_every_claim_and_follows_the_records(tmp_path):
    empty = table(CLAIMS.values(), tmp_path)
    assert list(dict.fromkeys(empty.index)) == list(CLAIMS) and set(empty["verdict"]) == {UNJUDGED}
    assert len(rows(chosen_claims("C24"))) == 1 and rows(chosen_claims("C24"))[0].ours != "not run"
    assert {claim.id for claim in chosen_claims("degradation")} == {"C24"}
    with pytest.raises(ValueError, match="no claim or experiment 'C99'"):
        chosen_claims("C99")


def test_measures_by_hand():
    runs = recorded(a=[0.9, 0.8])
    assert measures.test_accuracy(runs) == {"a": [0.9, 0.8]}
    assert measures.train_error(runs)["a"] == pytest.approx([0.3, 0.3])
    assert measures.early_accuracy(runs)["a"] == [0.1, 0.1]
    assert measures.overfitting(runs)["a"] == pytest.approx([0.3, 0.3])


def test_band_width_is_taken_over_the_published_rates_for_each_seed():
    def run(label, seed, losses):
        return {"configuration": {"label": label}, "seed": seed, "history": {"step_loss": losses}}

    rates = ("0.0001", "0.0005", "0.001", "0.002")
    runs = [run(f"plain-{rate}", seed, [2.0, 1.0 + i]) for i, rate in enumerate(rates) for seed in (0, 1)]
    runs += [run("plain-0.01", 0, [99.0, 99.0])]
    assert measures.band_width(Results("e", "quick", tuple(runs))) == {"without BN": [1.5, 1.5]}
