"""The tables of the page "Status": counted by hand on a small lab, and made anew when a file has changed."""

import json
import os
import sys

import nbformat
import pytest

from tests.publishing.student_root import code, text
from utils.course.badge import Badge
from utils.experiments import records
from utils.experiments.catalogue import EXPERIMENTS
from utils.experiments.catalogue.order import ORDER, runs_of
from utils.publishing import status
from utils.publishing.contents import cards
from utils.publishing.notebooks import ROOT, labs
from utils.publishing.status import Counts, LastRun, counts, filled, last_runs, run_of, state_of_inputs, table

v4 = nbformat.v4
PAGE = (ROOT / "book" / "status.md").read_text(encoding="utf-8")


def cells_of(markdown):
    """The rows of the first table in a text, as lists of cells."""
    rows = [line.strip("| ").split(" | ") for line in markdown.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows]


def executed(
    seconds=12.4,
    ended="2026-11-30",
    profile="smoke",
    versions="Python 3.11.7, torch 2.15.0",
    recorded="bands: a · b",
):
    badge = Badge(profile, "CPU, 2 cores", versions)
    badge.data("CIFAR-10 (JPEG copy)")
    badge.fallbacks.append("shapes instead of cifar10")
    if seconds is not None:
        badge.finish(seconds, ended)
    if recorded:
        badge.recorded(recorded, "bands")
    cells = [text("A lab"), code("start_lab('01_test')"), code("lab.finish()")]
    cells[1].outputs = [v4.new_output("display_data", data={"text/html": badge.html()})]
    return v4.new_notebook(cells=cells)


def keep(root, name, notebook, at):
    path = root / "_build" / "executed" / "01_test" / f"{name}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    os.utime(path, (at, at))


def test_a_run_is_known_whether_its_page_shows_records_or_not():
    with_records, without = run_of(executed()), run_of(executed(recorded=""))
    assert with_records == without and (without.date, without.seconds) == ("2026-11-30", 12)


def test_words_exercises_and_explorers_of_core_and_optional_sections():
    cells = [
        text("# Lab 1\nTwo words"),  # 4
        text("## By hand\nOne two three."),  # 5
        code("def f(x):\n    return x", "solution"),
        code("relu_explorer(1)\nseen = seed_viewer(2)"),
        text("## Farther *(optional)*\nOne two.\n## Pitfalls\nNone."),  # 4 optional, then 2
        text("<!-- answers: try this -->\n- Not for readers", "answer", "remove-cell"),
        text("## More (optional)\n$x + y$ is one"),  # 2 + 1 + 2
        code("def g(x):\n    return x", "solution"),
        code("def h(x):\n    return x", "solution"),
    ]
    assert counts(v4.new_notebook(cells=cells)) == Counts(11, 9, 1, 2, 2)


def test_a_run_is_told_as_the_badge_of_its_page_tells_it():
    data = "CIFAR-10 (JPEG copy) (shapes instead of cifar10)"
    told = LastRun("smoke", "2026-11-30", 12, "Python 3.11.7, torch 2.15.0", data)
    assert run_of(executed()) == told
    assert run_of(executed(seconds=None)) is None  # it did not come to its end
    assert run_of(executed(ended="")) is None  # nobody knows when
    assert run_of(v4.new_notebook(cells=[text("no lab")])) is None


def test_the_last_run_in_each_profile(tmp_path):
    assert last_runs("01_test", tmp_path) == {}
    keep(tmp_path, "a", executed(ended="2026-11-28"), 3)
    keep(tmp_path, "b", executed(ended="2026-11-29", seconds=5), 1)
    keep(tmp_path, "c", executed(ended="2026-11-27", profile="quick", versions="torch <3>"), 2)
    keep(tmp_path, "d", executed(seconds=None), 4)
    found = last_runs("01_test", tmp_path)
    assert {profile: (run.date, run.seconds) for profile, run in found.items()} == {
        "smoke": ("2026-11-29", 5),
        "quick": ("2026-11-27", 12),
    }
    assert found["quick"].versions == "torch <3>"


def test_every_place_of_the_page_is_filled_and_every_table_has_a_place():
    assert status.PLACE.findall(PAGE) == list(status.TABLES)
    with pytest.raises(ValueError, match="no table 'nothing', only labs, runs, measurements"):
        filled("<!-- status: nothing -->\n")


def test_a_cell_does_not_end_at_a_bar():
    assert table(("a", "b"), [("1|2", "3")]) == "| a | b |\n| --- | --- |\n| 1\\|2 | 3 |"


def test_every_lab_has_a_line_with_what_its_metadata_promise():
    rows = cells_of(status.table_of_labs(ROOT))[2:]
    assert [row[:2] for row in rows] == [[card.link, str(card.minutes)] for card in cards()]
    assert len(cells_of(status.table_of_runs(ROOT))) == 2 + len(labs())


def test_what_is_recorded_and_due_is_what_lies_in_the_results(tmp_path):
    """Counted once more, from the files alone."""
    order = runs_of(ORDER, EXPERIMENTS)
    due = [
        run
        for run in order
        if not (
            records.RESULTS
            / run.experiment.id
            / f"{run.configuration.label}-seed{run.seed}-{run.profile}.json"
        ).is_file()
    ]
    rows = cells_of(status.table_of_queue(ROOT))[2:]
    assert rows[-1][2:4] == [str(len(order) - len(due)), str(len(due))]
    assert sum(int(row[3]) for row in rows[:-1]) == len(due)
    by_name = {row[0].strip("`"): row for row in cells_of(status.table_of_experiments(ROOT))[2:]}
    for name in ("degradation", "lenet-fashion-mnist"):
        files = [path.name for path in (records.RESULTS / name).glob("*.json")]
        largest = "full" if any(name.endswith("-full.json") for name in files) else "quick"
        n = len([name for name in files if name.endswith(f"-{largest}.json")])
        assert by_name[name][1] == f"{n} runs ({largest})"
    owed = {name for name in by_name if int(by_name[name][6])}
    assert owed == {run.experiment.id for run in due}


def test_a_run_that_is_recorded_is_no_longer_due(tmp_path, monkeypatch):
    first = runs_of(ORDER, EXPERIMENTS)[0]
    empty = cells_of(status.table_of_queue(tmp_path))
    path = tmp_path / "book" / "results" / first.experiment.id
    path.mkdir(parents=True)
    name = records.name_of(first.configuration.label, first.seed, first.profile)
    record = {
        "profile": first.profile,
        "dataset": {"title": "CIFAR-10"},
        "started": "2026-11-30T01:00:00+00:00",
        "commit": "e" * 40,
        "versions": {"torch": "2.15.0+cu132"},
    }
    (path / name).write_text(json.dumps(record))
    rows = cells_of(status.table_of_queue(tmp_path))
    assert (empty[2][2], rows[2][2]) == ("0", "1")
    assert int(empty[-1][3]) - int(rows[-1][3]) == 1
    line = next(
        row for row in cells_of(status.table_of_experiments(tmp_path)) if row[0] == f"`{first.experiment.id}`"
    )
    assert line[1:6] == ["1 run (full)", "CIFAR-10", "2026-11-30", "2.15.0", "eeeeeee"]


def test_hours_that_are_not_known_are_said_to_be():
    assert status._hours([], 0) == "0"
    assert status._hours([1.5, 2.25], 2) == "3.8"
    assert status._hours([1234.4], 1) == "1,234"
    assert status._hours([1.5], 3) == "1.5, 2 runs not estimated"
    assert status._hours([], 3) == "3 runs not estimated"


@pytest.mark.parametrize(
    "name",
    [
        "labs/01_test.ipynb",
        "book/results/bands/a.json",
        "book/results/labs/01_test.json",
        "utils/experiments/catalogue/order.py",
        "_build/executed/01_test/key.ipynb",
    ],
)
def test_the_page_is_made_anew_when_a_file_behind_it_comes_changes_or_goes(name, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "book" / "extensions")
    import status_page

    monkeypatch.setattr(status_page, "ROOT", tmp_path)

    class Environment:
        found_docs = {"book/status", "book/intro"}

    environment = Environment()

    def outdated():
        return status_page.outdated(None, environment, set(), set(), set())

    path = tmp_path / name
    path.parent.mkdir(parents=True)
    assert outdated() == ["book/status"] and outdated() == []
    path.write_text("one")
    assert outdated() == ["book/status"] and outdated() == []
    path.write_text("two!")
    assert outdated() == ["book/status"] and outdated() == []
    before = state_of_inputs(tmp_path)
    path.unlink()
    assert state_of_inputs(tmp_path) != before and outdated() == ["book/status"]
    sys.modules.pop("status_page")
