"""``make test``: what it shows of steps that pass, fail or are skipped, and its exit status."""

import json
import re
import sys

import pytest

from utils.publishing import suite
from utils.publishing.suite import Outcome, run_suite, summary

PYTEST = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider"]
CLOSING = re.compile(r"(?m)^\d+ (?:passed|failed|skipped)\b.* in [\d.]+s")
TESTS = {
    "good": "def test_one(): pass\ndef test_two(): pass\n",
    "bad": "def test_bad():\n    width = 7\n    assert width == 8, 'the reason'\n",
    "left_out": "import pytest\ndef test_page(): pytest.skip('no browser here')\n",
}


@pytest.fixture
def step(tmp_path):
    """The command of a step that runs one of the files above."""
    for name, text in TESTS.items():
        (tmp_path / f"test_{name}.py").write_text(text, encoding="utf-8")
    return lambda *names: [*PYTEST, *(f"test_{name}.py" for name in names)]


@pytest.fixture(autouse=True)
def everything_is_here(monkeypatch):
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # they take longer than these tests
    monkeypatch.setattr(suite, "chromium", lambda: "/usr/bin/chromium")
    monkeypatch.setattr(suite.nbgrader, "installed", lambda: "/usr/bin/nbgrader")


def test_steps_that_pass_are_a_line_each_and_pytests_own_count(tmp_path, step, capsys):
    quiet = [sys.executable, "-c", "print('chatter'); print('5 passed by')"]
    assert run_suite(tmp_path, {"units": step("good"), "layout": quiet}) == 0
    out = capsys.readouterr().out
    assert re.search(r"(?m)^1/2  units \(about .*\) \.{10} passed in \d+ s\n2 passed in [\d.]+s", out)
    assert re.search(r"(?m)^2/2  layout \(about .*\)  passed in", out)
    assert "chatter" not in out and len(CLOSING.findall(out)) == 1
    assert re.search(r"(?m)^passed +\d+ s  units$", out)
    assert "chatter" in (tmp_path / "_build/logs/test-2.log").read_text(encoding="utf-8")


def test_a_step_that_fails_shows_all_it_said_and_the_others_still_run(tmp_path, step, capsys):
    assert run_suite(tmp_path, {"units": step("good", "bad"), "more": step("good")}) == 1
    out = capsys.readouterr().out
    assert "=== units: FAILED, exit status 1" in out and "AssertionError: the reason" in out
    assert "width = 7" in out and re.search(r"(?m)^1 failed, 2 passed in", out)
    assert re.search(r"(?m)^FAILED +\d+ s  units$", out) and re.search(r"(?m)^passed +\d+ s  more$", out)
    assert len(CLOSING.findall(out)) == 2
    kept = json.loads((tmp_path / "_build/logs/seconds.json").read_text(encoding="utf-8"))
    assert set(kept) == {"more"}, "a step that failed says nothing of how long it takes"


def test_a_step_without_a_test_is_not_called_passed(tmp_path, step, capsys):
    assert run_suite(tmp_path, {"pages": step("left_out"), "units": step("left_out", "good")}) == 0
    out = capsys.readouterr().out
    told = out[out.index("=== summary") :].splitlines()
    assert re.fullmatch(r"SKIPPED +\d+ s  pages", told[1]) and told[2].strip() == "1 skipped: no browser here"
    assert re.fullmatch(r"passed +\d+ s  units", told[3]) and told[4].strip() == "1 skipped: no browser here"
    assert "1/2  pages" in out and "SKIPPED in" in out


def test_without_a_browser_one_line_says_so_before_the_first_step_and_after_the_last(
    tmp_path, step, capsys, monkeypatch
):
    monkeypatch.setattr(suite, "chromium", lambda: None)
    monkeypatch.setattr(suite.nbgrader, "installed", lambda: None)
    run_suite(tmp_path, {"units": step("good")})
    before, _, after = capsys.readouterr().out.partition("1/1  units")
    assert "Chromium was not found: the explorers and the built pages will NOT be tested" in before
    assert "Chromium was not found: the explorers and the built pages were NOT tested" in after
    assert "NO lab will be graded" in before and "NO lab was graded" in after


@pytest.mark.parametrize(
    ("said", "closing", "word"),
    [
        (
            "x\n5894 passed, 3 warnings in 190.05s (0:03:10)\n",
            "5894 passed, 3 warnings in 190.05s (0:03:10)",
            "",
        ),
        ("=== 239 skipped in 3.10s ===\n", "239 skipped in 3.10s", "SKIPPED"),
        ("1 passed, 253 skipped in 7.69s", "1 passed, 253 skipped in 7.69s", "passed"),
        ("7 deselected in 0.1s", "7 deselected in 0.1s", "passed"),
        ("All checks passed!", "", "passed"),
    ],
)
def test_the_last_line_of_pytest_is_found(said, closing, word):
    outcome = Outcome("a", 0, 1.0, said)
    assert outcome.closing == closing and outcome.word == (word or "passed")
    assert Outcome("a", 1, 1.0, said).word == "FAILED"


def test_reasons_are_counted_over_files_and_workers():
    said = (
        "SKIPPED [41] tests/conftest.py:22: Chromium was not found (Debian: apt install chromium)\n"
        "SKIPPED [2] tests/other.py:7: Chromium was not found (Debian: apt install chromium)\n"
        "SKIPPED [1] tests/labs/test_a.py: needs the history\n"
    )
    lines = summary([Outcome("units", 0, 60.0, said + "9 passed, 44 skipped in 1.0s")])
    assert [line.strip() for line in lines[1:3]] == [
        "43 skipped: Chromium was not found (Debian: apt install chromium)",
        "1 skipped: needs the history",
    ]


@pytest.mark.parametrize("marker", ["book", "notebooks", "experiments"])
def test_marked_tests_are_run_by_a_step_wherever_they_stand(marker):
    runs = [command for command in suite.STEPS.values() if "pytest" in command and marker in command]
    (folders,) = [command[command.index(marker) + 1 :] for command in runs]
    mark = re.compile(rf"pytest\.mark\.{marker}\b|pytestmark = .*\b{marker}\b")
    tests = [path for path in (suite.ROOT / "tests").rglob("test_*.py") if path.name != "test_suite.py"]
    marked = {path for path in tests if mark.search(path.read_text(encoding="utf-8"))}
    assert marked
    left_out = [path for path in marked if not any(suite.ROOT / each in path.parents for each in folders)]
    assert left_out == []
