"""The workflows are thin: what they do is a target of the Makefile, and is tested as such."""

import re
import shutil
import subprocess

import pytest
import yaml

from utils.publishing.notebooks import ROOT

FOLDER = ROOT / ".github" / "workflows"
NAMES = ("pages", "students", "weekly")
# of the expressions in the files
VALUES = {"VERSION": "v1.2", "STUDENT_REPOSITORY": "me/course-students", "NBGRADER": "1"}
COMMANDS = {
    "book": "utils.publishing book --profile smoke",
    "publish-site": 'utils.publishing publish-site --version "v1.2"',
    "publish-student": 'utils.publishing publish-student --url "me/course-students"  --nbgrader',
    "weekly": "utils.publishing.weekly",
    "weekly-issue": "utils.publishing.weekly --issue",
}


def loaded(name):
    return yaml.safe_load((FOLDER / f"{name}.yml").read_text(encoding="utf-8"))


def steps(name):
    return [step for job in loaded(name)["jobs"].values() for step in job["steps"]]


def targets():
    return [
        (name, step["run"].removeprefix("make "), step.get("env", {}))
        for name in NAMES
        for step in steps(name)
        if step.get("run", "").startswith("make ")
    ]


def test_there_are_no_workflows_that_these_tests_do_not_know():
    assert {path.stem for path in FOLDER.glob("*.yml")} == {*NAMES, "test"}
    assert [target for _, target, _ in targets()] == list(COMMANDS)


@pytest.mark.parametrize("name", NAMES)
def test_a_workflow_runs_make_or_says_one_line(name):
    runs = [step["run"] for step in steps(name) if "run" in step]
    assert all(re.fullmatch(r'make [\w-]+|echo "[^"$`]+"', run) for run in runs), runs


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
@pytest.mark.parametrize("target, environment", [each[1:] for each in targets()])
def test_a_target_hands_the_variables_of_the_workflow_to_the_command(target, environment, tmp_path):
    ready = tmp_path / "venv" / ".ready"
    ready.parent.mkdir()
    ready.touch()
    given = {name: value for name, value in VALUES.items() if name in environment}
    make = ["make", "--dry-run", "--no-print-directory", f"VENV={tmp_path / 'venv'}", target]
    told = subprocess.run(
        make, cwd=ROOT, env={"PATH": "/usr/bin:/bin", **given}, capture_output=True, text=True
    )
    last = told.stdout.splitlines()[-1]
    assert last.partition(" -m ")[2].strip() == COMMANDS[target].strip(), told


@pytest.mark.parametrize("name", NAMES)
def test_a_workflow_may_do_no_more_than_it_has_to(name):
    workflow = loaded(name)
    allowed = {"pages": {}, "students": {}, "weekly": {"issues": "write"}}[name]
    assert workflow["permissions"] == {"contents": "read", **allowed}
    of_jobs = {job: each["permissions"] for job, each in workflow["jobs"].items() if "permissions" in each}
    wanted = {
        "book": {"contents": "write"},
        "deploy": {"contents": "read", "pages": "write", "id-token": "write"},
    }
    assert of_jobs == (wanted if name == "pages" else {})
    for step in steps(name):
        assert step.get("uses", "actions/").startswith("actions/"), "only GitHub's own actions"
        if step.get("uses", "").startswith("actions/checkout"):
            assert step["with"]["persist-credentials"] is False
    assert all("timeout-minutes" in job for job in workflow["jobs"].values())


@pytest.mark.parametrize("name, variable", [("pages", "PUBLISH_BOOK"), ("students", "STUDENT_REPOSITORY")])
def test_what_is_not_switched_on_says_so_in_one_line(name, variable):
    jobs = loaded(name)["jobs"]
    off = jobs.pop("switched-off")
    (step,) = off["steps"]
    assert step["run"].startswith(f'echo "The variable {variable} is not ')
    on = next(iter(jobs.values()))["if"]
    assert variable in on and {off["if"], on} in (
        {f"vars.{variable} != 'yes'", f"vars.{variable} == 'yes'"},
        {f"vars.{variable} == ''", f"vars.{variable} != ''"},
    )
    page = (ROOT / "book" / "instructors.md").read_text(encoding="utf-8")
    assert f"gh variable set {variable} " in page


def test_secrets_and_tokens_reach_only_the_step_that_needs_them():
    seen = {}
    for name in NAMES:
        for step in steps(name):
            for key, value in step.get("env", {}).items():
                if re.search(r"secrets\.|github\.token", value):
                    seen[key] = step["run"]
        rest = re.sub(r"(?m)^ +env:\n(?: {10,}.*\n)+", "", (FOLDER / f"{name}.yml").read_text() + "\n")
        assert not re.search(r"secrets\.|github\.token", rest), name
    assert seen == {
        "GITHUB_TOKEN": "make publish-site",
        "STUDENT_DEPLOY_KEY": "make publish-student",
        "GH_TOKEN": "make weekly-issue",
    }


def test_the_page_for_instructors_names_the_targets_of_the_workflows():
    page = (ROOT / "book" / "instructors.md").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"(?m)`?make ([a-z-]+)", page):
        assert re.search(rf"(?m)^{target}:", makefile), target
    assert {"publish-site", "publish-student", "weekly", "site", "stamp"} <= set(
        re.findall(r"make ([a-z-]+)", page)
    )
