"""Measured functions of a lab: what a call returns in each profile, with a record and without one."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from utils.course import Lab, measured
from utils.course.badge import Badge
from utils.experiments import records

ORIGIN = {
    "code": {"curve": "0123456789abcdef"},
    "commit": "abc",
    "datasets": [{"title": "CIFAR-10", "sha256": "12"}],
    "device": "AMD EPYC, 2 threads",
    "profile": "quick",
    "seconds": 41.5,
    "started": "2026-11-29T10:00:00+00:00",
    "versions": {"torch": "2.15.0"},
}


@pytest.fixture(autouse=True)
def results(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "RESULTS", tmp_path)
    monkeypatch.delenv(measured.RECORDING, raising=False)
    return tmp_path


@pytest.fixture
def banners(monkeypatch):
    shown = []
    monkeypatch.setattr("utils.course.badge.display", lambda thing, **more: shown.append(thing.data))
    return shown


def make_lab(profile):
    return Lab("02_lenet", profile, SimpleNamespace(), torch.device("cpu"), Badge(profile, "CPU", "torch"))


def measure(profile):
    """A measured function in a lab that was just started, and the sizes with which it was really run."""
    lab, ran = make_lab(profile), []

    @lab.measured
    def curve(epochs, rates=(0.1,)):
        """The curve."""
        ran.append(epochs)
        return {"loss": [1 / (3 + k) for k in range(epochs)], "last": np.float64(0.123456789)}

    return curve, ran, lab


def keep(folder, value, **more):
    """Write a record of ``curve``, as the command does."""
    one = {**ORIGIN, "value": value, "sizes": {"epochs": 2, "rates": {"$tuple": [0.1]}}, **more}
    one["digest"] = measured.digest_of("02_lenet", "curve", one)
    path = folder / "labs" / "02_lenet.json"
    path.parent.mkdir(exist_ok=True)
    whole = {"format": 1, "lab": "02_lenet", "measurements": {"curve": one}}
    path.write_text(records.as_text(whole))
    return path


RECORDED = {"loss": [0.9, 0.8], "last": 0.8}


@pytest.mark.parametrize("profile", ["quick", "full"])
def test_in_a_live_profile_the_own_result_comes_first_and_the_record_beside_it(profile, results):
    keep(results, RECORDED)
    curve, ran, lab = measure(profile)
    # 1/3 to six digits
    assert curve(1) == {"loss": [0.333333], "last": 0.123457} and ran == [1]
    assert curve.record.value == RECORDED and curve.record.date == "2026-11-29"
    assert [run.label for run in curve.runs] == ["this run", "recorded"]
    assert [run.value["loss"] for run in curve.runs] == [[0.333333], [0.9, 0.8]]
    assert curve.sizes == {"epochs": 1, "rates": (0.1,)} and curve.runs[1].sizes["epochs"] == 2
    assert curve.runs[0].style == {} != curve.runs[1].style
    assert "Measured:</strong> live: curve" in lab.badge.html()
    assert curve(3)["loss"][2] == 0.2 and ran == [1, 3], "a student may try other sizes"


@pytest.mark.parametrize("profile", ["quick", "full"])
def test_without_a_record_there_is_only_the_own_result(profile, banners):
    curve, _, _ = measure(profile)
    assert len(curve(2)["loss"]) == 2
    assert curve.record is None and [run.label for run in curve.runs] == ["this run"] and not banners


def test_in_smoke_the_code_runs_and_the_record_is_returned(results, banners):
    keep(results, RECORDED)
    curve, ran, lab = measure("smoke")
    assert curve(1) == RECORDED and ran == [1]
    assert [(run.label, run.value, run.style) for run in curve.runs] == [("recorded", RECORDED, {})]
    assert curve.sizes == {"epochs": 2, "rates": (0.1,)}, "the sizes of what is drawn"
    assert "recorded: curve (2026-11-29, CIFAR-10, AMD EPYC, 2 threads)" in lab.badge.html()
    assert not banners


def test_in_smoke_without_a_record_a_banner_says_so(banners):
    curve, ran, lab = measure("smoke")
    assert curve(1)["loss"] == [0.333333] and ran == [1] and curve.record is None
    assert len(banners) == 1 and "Not a measurement." in banners[0] and "epochs=1" in banners[0]
    assert "at tiny sizes only: curve" in lab.badge.html()


def test_in_smoke_other_sizes_are_refused_and_the_same_cell_may_be_run_again(results):
    keep(results, RECORDED)
    curve, _, _ = measure("smoke")
    assert curve(1) == curve(epochs=1) == RECORDED
    with pytest.raises(ValueError, match="curve is called a second time"):
        curve(2)


def test_what_fails_in_smoke_is_not_hidden_by_the_record(results):
    keep(results, RECORDED)
    lab = make_lab("smoke")

    @lab.measured
    def curve(epochs):
        return {"loss": {1, 2}} if epochs else 1 / 0

    with pytest.raises(ZeroDivisionError):
        curve(0)
    with pytest.raises(ValueError, match=r"curve\['loss'\] is of type builtins.set"):
        curve(1)


@pytest.mark.parametrize("value", [torch.zeros(2), object(), [torch.device("cpu")], {"a": np.zeros(1)}])
def test_an_argument_that_is_no_size_is_refused(value):
    curve, ran, _ = measure("quick")
    with pytest.raises(ValueError, match="a function of its sizes: rates must be a number"):
        curve(1, rates=value)
    assert not ran


def test_a_measured_function_keeps_its_name_and_text():
    curve, _, _ = measure("quick")
    assert curve.__name__ == "curve" and curve.__doc__ == "The curve."
    with pytest.raises(ValueError, match="curve has not been called yet"):
        _ = curve.sizes


@pytest.mark.parametrize(
    "spoil, complaint",
    [
        (lambda text: text.replace("0.9", "0.95"), "curve: the digest does not fit"),
        (lambda text: text.replace("2026-11-29T10", "2026-11-30T10"), "curve: the digest does not fit"),
        (lambda text: text.replace('"curve": {\n', '"other": {\n'), "other: the digest does not fit"),
        (lambda text: text.replace("02_lenet", "03_other"), "it is the record of lab '03_other'"),
        (lambda text: text.replace("41.5", '"long"'), "seconds is 'long', not a number"),
        (lambda text: text.replace('"format": 1', '"format": 2'), "format 2, this version reads 1"),
        (lambda text: text.replace('"measurements"', '"numbers"'), "not an object of format"),
        (lambda text: text[:-20], "it is not a record"),
        (lambda text: text.replace("0.9", "NaN"), "NaN"),
        (lambda text: "[]", "not an object of format"),
    ],
)
@pytest.mark.parametrize("profile", ["smoke", "quick"])
def test_a_damaged_record_is_an_error_before_anything_runs(results, spoil, complaint, profile):
    path = keep(results, RECORDED)
    text = path.read_text()
    assert spoil(text) != text
    path.write_text(spoil(text))
    curve, ran, _ = measure(profile)
    with pytest.raises(ValueError, match=complaint) as error:
        curve(1)
    assert "02_lenet.json" in str(error.value) and not ran


def test_what_is_left_for_the_command(results, monkeypatch, tmp_path):
    keep(results, RECORDED)
    monkeypatch.setenv(measured.RECORDING, str(tmp_path))
    curve, _, lab = measure("quick")
    lab.dataset("digits")
    assert curve(1)["loss"] == [0.333333] and curve.record is not None
    left = json.loads((tmp_path / "curve.json").read_text())
    assert left["value"] == {"$order": ["loss", "last"], "loss": [0.333333], "last": 0.123457}
    assert left["sizes"] == {"epochs": 1, "rates": {"$tuple": [0.1]}} and left["profile"] == "quick"
    (data,) = left["datasets"]
    assert set(data) == {"title", "sha256"} and "igits" in data["title"] and len(data["sha256"]) == 64
    assert set(left) == set(measured.FIELDS) - {"code", "commit", "digest"} | {"value"}
    with pytest.raises(ValueError, match="curve is called a second time"):
        curve(1)


def test_a_fallback_is_told(monkeypatch, tmp_path, own):
    monkeypatch.setenv(measured.RECORDING, str(tmp_path))
    curve, _, lab = measure("smoke")
    lab.dataset("cifar10", fallback="digits")
    curve(1)
    (data,) = json.loads((tmp_path / "curve.json").read_text())["datasets"]
    assert data["instead_of"] == "cifar10"


def test_too_much_is_refused_when_it_is_recorded(monkeypatch, tmp_path):
    lab = make_lab("quick")

    @lab.measured
    def everything(n):
        return np.linspace(0, 1, n, dtype="float32")

    assert len(everything(100_000)) == 100_000
    monkeypatch.setenv(measured.RECORDING, str(tmp_path))
    lab = make_lab("quick")
    with pytest.raises(ValueError, match="everything returned .* bytes, and a record holds 200,000"):
        lab.measured(everything.__wrapped__)(100_000)


def test_the_badge_groups_what_was_measured_alike():
    badge = Badge("smoke", "CPU", "torch")
    for name in ("noise_by_layer", "shuffled_pixels"):
        badge.measured(name, "recorded", "2026-11-29, <CIFAR-10>")
    badge.measured("rates", "live")
    assert (
        "Measured:</strong> live: rates; "
        "recorded: noise by layer, shuffled pixels (2026-11-29, &lt;CIFAR-10&gt;)" in badge.html()
    )
