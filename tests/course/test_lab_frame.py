"""Profiles, badge, fallback, set-up on foreign hosts, and the core of the exercise checks."""

import re
import subprocess
import sys
import types
from pathlib import Path

import pytest
import torch

from utils.course import Lab, environment, profiles
from utils.course.badge import Badge
from utils.course.checks.core import CheckFailed, call, expect_close, expect_equal
from utils.data import DatasetNotFound

ROOT = Path(__file__).resolve().parents[2]


def make_lab(profile="smoke"):
    return Lab(
        "02_lenet", profile, types.SimpleNamespace(), torch.device("cpu"), Badge(profile, "CPU", "torch")
    )


def test_profile_comes_from_the_environment(monkeypatch):
    monkeypatch.delenv("CNNLAB_PROFILE", raising=False)
    assert profiles.current_profile() == "quick"
    monkeypatch.setenv("CNNLAB_PROFILE", "Smoke")
    assert profiles.current_profile() == "smoke"
    monkeypatch.setenv("CNNLAB_PROFILE", "fast")
    with pytest.raises(ValueError, match="'fast'; choose one of smoke, quick, full"):
        profiles.current_profile()


def test_a_size_has_the_value_of_the_profile():
    table = {"images": (10, 100, 1000), "rates": ((), (0.1,), (0.1, 0.2))}
    assert vars(profiles.sizes("quick", table)) == {"images": 100, "rates": (0.1,)}
    assert vars(profiles.sizes("full", table)) == {"images": 1000, "rates": (0.1, 0.2)}


@pytest.mark.parametrize("values", [(1, 2), (1, 2, 3, 4), 3, "abc"])
def test_a_size_without_a_value_for_each_profile_is_refused(values):
    with pytest.raises(
        ValueError,
        match=f"images needs a value for each of smoke, quick, full, got {re.escape(repr(values))}",
    ):
        profiles.sizes("smoke", {"images": values})


def test_badge_tells_what_was_run_and_escapes_it():
    badge = Badge("quick", "CPU, 2 cores", "torch <2>")
    badge.data("CIFAR-10 (JPEG copy)")
    assert (
        "still running" in badge.html()
        and "CIFAR-10 (JPEG copy)" in badge.html()
        and "&lt;2&gt;" in badge.html()
    )
    badge.finish(12.3)
    assert "12 s after imports" in badge.html() and "Recorded" not in badge.html()
    folded = "<details><summary>Run with CIFAR-10 (JPEG copy), profile quick, 12 s after imports</summary>"
    assert folded in badge.html()
    badge.recorded("lenet-cifar10: 3 seeds", "lenet-cifar10")
    assert "Recorded runs:</strong> lenet-cifar10: 3 seeds" in badge.html()
    badge.finish(12.3, "2026-11-30")
    assert "12 s after imports, on 2026-11-30 " in badge.html()
    assert "on 2026-11-30, recorded results</summary>" in badge.html()


def test_badge_notes_for_the_foot_of_the_page_what_records_it_shows_each_once():
    badge = Badge("quick", "CPU, 2 cores", "torch")
    assert 'data-records=""' in badge.html()
    badge.recorded("lenet-cifar10: 3 seeds", "lenet-cifar10")
    badge.rests_on("C9", "lenet-cifar10", "C9")
    badge.recorded("lenet-cifar10: a kept network", "lenet-cifar10")
    assert 'data-records="lenet-cifar10 C9"' in badge.html()


def test_missing_data_fall_back_with_a_banner_and_a_mark_on_the_badge(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("CNNLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CNNLAB_DATA", str(tmp_path))
    lab = make_lab()
    dataset = lab.dataset("cifar10", fallback="digits")
    assert dataset.name == "digits"
    assert "instead of cifar10" in lab.badge.html()
    assert "HTML" in capsys.readouterr().out  # the banner was displayed


def test_fallback_must_be_embedded_data():
    with pytest.raises(ValueError, match="'cifar10'"):
        make_lab().dataset("fashion-mnist", fallback="cifar10")


def test_an_unknown_name_is_an_error_not_a_fallback():
    with pytest.raises(ValueError, match="cifar11"):
        make_lab().dataset("cifar11")


def test_data_not_found_is_its_own_error():
    assert issubclass(DatasetNotFound, FileNotFoundError)


def test_the_frame_imports_without_torch():
    code = "import sys; import utils.course.environment; assert not {'torch', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_only_what_the_host_lacks_is_installed():
    assert environment.missing(["torch>=2.6", "no-such-distribution-here>=1"]) == [
        "no-such-distribution-here>=1"
    ]
    lines = environment.requirements(ROOT)
    assert any(line.startswith("torch>=") for line in lines) and not any(
        line.startswith("jupyter") for line in lines
    )
    assert any(line.lower().startswith("numpy==") for line in environment.installed())


def test_relative_data_folder_is_counted_from_the_project(monkeypatch):
    monkeypatch.setenv("CNNLAB_DATA", "some/where")
    environment.anchor_data_folder(ROOT)
    assert environment.os.environ["CNNLAB_DATA"] == str(ROOT / "some" / "where")


def test_check_messages_say_expected_got_and_where_to_look():
    with pytest.raises(CheckFailed, match=r"size: expected 3, got 4.\nLook at: the floor"):
        expect_equal(4, 3, what="size", look_at="the floor")
    with pytest.raises(CheckFailed, match=r"expected shape \(2,\), got \(3,\)"):
        expect_close(torch.zeros(3), torch.zeros(2), what="y", look_at="the length")
    with pytest.raises(CheckFailed, match=r"1 of 3 values differ \(first at index 1\)"):
        expect_close(torch.tensor([0.0, 1.0, 0.0]), torch.zeros(3), what="y", look_at="the middle")
    with pytest.raises(CheckFailed, match="got list"):
        expect_close([0.0], torch.zeros(1), what="y", look_at="the type")
    expect_close(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.0]), what="y", look_at="")


def test_check_turns_the_students_exceptions_into_sentences():
    def unwritten(x):
        raise NotImplementedError

    def broken(x):
        return x / "a"

    def forgetful(x):
        x + 1

    with pytest.raises(CheckFailed, match="unwritten is not written yet"):
        call(unwritten, 1)
    with pytest.raises(CheckFailed, match="broken.*stopped with TypeError"):
        call(broken, torch.zeros(2))
    with pytest.raises(CheckFailed, match="is there a return statement"):
        call(forgetful, torch.zeros(2))


def test_check_hands_over_copies():
    x = torch.zeros(2)
    call(lambda t: t.add_(1), x)
    assert x.tolist() == [0.0, 0.0]


def test_recorded_results_are_named_on_the_badge_and_missing_or_damaged_ones_an_error(monkeypatch, tmp_path):
    lab = make_lab()
    assert len(lab.recorded("lenet-cifar10").runs) and "Recorded runs" in lab.badge.html()
    monkeypatch.setattr("utils.experiments.records.RESULTS", tmp_path)
    lab = make_lab()
    with pytest.raises(FileNotFoundError):
        lab.recorded("lenet-cifar10")
    assert "Recorded" not in lab.badge.html()
    (tmp_path / "lenet-cifar10").mkdir()
    (tmp_path / "lenet-cifar10" / "linear-seed0-quick.json").write_text("{}")
    with pytest.raises(ValueError, match="linear-seed0-quick.json"):
        lab.recorded("lenet-cifar10")
