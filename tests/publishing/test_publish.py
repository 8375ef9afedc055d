"""Publishing to repositories on this machine: what arrives, what stays, and when nothing is done."""

import base64
import os
import stat
import subprocess
from pathlib import Path

import pytest

from tests.publishing import student_root
from tests.publishing.test_site import build
from tests.tiny_repository import git
from utils.publishing import publish
from utils.publishing.publish import NO_KEY, NO_REPOSITORY, publish_site, publish_student
from utils.publishing.site import write_site

# as on a machine where nobody has told git a name
NOBODY = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
for name in ("GITHUB_REPOSITORY", "GITHUB_TOKEN", "STUDENT_DEPLOY_KEY"):
    NOBODY.pop(name, None)


@pytest.fixture
def root(tmp_path):
    root = student_root.make(tmp_path / "root")
    config = root / "_config.yml"
    config.write_text(f"title: A course\n{config.read_text()}")
    return root


@pytest.fixture
def remote(tmp_path):
    folder = tmp_path / "remote.git"
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", str(folder))
    return folder


def names(remote, branch):
    return set(git(remote, "ls-tree", "-r", "--name-only", branch).splitlines())


def commits(remote, branch):
    return git(remote, "log", "--format=%an: %s", branch).splitlines()


def students(root, remote, **options):
    options = {"environment": NOBODY, **options}
    return publish_student(student_root.STUDENTS, remote=str(remote), root=root, **options)


def test_the_student_edition_arrives_and_a_second_one_stands_on_top(root, remote, tmp_path):
    told = students(root, remote)
    assert told == f"The student edition is published: {student_root.STUDENTS} (branch main)."
    assert {"README.md", "labs/01_test.ipynb", "requirements.txt", ".gitignore"} <= names(remote, "main")
    assert "SOLUTION" not in git(remote, "show", "main:labs/01_test.ipynb")
    assert "has this student edition already" in students(root, remote)

    # a file of the instructor's own, pushed from elsewhere, stays; one that is gone from the course goes
    git(tmp_path, "clone", "--quiet", str(remote), "clone")
    (tmp_path / "clone" / "syllabus.md").write_text("Monday")
    git(tmp_path / "clone", "add", "-A")
    git(tmp_path / "clone", "commit", "--quiet", "-m", "A syllabus")
    git(tmp_path / "clone", "push", "--quiet")
    (root / "utils/course/explorers/base.js").unlink()
    assert "is published" in students(root, remote)
    found = names(remote, "main")
    assert "syllabus.md" in found and "utils/course/explorers/base.js" not in found
    authors = [line.partition(": ")[0] for line in commits(remote, "main")]
    assert authors == ["github-actions[bot]", "A test", "github-actions[bot]"]


def test_with_nbgrader_the_marks_are_pushed_and_the_course_folder_is_not(root, remote):
    students(root, remote)
    assert '"nbgrader"' not in git(remote, "show", "main:labs/01_test.ipynb")
    assert not (root / "_build/grading").exists()
    students(root, remote, nbgrader=True)
    assert '"nbgrader"' in git(remote, "show", "main:labs/01_test.ipynb")
    assert (root / "_build/grading/source/01_test/01_test.ipynb").is_file()
    assert not any("source" in name or "nbgrader" in name for name in names(remote, "main"))


def test_what_would_hand_out_a_solution_is_not_pushed(root, remote):
    (root / "utils/course/help.py").write_text("# ### BEGIN SOLUTION\n")
    with pytest.raises(ValueError, match="help.py"):
        students(root, remote)
    assert git(remote, "branch", "--list") == ""


def test_without_a_repository_or_with_an_empty_secret_nothing_is_done(root):
    for url in ("", None):
        assert publish_student(url, environment=NOBODY, root=root) == NO_REPOSITORY
    given = {**NOBODY, "STUDENT_DEPLOY_KEY": ""}
    assert publish_student("full/course-students", environment=given, root=root) == NO_KEY
    assert not (root / "_build").exists()


def test_the_deploy_key_is_in_a_file_of_its_own_for_git_alone_and_only_meanwhile():
    given = {"STUDENT_DEPLOY_KEY": "a secret", "PATH": "x"}
    with publish._with_key("\r\nline 1\r\nline 2", given) as surroundings:
        assert "STUDENT_DEPLOY_KEY" not in surroundings and surroundings["PATH"] == "x"
        file = Path(surroundings["GIT_SSH_COMMAND"].split('"')[1])
        assert file.read_text() == "line 1\nline 2\n"
        assert os.name == "nt" or stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not file.exists()
    with publish._with_key(None, given) as surroundings:
        assert surroundings == {"PATH": "x"}


def test_a_key_goes_to_the_repository_by_ssh(root, monkeypatch):
    asked = []
    monkeypatch.setattr(publish.Git, "fetch", lambda git, remote, branch: asked.append((remote, branch)))
    monkeypatch.setattr(publish.Git, "push", lambda *arguments: True)
    monkeypatch.setattr(publish, "write_student_edition", lambda *arguments, **options: None)
    for url in ("full/course-students", "https://github.com/full/course-students"):
        publish_student(url, "autumn", environment={**NOBODY, "STUDENT_DEPLOY_KEY": "a secret"}, root=root)
        publish_student(url, environment=NOBODY, root=root)
    by_ssh, by_https = "git@github.com:full/course-students.git", "https://github.com/full/course-students"
    assert asked == [(by_ssh, "autumn"), (by_https, "main")] * 2


def test_a_token_is_shown_to_github_only_and_stands_in_no_command():
    given = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "a.b", "GIT_CONFIG_VALUE_0": "c"}
    added = publish._token("abc", given)
    said = subprocess.run(
        ["git", "config", "--get-urlmatch", "http.extraheader", "https://github.com/me/course"],
        env={**NOBODY, **given, **added},
        capture_output=True,
        text=True,
    ).stdout
    kind, _, told = said.strip().rpartition(" ")
    assert (kind, base64.b64decode(told)) == ("AUTHORIZATION: basic", b"x-access-token:abc")
    elsewhere = ["git", "config", "--get-urlmatch", "http.extraheader", "https://example.org/me/course"]
    assert subprocess.run(elsewhere, env={**NOBODY, **given, **added}, capture_output=True).stdout == b""
    assert publish._token("", given) == {}


def test_the_site_keeps_its_versions_and_no_history(root, remote):
    build(root, "one")
    site = {"environment": NOBODY, "root": root, "remote": str(remote)}
    assert "with the newest state" in publish_site(**site)
    assert "has this book already" in publish_site(**site)
    (root / "_config.yml").write_text((root / "_config.yml").read_text().replace("main", "v1.2"))
    assert "with version 1.2" in publish_site("v1.2", **site)
    build(root, "two")
    (root / "_config.yml").write_text((root / "_config.yml").read_text().replace("v1.2", "main"))
    subprocess.run(
        ["rm", "-rf", str(root / "_build" / "published-site")], check=True
    )  # as on a fresh machine
    publish_site(**site)
    assert [git(remote, "show", f"site:{page}") for page in ("index.html", "v1.2/index.html")] == [
        "two",
        "one",
    ]
    assert {"versions.html", "_static/a.js", "v1.2/labs/01_sums.html"} <= names(remote, "site")
    assert commits(remote, "site") == ["github-actions[bot]: The book: the newest state"]
    # what is to be deployed lies there, whole
    assert (root / "_build/published-site/v1.2/index.html").read_text() == "one"


def test_a_site_that_was_looked_at_before_is_in_nobodys_way(root, remote):
    build(root, "one")
    write_site(root=root)
    write_site("v9", root=root)  # never published
    publish_site(environment=NOBODY, root=root, remote=str(remote))
    assert not any(name.startswith("v9") for name in names(remote, "site"))


def test_a_book_whose_links_lead_elsewhere_is_not_published(root, remote):
    build(root, "one")
    with pytest.raises(ValueError, match="make stamp URL=https://github.com/full/course BRANCH=v1.2"):
        publish_site("v1.2", remote=str(remote), environment=NOBODY, root=root)
    fork = {**NOBODY, "GITHUB_REPOSITORY": "me/course"}
    with pytest.raises(ValueError, match="make stamp URL=https://github.com/me/course BRANCH=main"):
        publish_site(remote=str(remote), environment=fork, root=root)
    same = {**NOBODY, "GITHUB_REPOSITORY": "Full/Course"}
    assert "with the newest state" in publish_site(remote=str(remote), environment=same, root=root)


def test_a_push_in_between_is_not_overwritten(root, remote, monkeypatch, tmp_path):
    students(root, remote)
    written = publish.write_student_edition

    def slow(*arguments, **options):
        git(tmp_path, "clone", "--quiet", str(remote), "clone")
        (tmp_path / "clone" / "syllabus.md").write_text("Monday")
        git(tmp_path / "clone", "add", "-A")
        git(tmp_path / "clone", "commit", "--quiet", "-m", "A syllabus")
        git(tmp_path / "clone", "push", "--quiet")
        return written(*arguments, **options)

    monkeypatch.setattr(publish, "write_student_edition", slow)
    (root / "utils/course/explorers/base.js").unlink()
    with pytest.raises(RuntimeError, match="git push failed"):
        students(root, remote)
    assert "syllabus.md" in names(remote, "main")


def test_two_books_that_are_published_together_both_arrive(root, remote, monkeypatch):
    build(root, "one")
    site = {"environment": NOBODY, "root": root, "remote": str(remote)}
    publish_site(**site)
    written, others = publish.write_site, ["v1.2", "v1.3"]

    def slow(version, folder, root):
        done = written(version, folder, root)
        if others:  # somebody else is quicker, twice
            other = publish.Git(root / "_build" / f"other-{len(others)}", NOBODY)
            other.fetch(str(remote), "site")
            written(others.pop(), other.folder, root)
            other.push("site", "Another book", history=False)
        return done

    monkeypatch.setattr(publish, "write_site", slow)
    build(root, "two")
    assert "with the newest state" in publish_site(**site)
    assert git(remote, "show", "site:index.html") == "two"
    assert {"v1.2/index.html", "v1.3/index.html"} <= names(remote, "site")
    others += [f"v2.{n}" for n in range(9)]
    build(root, "three")
    with pytest.raises(publish.PushedMeanwhile):
        publish_site(**site)
    assert git(remote, "show", "site:index.html") == "two"


def test_a_repository_that_is_not_there_is_told(root, tmp_path):
    with pytest.raises(RuntimeError, match="git ls-remote failed"):
        students(root, tmp_path / "nowhere.git")


def test_a_book_that_was_built_before_the_stamp_is_refused(root, remote):
    build(root, "the newest")
    used = root / "_build" / "book_config.yml"  # as the build of a book leaves it
    config = (root / "_config.yml").read_text()
    used.write_text(config.replace("full/course", "other/course"))
    with pytest.raises(ValueError, match="built for https://github.com/other/course, branch main, before"):
        publish_site(remote=str(remote), environment=NOBODY, root=root)
    assert git(remote, "branch", "--list") == ""
    used.write_text(config)
    assert "is on the branch" in publish_site(remote=str(remote), environment=NOBODY, root=root)
