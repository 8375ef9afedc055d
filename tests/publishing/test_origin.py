"""What stands at the foot of a page: the commit and the day, and the records that the page shows."""

import json
import subprocess
import sys

import pytest

from tests.tiny_repository import git
from utils.course.badge import Badge
from utils.experiments.catalogue.claims import CLAIMS
from utils.experiments.comparison import experiments_of
from utils.publishing import origin
from utils.publishing.notebooks import ROOT

URL = "https://github.com/me/course"
BUILT = origin.Built("0123456789" * 4, False, "", "2026-11-30")


@pytest.fixture
def repository(tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1796083199")  # 2026-11-30, one second before midnight
    (tmp_path / "page.md").write_text("one")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "--quiet", "-m", "one")
    return tmp_path


def record(folder, name, *, day, data="CIFAR-10", commit="a" * 40, torch="2.15.0", profile="quick"):
    folder.mkdir(parents=True, exist_ok=True)
    written = {
        "profile": profile,
        "dataset": {"title": data},
        "started": f"{day}T10:00:00+00:00",
        "commit": commit,
        "versions": {"torch": torch},
    }
    (folder / f"{name}-{profile}.json").write_text(json.dumps(written))


def test_a_commit_with_its_tag_and_the_day(repository):
    head = git(repository, "rev-parse", "HEAD")
    assert origin.built(repository) == origin.Built(head, False, "", "2026-11-30")
    git(repository, "tag", "handed-out")
    git(repository, "tag", "v1.2")
    assert origin.built(repository) == origin.Built(head, False, "v1.2", "2026-11-30")
    git(repository, "tag", "v1.2rc1")
    git(repository, "tag", "v1.10")
    assert origin.built(repository).version == "v1.10", "the newest of several"


def test_what_is_not_committed_is_said_and_is_no_version(repository):
    git(repository, "tag", "v1.2")
    (repository / "new.md").write_text("a file that git does not know")
    assert not origin.built(repository).changed
    (repository / "page.md").write_text("two")
    found = origin.built(repository)
    assert (found.changed, found.version) == (True, "")
    assert "with changes that are not committed" in origin.foot(found, [], URL)


def test_a_copy_without_its_history_does_not_take_the_commit_of_the_folder_around_it(repository):
    inner = repository / "a copy"
    inner.mkdir()
    assert origin.built(inner) == origin.Built("", False, "", "2026-11-30")
    assert "from a copy without its history." in origin.foot(origin.built(inner), [], URL)


def test_a_wrong_clock_is_refused(repository, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "today")
    with pytest.raises(ValueError, match="SOURCE_DATE_EPOCH is a number of seconds, got 'today'"):
        origin.built(repository)


def test_the_sources_of_a_page_are_those_of_its_marks_and_of_its_badge():
    text = (
        "91 %<!-- bands@full bn-0.001 test_accuracy mean .1% --> and 3 %<!-- lab 07_norm gap.x .1% -->, "
        "2 %<!-- source: he2016 2 % -->"
    )
    badge = Badge("smoke", "CPU", "torch")
    badge.rests_on("lenet-cifar10", "C9")
    found = origin.sources(text, ["<p>no badge</p>", badge.html()])
    assert found == ["C9", "bands", "labs/07_norm", "lenet-cifar10"]


def test_claims_stand_for_the_experiments_by_whose_runs_they_are_judged():
    of_c24 = origin.claims_and_experiments(["C24", "bands"], ROOT)
    assert "bands" in of_c24 and len(of_c24) == 2
    assert set(of_c24) - {"bands"} <= set(experiments_of(CLAIMS["C24"]))
    of_all = set(origin.claims_and_experiments(origin.sources("text\n<!-- claims -->\n"), ROOT))
    assert set(of_c24) - {"bands"} < of_all
    assert all(origin.records_of(name, ROOT) for name in of_all)
    judged = {name for claim in CLAIMS.values() for name in experiments_of(claim)}
    assert of_all <= judged


def test_pages_show_the_runs_of_the_largest_profile(tmp_path):
    folder = tmp_path / "book" / "results" / "bands"
    record(folder, "bn-seed0", day="2026-11-21", commit="a" * 40)
    assert origin.records_of("bands", tmp_path).counted == "1 run"
    record(folder, "bn-seed0", day="2026-11-29", commit="b" * 40 + "+", profile="full")
    record(folder, "bn-seed1", day="2026-11-28", commit="c" * 40, data="MNIST", profile="full", torch="2.16")
    found = origin.records_of("bands", tmp_path)
    assert found == origin.Records(
        "bands",
        "run",
        2,
        "full",
        ("CIFAR-10", "MNIST"),
        ("2026-11-28", "2026-11-29"),
        ("c" * 40, "b" * 40 + "+"),
        ("2.15.0", "2.16"),
    )
    assert origin.told_of(found) == (
        "bands: 2 runs (full), CIFAR-10 and MNIST, 2026-11-28 to 2026-11-29, commits ccccccc, bbbbbbb+"
    )
    assert origin.records_of("no-such", tmp_path) is None


def test_what_a_lab_has_measured_is_counted_by_function(tmp_path):
    folder = tmp_path / "book" / "results" / "labs"
    folder.mkdir(parents=True)
    one = {
        "profile": "quick",
        "datasets": [],
        "started": "2026-11-29T10:00:00+00:00",
        "commit": "d" * 40,
        "versions": {"torch": "2.15.0"},
    }
    (folder / "07_norm.json").write_text(json.dumps({"measurements": {"a": one, "b": one, "c": one}}))
    found = origin.records_of("labs/07_norm", tmp_path)
    assert origin.told_of(found) == "07_norm: 3 measurements (quick), 2026-11-29, commit ddddddd"
    assert origin.records_of("labs/02_lenet", tmp_path) is None


def test_a_damaged_record_is_named(tmp_path):
    folder = tmp_path / "book" / "results" / "bands"
    folder.mkdir(parents=True)
    (folder / "bn-seed0-full.json").write_text('{"profile": ')
    with pytest.raises(ValueError, match="bn-seed0-full.json is not a record"):
        origin.records_of("bands", tmp_path)


def test_the_foot_links_the_commit_and_tells_of_each_record(tmp_path):
    assert origin.foot(BUILT, [], URL) == (
        '<p class="cnnlab-origin"><span class="cnnlab-built">Built on 2026-11-30 from commit '
        f'<a href="{URL}/commit/{BUILT.commit}">0123456</a>.</span> No recorded results on this page. '
        '<span class="cnnlab-versions"></span></p>'
    )
    folder = tmp_path / "book" / "results"
    record(folder / "one", "a-seed0", day="2026-11-21")
    record(folder / "one", "a-seed1", day="2026-11-21")
    record(folder / "two", "<b>-seed0", day="2026-11-24", data="A & B")
    shown = [origin.records_of(name, tmp_path) for name in ("one", "two")]
    told = origin.foot(origin.Built(BUILT.commit, False, "v1.2", "2026-11-30"), shown, URL)
    assert told.startswith(
        '<p class="cnnlab-origin"><span class="cnnlab-built">Version 1.2. Built on 2026-11-30'
    )
    assert (
        "<summary>Records on this page: 3 runs on CIFAR-10 and A &amp; B, 2026-11-21 to 2026-11-24</summary>"
        "<ul><li>one: 2 runs (quick), CIFAR-10, 2026-11-21, commit aaaaaaa</li>"
        "<li>two: 1 run (quick), A &amp; B, 2026-11-24, commit aaaaaaa</li></ul>" in told
    )


def test_a_new_commit_is_stamped_into_pages_that_stay_as_they_are(tmp_path):
    (tmp_path / "labs").mkdir()
    rest = "<p>text</p>\n<span>Built on a whim</span>\n"
    pages = [tmp_path / "index.html", tmp_path / "labs" / "a.html", tmp_path / "redirect.html"]
    for page in pages[:2]:
        page.write_text(rest + origin.foot(BUILT, [], URL) + rest)
    pages[2].write_text(rest)
    later = origin.Built("f" * 40, True, "", "2026-12-01")
    assert origin.stamp_pages(tmp_path, BUILT, URL) == 0
    assert origin.stamp_pages(tmp_path, later, URL) == 2
    assert all(page.read_text() == rest + origin.foot(later, [], URL) + rest for page in pages[:2])
    assert pages[2].read_text() == rest
    assert origin.stamp_pages(tmp_path, later, URL) == 0


def test_the_foot_is_found_without_torch():
    code = (
        "import sys; from utils.publishing import origin, stamp; stamp.configured(); "
        "print(origin.records_of('degradation').kind, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "run False\n", done.stderr
