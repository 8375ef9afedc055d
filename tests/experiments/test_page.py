"""The claims page shows what the records say, and nothing else."""

import pytest

from utils.experiments import page
from utils.experiments.catalogue.claims import CLAIMS
from utils.experiments.comparison import recorded


def test_the_page_is_what_the_records_say():
    text = page.PAGE.read_text(encoding="utf-8")
    assert page.written(text) == text, "run: python -m utils.experiments compare --write"


def test_every_claim_has_its_line():
    lines = page.tables().splitlines()
    for name in CLAIMS:
        assert sum(line.startswith(f"| **{name}** |") for line in lines) == 1


def test_what_the_prose_says_of_all_runs_is_so():
    text = " ".join(page.PAGE.read_text(encoding="utf-8").split())
    assert "All runs were made on CPUs" in text and "The test images (5,000 of the 10,000)" in text
    runs = [run for claim in CLAIMS.values() if (found := recorded(claim)) is not None for run in found.runs]
    assert {run["dataset"]["test"] for run in runs} == {5_000}
    assert all(run["device"].startswith("cpu") and "JPEG" in run["dataset"]["title"] for run in runs)


def test_another_record_changes_the_page(tmp_path):
    text = page.PAGE.read_text(encoding="utf-8")
    assert page.written(text, tmp_path) != text and "not run" in page.written(text, tmp_path)


def test_a_page_without_marks_is_refused():
    with pytest.raises(ValueError, match="needs <!-- claims --> and <!-- /claims -->, once each"):
        page.written("nothing")
