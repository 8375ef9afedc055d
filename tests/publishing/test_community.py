"""What a host of repositories reads is well formed, and names the versions and the address of the project."""

import re
import shutil
import subprocess
import tomllib

import pytest
import yaml

from utils.publishing.notebooks import ROOT
from utils.publishing.stamp import configured
from utils.publishing.suite import STEPS

FORMS = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("[0-9]*.yml"))


def loaded(name):
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def pinned(package):
    return re.search(rf"(?m)^{package}==(.+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"))[1]


def test_the_workflow_runs_the_command_of_the_readme():
    workflow = loaded(".github/workflows/test.yml")
    assert set(workflow) == {
        "name",
        True,
        "permissions",
        "concurrency",
        "jobs",
    }  # YAML reads the key `on` as True
    assert {"push", "pull_request"} == set(workflow[True])
    assert "make test" in [step.get("run") for step in workflow["jobs"]["test"]["steps"]]
    assert "\ntest: $(READY)\n" in (ROOT / "Makefile").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_an_issue_form_asks_something_that_must_be_answered(path):
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert set(form) == {"name", "description", "labels", "body"}
    assert any(field.get("validations", {}).get("required") for field in form["body"])
    assert len({field["id"] for field in form["body"]}) == len(form["body"])


def test_the_gates_use_one_version_of_each_tool():
    hooks = {hook["id"]: hook for hook in loaded(".pre-commit-config.yaml")["repos"][0]["hooks"]}
    for name in ("ruff-format", "ruff-format-labs", "ruff-check"):
        assert hooks[name]["additional_dependencies"] == [f"ruff=={pinned('ruff')}"]
    (prettier,) = hooks["prettier"]["additional_dependencies"]
    assert prettier in (ROOT / ".github/workflows/test.yml").read_text(encoding="utf-8")


def test_the_suite_begins_with_the_gate():
    layout, labs, lint, lint_of_labs, types = list(STEPS)[:5]
    assert STEPS[layout][1:5] == STEPS[labs][1:5] == ["-m", "ruff", "format", "--check"]
    assert STEPS[labs][-3:] == ["--line-length", "88", "labs"]
    assert STEPS[lint][1:4] == ["-m", "ruff", "check"]
    assert STEPS[lint_of_labs][3:] == ["check", "--isolated", "--select", "F", "labs"]
    assert STEPS[types][1:] == ["-m", "mypy"]
    assert all(name.startswith("gate") for name in list(STEPS)[:5])
    assert not list(STEPS)[5].startswith("gate")


def test_the_citation_names_the_version_and_the_address():
    citation = loaded("CITATION.cff")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert citation["version"] == project["version"]
    assert citation["repository-code"] == configured().url, (
        "`make stamp` moved the address: write it here too"
    )
    assert citation["title"] == loaded("_config.yml")["title"]
    assert {"cff-version", "message", "authors", "license"} <= set(citation)


def test_the_changelog_has_the_version():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert text.index("\n## Unreleased\n") < text.index(f"\n## {loaded('CITATION.cff')['version']}\n")


def test_commits_that_blame_looks_past_are_named_in_full():
    text = (ROOT / ".git-blame-ignore-revs").read_text(encoding="utf-8")
    hashes = [line for line in text.splitlines() if not line.startswith("#")]
    assert hashes and all(re.fullmatch(r"[0-9a-f]{40}", line) for line in hashes)


@pytest.mark.skipif(shutil.which("git") is None or not (ROOT / ".git").exists(), reason="needs the history")
def test_commits_that_blame_looks_past_only_changed_the_layout():
    text = (ROOT / ".git-blame-ignore-revs").read_text(encoding="utf-8")
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        show = ["git", "show", "--no-patch", "--format=%s", line]
        found = subprocess.run(show, cwd=ROOT, capture_output=True, text=True)
        # a shallow clone does not have it
        assert found.returncode or re.search("ormatted with|laid out", found.stdout), found.stdout


def test_contributing_names_files_and_commands_that_exist():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 80, "one page"
    for path in re.findall(r"`((?:utils|tests|labs|book)/[\w./]+)`", text):
        if not re.search(r"NN|NAME", path):
            assert (ROOT / path).exists(), path
    for target in re.findall(r"`make (\w+)", text):
        assert f"\n{target}:" in (ROOT / "Makefile").read_text(encoding="utf-8"), target
