"""The weekly run: which labs failed and why, what is newer, and one issue that tells it."""

import json
import os
import sys
from pathlib import Path

import pytest

from utils.publishing import weekly
from utils.publishing.suite import STEPS
from utils.publishing.weekly import Failure, changed_versions, failures, report, run_weekly, write_issue

COLORED = (
    "#x1B[91mNotebook cell execution failed#x1B[0m\n\n#x1B[31mZeroDivisionError#x1B[39m: division by zero\n"
)
XML = f"""<?xml version="1.0"?><testsuites><testsuite>
<testcase classname="labs.05_ok.ipynb" name="Cell 0" time="1"/>
<testcase classname="labs.04_resnet.ipynb" name="Cell 3"><failure message="x">{COLORED}</failure></testcase>
<testcase classname="labs.04_resnet.ipynb" name="Cell 4"><failure message="x">NameError</failure></testcase>
<testcase classname="labs.09_choices.ipynb" name="Cell 2"><skipped message="x"/></testcase>
<testcase classname="" name="labs.07_norm.ipynb"><error message="x">no kernel</error></testcase>
</testsuite></testsuites>"""


def test_the_first_failure_of_each_lab_is_told_with_its_last_lines():
    assert failures(XML) == [
        Failure(
            "04_resnet.ipynb, Cell 3",
            ("Notebook cell execution failed", "ZeroDivisionError: division by zero"),
        ),
        Failure("07_norm.ipynb, labs.07_norm.ipynb", ("no kernel",)),
    ]
    long = "\n".join(f"line {n}" for n in range(100))
    cases = f'<testsuite><testcase classname="labs.01_a.ipynb" name="Cell 1"><failure>{long}</failure>'
    (one,) = failures(f"{cases}</testcase></testsuite>")
    assert one.lines == tuple(f"line {n}" for n in range(85, 100))


def test_the_labs_are_run_as_make_test_runs_them():
    step = STEPS["labs, every cell"]
    assert weekly.LABS[weekly.LABS.index("--nbval-lax") :] == step[step.index("--nbval-lax") :]
    assert weekly.LABS[:3] == step[1:4] == ["-m", "pytest", "-q"]


def test_other_versions_than_those_that_are_known_to_work():
    known = "# exact\ntorch==2.15.0\nnumpy==2.4.6\nJupyter_Core==5.9.1\nabsent==1.0\n"
    installed = "numpy==2.5.0\njupyter-core==5.9.1\ntorch==2.15.0+cpu\nnew==3\n"
    assert changed_versions(known, installed) == ["numpy 2.4.6 → 2.5.0"]  # +cpu is a build
    assert changed_versions(known, known) == []


def test_the_report_fences_what_a_log_may_hold_and_stays_within_the_size_of_an_issue():
    one = Failure("04_resnet.ipynb, Cell 3", ("````", "ValueError"))
    run = {"GITHUB_RUN_ID": "7", "GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "me/course"}
    text = report([one], ["numpy 2.4.6 → 2.5.0"], run)
    assert ": 04_resnet.ipynb, Cell 3.\n" in text.partition("\n\n")[0] + "\n"
    assert "Other versions than in constraints.txt: numpy 2.4.6 → 2.5.0." in text
    assert "\n`````\n````\nValueError\n`````\n" in text
    assert "https://github.com/me/course/actions/runs/7" in text
    assert "actions/runs" not in report([one], [], {})
    huge = report([Failure("01_a.ipynb, Cell 1", ("x" * 70_000,))], [], {})
    assert len(huge) < 65_536 and huge.endswith("(cut)\n")


@pytest.fixture
def gh(tmp_path, monkeypatch):
    """A command gh that notes what it is asked and knows the issues that a test gives it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "gh"
    program.write_text(
        f"#!{sys.executable}\n"
        "import json, os, pathlib, sys\n"
        "here = pathlib.Path(__file__).parent\n"
        "with open(here / 'asked', 'a') as file: file.write(json.dumps(sys.argv[1:]) + '\\n')\n"
        "if (here / 'broken').exists(): sys.exit('HTTP 403: Resource not accessible')\n"
        "issues = here / 'issues'\n"
        "print(issues.read_text() if sys.argv[2] == 'list' else 'https://github.com/me/course/issues/9')\n"
    )
    program.chmod(0o755)
    (folder / "issues").write_text("[]")
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def asked(gh):

    return [json.loads(line) for line in (gh / "asked").read_text().splitlines()]


@pytest.mark.skipif(os.name == "nt", reason="a script stands in for gh")
def test_there_is_one_issue_and_later_weeks_are_comments_on_it(gh, tmp_path):
    text = tmp_path / "_build" / "weekly" / "report.md"
    with pytest.raises(RuntimeError, match="there is no report"):
        write_issue(tmp_path)
    text.parent.mkdir(parents=True)
    text.write_text("why")
    assert write_issue(tmp_path) == "https://github.com/me/course/issues/9"
    assert asked(gh)[-1] == ["issue", "create", "--title", weekly.TITLE, "--body-file", str(text)]
    # the search finds words; only the very title counts
    (gh / "issues").write_text(f'[{{"number": 4, "title": "{weekly.TITLE}?"}}]')
    write_issue(tmp_path)
    assert asked(gh)[-1][:2] == ["issue", "create"]
    (gh / "issues").write_text(f'[{{"number": 4, "title": "x"}}, {{"number": 9, "title": "{weekly.TITLE}"}}]')
    write_issue(tmp_path)
    assert asked(gh)[-1] == ["issue", "comment", "9", "--body-file", str(text)]
    (gh / "broken").touch()
    with pytest.raises(RuntimeError, match="gh issue list failed: HTTP 403"):
        write_issue(tmp_path)


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """A project whose labs a script stands in for; ``fake.write_text`` says what it does."""
    (tmp_path / "constraints.txt").write_text("numpy==2.4.6\n")
    monkeypatch.setattr(weekly, "_installed", lambda folder, root: [])
    script = tmp_path / "python"
    monkeypatch.setattr(weekly, "_python", lambda folder: script)

    def write(*lines):
        script.write_text("\n".join([f"#!{sys.executable}", "import os, sys", *lines]) + "\n")
        script.chmod(0o755)

    return tmp_path, write


FREEZE = "if 'freeze' in sys.argv: print('numpy==2.5.0'); sys.exit()"
WRITE = f"open(next(a for a in sys.argv if 'xml' in a).partition('=')[2], 'w').write({XML!r})"


@pytest.mark.skipif(os.name == "nt", reason="a script stands in for Python")
def test_a_week_in_which_all_pass(fake, capsys):
    root, write = fake
    write(FREEZE, "sys.exit(os.environ['CNNLAB_PROFILE'] != 'smoke')")
    assert run_weekly(root) == 0
    said = (
        "All labs pass on the newest packages. Other versions than in constraints.txt: numpy 2.4.6 → 2.5.0."
    )
    assert capsys.readouterr().out.strip() == said


@pytest.mark.skipif(os.name == "nt", reason="scripts stand in for Python and gh")
def test_a_week_in_which_a_lab_fails_ends_in_an_issue_and_a_good_one_takes_the_report_away(fake, gh):
    root, write = fake
    write(FREEZE, WRITE, "sys.exit(1)")
    assert run_weekly(root) == 1
    assert not (gh / "asked").exists()
    text = (root / "_build/weekly/report.md").read_text()
    assert "**04_resnet.ipynb, Cell 3**" in text and "ZeroDivisionError" in text and "05_ok" not in text
    assert "issues/9" in write_issue(root)
    write(FREEZE)
    assert run_weekly(root) == 0
    with pytest.raises(RuntimeError, match="there is no report"):
        write_issue(root)


@pytest.mark.skipif(os.name == "nt", reason="a script stands in for Python")
def test_labs_that_cannot_even_be_started_are_a_failure_too(fake):
    root, write = fake
    write(FREEZE, "print('no module named pytest'); sys.exit(4)")
    assert run_weekly(root) == 1
    text = (root / "_build/weekly/report.md").read_text()
    assert "the labs could not be run" in text and "no module named pytest" in text


def test_packages_that_cannot_be_installed_are_a_failure_too(tmp_path, monkeypatch):
    calls = []

    def refused(command, **options):
        calls.append(command)
        made = "venv" in command
        return weekly.subprocess.CompletedProcess(command, 0 if made else 1, "", "ERROR: no such version\n")

    monkeypatch.setattr(weekly.subprocess, "run", refused)
    (failure,) = weekly._installed(tmp_path, tmp_path)
    assert failure == Failure("the newest packages could not be installed", ("ERROR: no such version",))
    assert "-c" not in calls[1] and calls[1][-2:] == ["-r", str(Path(tmp_path) / "requirements.txt")]


def test_the_two_commands_call_the_run_and_the_issue(monkeypatch, capsys):
    monkeypatch.setattr(weekly, "run_weekly", lambda: 1)
    monkeypatch.setattr(weekly, "write_issue", lambda: "https://github.com/me/course/issues/9")
    assert weekly.main([]) == 1
    assert weekly.main(["--issue"]) == 0
    assert capsys.readouterr().out == "https://github.com/me/course/issues/9\n"
