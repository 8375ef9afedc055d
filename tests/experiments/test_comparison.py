"""The claims page shows what the records say, and nothing else."""

import pytest

from utils.experiments.__main__ import main
from utils.experiments.catalogue.claims import CLAIMS, LABELS
from utils.experiments.claims import UNJUDGED
from utils.experiments.comparison import PAGE, chosen_claims, page, page_tables, recorded, rows, table


def test_the_page_is_what_the_records_say():
    text = PAGE.read_text(encoding="utf-8")
    assert page(text) == text, "run: python -m utils.experiments compare --write"


def test_every_claim_has_its_line():
    lines = page_tables().splitlines()
    for name in CLAIMS:
        assert sum(line.startswith(f"| **{name}** |") for line in lines) == 1


def test_what_the_prose_says_of_all_runs_is_so():
    text = " ".join(PAGE.read_text(encoding="utf-8").split())
    assert "(in the profile quick, 5,000 of the 10,000)" in text and "names the processor" in text
    for claim in CLAIMS.values():
        found = recorded(claim)
        for run in found.runs if found else ():
            said = (claim.id, run["configuration"]["label"], run["dataset"]["test"], run["device"])
            assert run["dataset"]["test"] == (5_000 if found.profile == "quick" else 10_000), said
            assert run["device"], said


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
    empty = table(CLAIMS.values(), tmp_path)
    assert list(dict.fromkeys(empty.index)) == list(CLAIMS) and set(empty["verdict"]) == {UNJUDGED}
    assert len(rows(chosen_claims("C24"))) == 1 and rows(chosen_claims("C24"))[0].ours != "not run"
    assert {claim.id for claim in chosen_claims("degradation")} == {"C24"}
    with pytest.raises(ValueError, match="no claim or experiment 'C99'"):
        chosen_claims("C99")


def test_orders_of_schedules_that_the_source_mistimed_are_not_judged():
    published = [row for row in rows(chosen_claims("C11")) if "above" in row.what and "/" in row.published]
    told = [row.what.removeprefix("schedules: ") for row in published]
    assert told == ["restarts above warmup-cosine", "warmup-cosine above step"]
    for row in published:
        assert row.verdict == UNJUDGED and not row.difference and "counted batches" in row.why
