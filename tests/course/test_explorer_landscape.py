"""Band scrubber and landscape viewer: in a real browser, what they read out and how they turn."""

import math
import subprocess
import sys

import numpy as np
import pytest

from tests.course.explorer_page import browser_test, manners, read
from utils.analysis.landscape import LossSurface, loss_bands
from utils.course.explorers.band_scrubber import band_scrubber
from utils.course.explorers.landscape_viewer import landscape_viewer

GENERATOR = np.random.default_rng(8)
RUNS = {lr: 2.5 * np.exp(-np.arange(40) / 20) + GENERATOR.random(40) for lr in ("0.0001", "0.001", "0.002")}
BANDS = {
    "VGG-A": loss_bands({f"lr {lr}": values for lr, values in RUNS.items()}),
    "VGG-A with batch normalization": loss_bands({f"lr {lr}": 0.6 * values for lr, values in RUNS.items()}),
}
ALPHAS, BETAS = np.linspace(-1, 1, 7), np.linspace(-0.5, 0.5, 5)
BOWL = 0.2 + ALPHAS**2 + 4 * BETAS[:, None] ** 2
PATH = [[1.0, 0.5], [0.5, 0.25], [0.0, 0.0], [1.4, 0.0]]


def surface(loss=BOWL):
    return LossSurface(ALPHAS, BETAS, loss, np.full(loss.shape, 0.25), 100)


def viewer(**options):
    return landscape_viewer({"plain": surface(10 * BOWL), "residual": surface()}, **options)


ALL = {
    "scrubber": lambda: band_scrubber(BANDS),
    "viewer": lambda: viewer(trajectory={"residual": PATH}),
    "viewer-one": lambda: landscape_viewer(surface(), PATH, log=False),
}


# ---- Python


def test_importing_them_needs_no_torch():
    code = "import sys, utils.course.explorers; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_long_runs_are_drawn_as_means_that_keep_the_mean_width():
    steps = 1003
    runs = {f"lr {i}": GENERATOR.random(steps) for i in range(4)}
    bands = loss_bands(runs)
    data = band_scrubber({"plain": bands}, points=100).data
    assert data["window"] == 11 and data["steps"][:3] == [0, 11, 22] and data["last"] == 1002
    (band,) = data["bands"]
    assert len(band["lower"]) == len(data["steps"]) == 92
    assert band["lower"][0] == pytest.approx(bands.lower[:11].mean(), rel=1e-3)
    assert band["upper"][-1] == pytest.approx(bands.upper[1001:].mean(), rel=1e-3)
    assert band["mean"] == pytest.approx(bands.mean_width, rel=1e-3)
    assert len(band_scrubber({"plain": bands})._repr_html_()) < 60_000


def test_viewer_sends_short_numbers_and_null_for_what_is_not_finite():
    loss = BOWL.copy()
    loss[0, 0], loss[0, 1] = np.inf, np.nan
    data = landscape_viewer(surface(loss), cap=0.5).data
    (entry,) = data["surfaces"]
    assert entry["loss"][0][:2] == [None, None] and entry["loss"][2][3] == 0.2
    assert entry["accuracy"][0][0] == 0.25 and data["cap"] == 0.5 and data["log"]
    side = np.linspace(-1, 1, 51)
    large = LossSurface(side, side, GENERATOR.random((51, 51)), np.full((51, 51), np.nan), 1)
    explorer = landscape_viewer(large)
    assert "accuracy" not in explorer.data["surfaces"][0] and len(explorer._repr_html_()) < 60_000


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: band_scrubber({}), "1 to 3, got 0"),
        (lambda: band_scrubber(BANDS, points=1), "points .* got 1"),
        (lambda: band_scrubber({"a": BANDS["VGG-A"], "b": BANDS["VGG-A"][:9]}), "'b' has 9 recorded steps"),
        (lambda: band_scrubber({"a": loss_bands([[1.0]] * 13)}), "13 runs, more than 12"),
        (lambda: landscape_viewer({}), "1 to 6, got 0"),
        (lambda: landscape_viewer(LossSurface(ALPHAS, None, ALPHAS, ALPHAS, 1)), r"plane .* shape \(7,\)"),
        (lambda: landscape_viewer(LossSurface(-ALPHAS, BETAS, BOWL, BOWL, 1)), "alphas of surface '' must"),
        (lambda: landscape_viewer(surface(np.full((5, 7), np.inf))), "not finite anywhere"),
        (lambda: landscape_viewer(surface(), cap=0.1), "cap must be above the lowest loss, 0.2, got 0.1"),
        (lambda: landscape_viewer(surface(), [1.0, 2.0]), r"path .* got shape \(2,\)"),
        (lambda: viewer(trajectory={"vgg": PATH}), "path for 'vgg', and surfaces for 'plain', 'residual'"),
    ],
)
def test_refuses(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# ---- the scrubber in the browser


@browser_test
def test_scrubber_reads_the_bands_at_every_kind_of_move(show):
    page = show(band_scrubber(BANDS))
    host = page.locator(".cnnlab-explorer")
    slider = host.get_by_role("slider", name="Training step")

    def agrees(at):
        assert read(host, "at") == at and read(host, "step") == at
        for reading, band in zip(read(host, "readings"), BANDS.values(), strict=True):
            assert reading["lower"] == pytest.approx(band.lower[at], rel=1e-3)
            assert reading["width"] == pytest.approx(band.width[at], rel=2e-2, abs=2e-3)

    slider.press("Home")
    agrees(0)
    slider.press("ArrowRight")
    agrees(1)
    slider.press("ArrowDown")
    agrees(5)
    slider.press("End")
    agrees(39)
    box = host.get_by_role("img").bounding_box()
    page.mouse.move(box["x"] + 52 + 0.5 * (box["width"] - 64), box["y"] + 100)
    assert abs(read(host, "at") - 19.5) <= 1
    assert host.get_by_role("row").count() == 3
    label = "VGG-A with batch normalization"
    mean = host.get_by_role("row", name=label).get_by_role("cell").last.inner_text()
    assert mean == f"{BANDS[label].mean_width:.3g}"


@browser_test
def test_scrubber_names_the_runs_at_the_edges_and_draws_them_on_request(show):
    host = show(band_scrubber(BANDS)).locator(".cnnlab-explorer")
    host.get_by_role("slider").press("Home")
    band = BANDS["VGG-A"]
    first = {label: values[0] for label, values in zip(band.labels, band.values, strict=True)}
    low, high = min(first, key=first.get), max(first, key=first.get)
    assert host.get_by_text(f"VGG-A: lowest {low}, highest {high}.").is_visible()
    assert host.locator("circle").count() == 0
    host.get_by_label("Show the runs").check()
    assert host.locator("circle").count() == 6
    host.get_by_label("log", exact=True).check(force=True)
    assert host.get_attribute("data-scale") == "log"


@browser_test
def test_scrubber_of_values_below_zero_has_no_log_scale(show):
    bands = loss_bands([[-1.0, 2.0], [0.5, 1.0]])
    host = show(band_scrubber({"change": bands}, "change of the loss")).locator(".cnnlab-explorer")
    assert host.get_by_text("Scale").is_hidden()
    host.get_by_role("slider").press("End")
    assert read(host, "readings")[0]["width"] == 1


# ---- the viewer in the browser


def projected(corner, turn, tilt):
    """Where a corner of the plane is seen: turned by a rotation matrix, then tilted by another."""
    a, e = math.radians(turn), math.radians(tilt)
    turned = np.array([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]]) @ corner
    return [turned[0], turned[1] * math.sin(e)]


@browser_test
def test_viewer_turns_by_keyboard_and_by_dragging(show):
    page = show(viewer())
    host = page.locator(".cnnlab-explorer")

    def agrees():
        turn, tilt = read(host, "turn"), read(host, "tilt")
        corners = [projected(corner, turn, tilt) for corner in [(-1, -1), (1, -1), (1, 1), (-1, 1)]]
        assert np.asarray(read(host, "corners")) == pytest.approx(np.array(corners), abs=1e-5)

    agrees()
    turn, tilt = host.get_by_role("slider", name="Turn"), host.get_by_role("slider", name="Tilt")
    before = read(host, "turn")
    turn.press("ArrowRight")
    assert read(host, "turn") == before + 1
    turn.press("ArrowDown")
    assert read(host, "turn") == before + 16
    tilt.press("End")
    assert read(host, "tilt") == 90
    agrees()
    tilt.press("Home")
    assert read(host, "tilt") == 0
    box = host.locator("canvas").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 60, y + 50, steps=3)
    page.mouse.up()
    assert (read(host, "turn"), read(host, "tilt")) == (before + 46, 20)
    agrees()
    page.mouse.move(x, y)
    assert read(host, "turn") == before + 46, "nothing turns once the button is let go"


@browser_test
def test_viewer_reads_out_points(show):
    host = show(viewer()).locator(".cnnlab-explorer")
    point = host.get_by_role("slider", name="Point that is read")
    assert read(host, "point") == [2, 3] and read(host, "value") == 2.0, "it begins in the middle"
    point.press("ArrowRight")
    point.press("ArrowDown")
    assert read(host, "point") == [3, 4]
    assert read(host, "value") == pytest.approx(10 * BOWL[3, 4], rel=1e-3)
    host.get_by_label("residual", exact=True).check(force=True)
    assert host.get_by_text("residual, α = 0, β = 0: loss 0.2, accuracy 25 %").is_visible()


@browser_test
def test_viewer_height_scales(show):
    host = show(viewer(cap=5.0)).locator(".cnnlab-explorer")
    assert read(host, "limits") == [0.2, 5.0], "one scale for both, cut at the cap"
    higher = int((10 * BOWL > 5).sum())
    assert host.get_by_text(f"{higher} of 35 points lie higher and are cut off").is_visible()
    host.get_by_label("One height scale for all").uncheck()
    assert read(host, "limits") == [2.0, 5.0]
    host.get_by_label("residual", exact=True).check(force=True)
    assert read(host, "limits") == pytest.approx([0.2, 2.2])
    assert host.get_by_text("on a log scale").is_visible()
    host.get_by_label("loss", exact=True).check(force=True)
    assert read(host, "log") is False and host.get_by_text("on a log scale").count() == 0


@browser_test
def test_viewer_draws_the_surface_and_says_what_lies_outside(show):
    host = show(landscape_viewer(surface(), PATH)).locator(".cnnlab-explorer")
    assert host.get_by_text("1 of 4 states of the path lie outside the plane").is_visible()
    colors = host.evaluate(
        """host => {
            const canvas = host.shadowRoot.querySelector('canvas');
            const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
            const seen = new Set();
            for (let i = 0; i < pixels.length; i += 4) if (pixels[i + 3] === 255) seen.add(pixels.slice(i, i +
            3).join()); return seen.size; }"""
    )
    assert colors > 20


@browser_test
def test_viewer_says_what_is_not_finite(show):
    loss = BOWL.copy()
    loss[0, 0] = np.inf
    host = show(landscape_viewer(surface(loss))).locator(".cnnlab-explorer")
    host.get_by_role("slider", name="Point that is read").press("Home")
    assert host.get_by_text("loss not finite").is_visible() and host.get_attribute("data-value") == ""


# ---- manners


(
    test_html_holds_no_addresses,
    test_every_control_is_reached_by_tab_and_shows_it,
    test_nothing_overflows_on_a_phone,
    test_it_is_accessible,
) = manners(ALL)
