"""What bfloat16 costs: pairs by seed, the verdict on half a point, and the table of the page."""

import pytest

from utils.experiments import records
from utils.experiments.catalogue.precision import precisions
from utils.experiments.differences import Difference
from utils.experiments.precisions import BEYOND, PAGE, UNSETTLED, WITHIN, page, pairs, table, verdict

LENET = precisions()[0]


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """A function that puts the test accuracy of a run, or None where it diverged, into a folder."""
    accuracies = {}

    def put(label, seed, accuracy):
        path = records.path_of(LENET.id, label, seed, "full", tmp_path)
        path.parent.mkdir(exist_ok=True)
        path.touch()
        accuracies[path] = {"result": None if accuracy is None else {"test_accuracy": accuracy}}

    monkeypatch.setattr(records, "read", accuracies.__getitem__)
    return put


def put_pairs(recorded, losses, bfloat16=0.6):
    for seed, loss in enumerate(losses):
        recorded("lenet-float32", seed, bfloat16 + loss)
        recorded("lenet-bfloat16", seed, bfloat16)


def test_the_page_is_what_the_records_say():
    text = PAGE.read_text(encoding="utf-8")
    assert page(text) == text, "run: python -m utils.experiments compare --write"


def test_a_pair_counts_once_both_runs_are_there(tmp_path, recorded):
    recorded("lenet-float32", 0, 0.61)
    assert pairs(LENET, tmp_path) == {}
    recorded("lenet-bfloat16", 0, 0.6)
    recorded("lenet-bfloat16", 3, 0.5)
    assert pairs(LENET, tmp_path) == {0: (0.61, 0.6)}


@pytest.mark.parametrize(
    ("interval", "n", "told"),
    [
        ((-0.0049, 0.001), 5, WITHIN),
        ((0.001, 0.01), 5, WITHIN),
        ((-0.02, -0.006), 5, BEYOND),
        ((-0.005, 0.001), 5, UNSETTLED),
        ((-0.02, 0.02), 40, UNSETTLED),
        ((-0.001, 0.001), 4, UNSETTLED),
        (None, 1, UNSETTLED),
    ],
)
def test_the_verdict_is_on_half_a_point(interval, n, told):
    assert verdict(Difference(0.0, interval, n, paired=True)) == told


def test_the_line_of_five_pairs(tmp_path, recorded):
    # losses of .1 to .3 points: mean .2, deviation .0791, times 2.776 / √5 = .098
    put_pairs(recorded, (0.001, 0.0015, 0.002, 0.0025, 0.003))
    line = next(line for line in table(tmp_path).splitlines() if line.startswith("| LeNet"))
    cells = [cell.strip().replace("\N{NO-BREAK SPACE}", " ") for cell in line.strip("|").split("|")]
    assert cells[3] == "−0.20 points, −0.30 to −0.10"
    assert cells[4] == WITHIN, "and none of the five is missing"
    assert cells[2].startswith("60.00 ± 0.00") and cells[1].startswith("60.20 ± 0.08")


def test_a_run_that_diverged_is_told_and_not_averaged(tmp_path, recorded):
    put_pairs(recorded, (0.001, 0.002))
    recorded("lenet-bfloat16", 1, None)
    line = next(line for line in table(tmp_path).splitlines() if line.startswith("| LeNet"))
    assert "seed 1 diverged in bfloat16" in line and "−0.10 points |" in line and UNSETTLED in line


def test_without_records_all_pairs_are_due(tmp_path):
    lines = table(tmp_path).splitlines()[2:]
    assert len(lines) == len(precisions()) and all("not run" in line and "due: " in line for line in lines)
    assert page(PAGE.read_text(encoding="utf-8"), tmp_path).count("not run") == 2 * len(lines)
