"""The claims page shows what the records say, and nothing else."""

import pandas as pd
import pytest

from utils.experiments import records
from utils.experiments.__main__ import main
from utils.experiments.catalogue.claims import CLAIMS, LABELS
from utils.experiments.claims import DUE, UNJUDGED
from utils.experiments.comparison import (
    PAGE,
    chosen_claims,
    page,
    page_tables,
    public_copies,
    recorded,
    rows,
    waiting,
)


def test_the_page_is_what_the_records_say():
    text = PAGE.read_text(encoding="utf-8")
    assert page(text) == text, "run: python -m utils.experiments compare --write"


def test_every_claim_has_its_line():
    lines = page_tables().splitlines()
    for name in CLAIMS:
        assert sum(line.startswith(f"| **{name}** |") for line in lines) == 1


def test_what_the_prose_says_of_all_runs_is_so():
    text = " ".join(PAGE.read_text(encoding="utf-8").split())
    quick, halves = "(in the profile quick, 5,000 of the 10,000", "in C42, the 5,000 of five classes)"
    assert f"{quick}; {halves}" in text and "Every record of full size names the processor" in text
    for claim in CLAIMS.values():
        found = recorded(claim)
        for run in found.runs if found else ():
            said = (claim.id, run["configuration"]["label"], run["dataset"]["test"], run["device"])
            half = found.profile == "quick" or claim.id == "C42"
            assert run["dataset"]["test"] == (5_000 if half else 10_000), said
            assert run["device"] and (found.profile == "quick" or run["machines"]), said


def test_another_record_changes_the_page(tmp_path):
    text = PAGE.read_text(encoding="utf-8")
    assert page(text, tmp_path) != text and "not run" in page(text, tmp_path)


def test_a_source_whose_names_are_not_explained_is_named(monkeypatch):
    source = CLAIMS["C9"].source
    monkeypatch.delitem(LABELS, source)
    with pytest.raises(ValueError, match=f"does not say what the names in '{source}' mean"):
        page_tables()


def test_the_help_counts_the_claims(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    assert f"the {len(CLAIMS)} published claims" in " ".join(capsys.readouterr().out.split())


def test_a_page_without_marks_is_refused():
    with pytest.raises(ValueError, match="needs <!-- claims --> and <!-- /claims -->, once each"):
        page("nothing")


def test_the_table_has_every_claim_and_follows_the_records(tmp_path):
    empty = pd.DataFrame(map(vars, rows(CLAIMS.values(), tmp_path))).set_index("claim")
    assert list(dict.fromkeys(empty.index)) == list(CLAIMS) and set(empty["verdict"]) == {DUE, UNJUDGED}
    beyond = empty["why"].str.contains("the queue runs")  # figures of longer trainings than ours
    undecided = empty[(empty["verdict"] == UNJUDGED) & ~beyond]
    assert set(undecided.index) == {"C11", "C12", "C14", "C15", "C23"}, (
        "incomparable, or left out of the queue"
    )
    assert not set(undecided["why"]) & {"no recorded run", ""}
    assert len(rows(chosen_claims("C24"))) == 1 and rows(chosen_claims("C24"))[0].ours != "not run"
    assert {claim.id for claim in chosen_claims("degradation")} == {"C24", "C26", "C27", "C34"}
    assert {claim.id for claim in chosen_claims("transfer-5000")} == {"C42"}
    with pytest.raises(ValueError, match="no claim or experiment 'C99'"):
        chosen_claims("C99")


def test_orders_of_schedules_that_the_source_mistimed_are_not_judged():
    published = [row for row in rows(chosen_claims("C11")) if "above" in row.what and "/" in row.published]
    told = [row.what.removeprefix("schedules: ") for row in published]
    assert told == ["restarts above warmup-cosine", "warmup-cosine above step"]
    assert rows(chosen_claims("C11"))[0].why == published[0].why, "nor is the figure of such a schedule"
    for row in published:
        assert row.verdict == UNJUDGED and not row.difference and "counted batches" in row.why


def record(experiment, label, seed, folder, profile="full"):
    """A file where the record of a run would be."""
    path = records.path_of(experiment, label, seed, profile, folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}")


def test_a_check_waits_for_the_runs_of_the_order_that_have_no_record(tmp_path):
    claim = CLAIMS["C6"]
    alone, order = claim.checks[0], claim.checks[2]
    found = waiting(claim, alone, tmp_path)
    assert (found.runs, set(found.epochs)) == (3, {20})
    # each run takes 0.7252 hours: see the estimate by hand in test_core_hours
    assert found.hours == pytest.approx(3 * 0.7252, abs=0.01)
    assert waiting(claim, order, tmp_path).runs == 6
    record("vgg-batchnorm", "plain-0.0005", 1, tmp_path)
    record("vgg-batchnorm", "plain-0.0005", 2, tmp_path, "quick")
    assert waiting(claim, alone, tmp_path).runs == 2
    bands = CLAIMS["C8"]
    assert waiting(bands, bands.checks[0], tmp_path).runs == 4 * 3 - 1, "a band is over all rates"


def test_a_check_waits_for_each_number_of_images_and_says_what_is_left_out(tmp_path):
    claim = CLAIMS["C43"]
    first, leads = claim.checks
    assert waiting(claim, first, tmp_path).runs == 2 * 3
    assert waiting(claim, leads, tmp_path).runs == 2 * 3 * 2
    assert set(waiting(claim, leads, tmp_path).epochs) == {400, 60}, "the fewest and the most images"
    claim = CLAIMS["C14"]
    found = waiting(claim, claim.checks[2], tmp_path)
    assert found.runs == 0 and "ten hours" in found.left_out
    claim = CLAIMS["C15"]
    assert waiting(claim, claim.checks[0], tmp_path).text() == ""


def test_the_page_says_where_in_the_source_a_claim_stands():
    (line,) = [line for line in page_tables().splitlines() if line.startswith("- **C28**: ")]
    assert line.endswith("(arXiv:1603.05027, table 2)")


def test_on_a_terminal_each_comparison_stands_under_its_claim(capsys):
    assert main(["compare", "C28"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("C28  the place of BN and ReLU") and max(map(len, lines)) <= 100
    said = " ".join(" ".join(lines).split())
    assert "(arXiv:1603.05027, table 2)" in said
    assert "full-preact above original: " in said and "published 93.63 % / 93.39 %; ours " in said


def test_what_public_repositories_measured_stands_beside_ours(tmp_path):
    lines = public_copies(tmp_path).splitlines()[2:]
    assert len(lines) == 8
    cells = [cell.strip() for cell in lines[5].strip("|").split("|")]
    # the medians that the table of C7 also tells, and no run of ours in this folder
    assert cells == ["0.001", "yes", "7", "82.90 %", "87.01 %", "7 of 7", "due", "due"]
    for claim, rate in (("C6", "0.0005"), ("C7", "0.001")):
        (remark,) = [check.remark for check in CLAIMS[claim].checks if getattr(check, "remark", "")]
        (row,) = [line for line in lines if line.startswith(f"| {rate} | yes |")]
        copies, without, with_it = [cell.strip() for cell in row.split("|")][3:6]
        assert f"{with_it} with and {without} without ({copies} copies)" in remark
