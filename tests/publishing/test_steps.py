"""What a command tells while it works: one line for each step, and everything else in a log."""

import json
import re
import sys

import pytest

from utils.publishing.steps import LOGS, Step, Steps, duration, last_lines, percentage, run_logged

PYTHON = [sys.executable, "-c"]
TWO = [Step("first", "do the first thing", 60, units=2), Step("second", "do the second", 30)]


def test_a_step_is_one_line_with_its_time_and_the_time_to_the_end(tmp_path, capsys):
    steps = Steps(TWO, tmp_path)
    with steps.take("first") as progress:
        for done in (0.05, 0.1, 0.55, 0.5, 1.0, 1.0):
            progress.share(done)
    with steps.take("second") as progress:
        progress.result = "passed"
    first, second = capsys.readouterr().out.splitlines()
    # 2 · 60 s = 2 min for the first, and 30 s for the second
    assert first == "1/2  do the first thing (about 2.0 min, 2.5 min to the end) .......... 0 s"
    assert second == "2/2  do the second (about 30 s)  passed in 0 s"


def test_what_a_step_took_here_is_told_the_next_time(tmp_path, capsys):
    kept = tmp_path / LOGS / "seconds.json"
    kept.parent.mkdir(parents=True)
    kept.write_text('{"second": 240.0, "of another command": 7.0}', encoding="utf-8")
    with Steps(TWO, tmp_path).take("second"):
        pass
    assert "(about 4.0 min)" in capsys.readouterr().out
    seconds = json.loads(kept.read_text(encoding="utf-8"))
    assert seconds["second"] < 5 and seconds["of another command"] == 7.0


@pytest.mark.parametrize("content", ["", "{", "[1]"])
def test_a_damaged_file_of_times_does_no_harm(tmp_path, content):
    (tmp_path / LOGS).mkdir(parents=True)
    (tmp_path / LOGS / "seconds.json").write_text(content, encoding="utf-8")
    assert Steps(TWO, tmp_path).expected(TWO[0]) == 120


def test_a_step_that_breaks_off_closes_its_line_and_keeps_no_time(tmp_path, capsys):
    with pytest.raises(RuntimeError, match="broken"), Steps(TWO, tmp_path).take("first") as progress:
        progress.share(0.2)
        progress.say("lab 3 failed")
        progress.share(0.9)
        raise RuntimeError("broken")
    line, said, end = capsys.readouterr().out.splitlines()
    assert line.endswith(" ..") and said == "     lab 3 failed" and end.strip() == "not done in 0 s"
    assert not (tmp_path / LOGS / "seconds.json").exists()


def test_an_unknown_step_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no step 'third'; there are first, second"):
        Steps(TWO, tmp_path).take("third").__enter__()


@pytest.mark.parametrize(
    ("seconds", "told"), [(0.4, "0 s"), (89, "89 s"), (90, "1.5 min"), (569, "9.5 min"), (900, "15 min")]
)
def test_durations_as_a_person_says_them(seconds, told):
    assert duration(seconds) == told


def test_a_command_speaks_into_its_log_in_one_encoding_and_without_colors(tmp_path, capfd, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "cp1252")
    log = tmp_path / "new folder" / "a.log"
    script = "import sys; print('\\x1b[31m5 ≤ 6\\x1b[0m [ 40%]'); print('ä', file=sys.stderr); sys.exit(3)"
    assert run_logged([*PYTHON, script], log) == 3
    assert sorted(log.read_text(encoding="utf-8").splitlines()) == ["5 ≤ 6 [ 40%]", "ä"]
    assert "".join(capfd.readouterr()) == ""


def test_progress_is_read_from_what_a_command_says(tmp_path, capsys):
    steps = Steps(TWO, tmp_path)
    script = "print('..... [ 50%]'); print('no more [x]')"
    with steps.take("second") as progress:
        run_logged([*PYTHON, script], tmp_path / "log", progress=progress)
    with steps.take("second") as progress:
        run_logged([*PYTHON, script], tmp_path / "log", progress=progress, share_of=lambda line: 0.3)
    assert [re.search(r"\) (\.*) ", line)[1] for line in capsys.readouterr().out.splitlines()] == [
        "." * 5,
        "." * 3,
    ]


@pytest.mark.parametrize(
    ("line", "share"),
    [("....F.. [ 12%]", 0.12), ("reading sources... [100%] labs/a", 1.0), ("100%", None), ("[x%]", None)],
)
def test_percentages_in_brackets(line, share):
    assert percentage(line) == share


def test_the_end_of_a_log_names_the_file(tmp_path):
    log = tmp_path / "log"
    log.write_text("one\n\ntwo\n  three  \n", encoding="utf-8")
    assert last_lines(log, most=2) == f"The last lines of {log}:\n  two\n    three"
    assert last_lines(tmp_path / "none") == f"The last lines of {tmp_path / 'none'}:"
