"""The noise explorer: what it is fed, and in a real browser what it leaves out at every epoch."""

import subprocess
import sys

import numpy as np
import pytest

from tests.course.explorer_page import browser_test, manners, read
from utils.course.explorers.label_noise import LOWEST, PER_DECADE, levels, noise_explorer
from utils.training.coteaching import kept_of

GENERATOR = np.random.default_rng(13)
EPOCHS, EXAMPLES = 12, 90
HEIGHT, TOP, BOTTOM = 300, 14, 44  # of the histogram and its margins, pixels
WRONG = GENERATOR.random(EXAMPLES) < 0.3
# losses fall, those of wrong labels later
MEMORY = 10 ** (
    0.5
    - np.linspace(0, 1, EPOCHS)[:, None] * (4.0 - 2.0 * WRONG)
    + 0.4 * GENERATOR.standard_normal((EPOCHS, EXAMPLES))
)
STEADY = np.where(WRONG, 2.0, 0.1) * 10 ** (0.3 * GENERATOR.standard_normal((EPOCHS, EXAMPLES)))
SOURCES = {"ordinary training": MEMORY, "cross-validation": STEADY}


def explorer(**options):
    return noise_explorer(SOURCES, WRONG, **options)


def left_out(losses, share):
    """bool [N]: all but the (1 − share) · N of the smallest loss, rounded down, as rounded for the page."""
    seen = levels(losses)
    order = np.lexsort((np.arange(len(seen)), -seen))
    out = np.zeros(len(seen), dtype=bool)
    out[order[: len(seen) - kept_of(len(seen), share)]] = True
    return out


# ---- Python


def test_importing_it_needs_no_torch():
    code = "import sys, utils.course.explorers; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_html_is_small():
    rows = np.abs(GENERATOR.standard_normal((30, 400)))
    assert (
        len(noise_explorer({"a": rows, "b": rows, "c": rows}, np.arange(400) < 120)._repr_html_()) < 120_000
    )


def test_losses_are_sent_as_two_digits_and_come_back_within_the_promised_rounding():
    data = explorer().data
    assert (
        data["wrong"] == np.flatnonzero(WRONG).tolist() and data["epochs"] == EPOCHS and data["share"] == 30
    )
    for source, losses in zip(data["sources"], SOURCES.values(), strict=True):
        for row, values in zip(source["losses"], losses, strict=True):
            sent = np.array([int(row[i : i + 2], 36) for i in range(0, len(row), 2)])
            back = 10.0 ** (LOWEST + sent / PER_DECADE)
            assert np.abs(back / np.maximum(values, 1e-4) - 1).max() < 0.012


@pytest.mark.parametrize(
    ("loss", "level"), [(0.0, 0), (1e-9, 0), (1e-4, 0), (1.0, 800), (10.0, 1000), (1e9, 1295)]
)
def test_levels_of_known_losses(loss, level):
    assert levels(np.array([loss])).tolist() == [level]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: noise_explorer({}, WRONG), "1 to 4 tables, got 0"),
        (lambda: explorer(share=0.9), "share must be from 0 to 0.8, got 0.9"),
        (
            lambda: noise_explorer(SOURCES, np.zeros(EXAMPLES)),
            r"both kinds, got shape \(90,\), 0 of them wrong",
        ),
        (lambda: noise_explorer(SOURCES, WRONG[:5]), r"\[epochs, 5\] as the others, got \(12, 90\)"),
        (lambda: noise_explorer({"a": MEMORY, "b": STEADY[:3]}, WRONG), r"of 'b' must be .* got \(3, 90\)"),
        (lambda: noise_explorer({"a": -MEMORY}, WRONG), "of 'a' must be finite and not negative"),
        (lambda: noise_explorer({"a": MEMORY * np.nan}, WRONG), "of 'a' must be finite"),
        (lambda: noise_explorer({"a": np.ones((61, 2))}, [True, False]), "got 61 and 2"),
        (lambda: noise_explorer({"a": np.ones((1, 601))}, np.arange(601) < 3), "got 1 and 601"),
    ],
)
def test_refuses(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# ---- in the browser


@browser_test
def test_precision_recall_and_losses_agree_at_every_kind_of_move(show):
    host = show(explorer()).locator(".cnnlab-explorer")
    epoch, share = (host.get_by_role("slider", name=name) for name in ("Epoch", "Share left out"))

    def agrees(losses):
        at, percent = read(host, "epoch") - 1, read(host, "share")
        out = left_out(losses[at], percent / 100)
        found = int((out & WRONG).sum())
        assert (read(host, "count"), read(host, "found")) == (int(out.sum()), found)
        assert read(host, "lost") == int((out & ~WRONG).sum())
        assert read(host, "precision") == (pytest.approx(found / out.sum()) if out.any() else None)
        assert read(host, "recall") == pytest.approx(found / WRONG.sum())
        recalls = [(left_out(row, percent / 100) & WRONG).sum() / WRONG.sum() for row in losses]
        assert read(host, "recalls") == pytest.approx(recalls)

    agrees(MEMORY)
    for control, key in (
        (epoch, "Home"),
        (epoch, "ArrowRight"),
        (epoch, "End"),
        (share, "ArrowDown"),
        (share, "Home"),
        (share, "End"),
    ):
        control.press(key)
        agrees(MEMORY)
    assert read(host, "share") == 80 and read(host, "epoch") == EPOCHS
    host.get_by_label("Losses of").select_option("cross-validation")
    agrees(STEADY)


@browser_test
def test_a_limit_on_the_loss_leaves_out_what_is_above_it(show):
    host = show(explorer()).locator(".cnnlab-explorer")
    host.get_by_label("losses above").check(force=True)
    assert host.get_by_role("slider", name="Share left out").is_hidden()
    limit = host.get_by_role("slider", name="Loss above which to leave out")
    for key in ("ArrowRight", "Home", "ArrowDown", "End"):
        limit.press(key)
        out = levels(MEMORY[read(host, "epoch") - 1]) > round(
            PER_DECADE * (np.log10(read(host, "limit")) - LOWEST)
        )
        assert read(host, "count") == int(out.sum()) and read(host, "found") == int((out & WRONG).sum())
    assert read(host, "count") == 0 and read(host, "precision") is None
    assert host.get_by_text("nothing is left out").is_visible()


@browser_test
def test_words_and_bars_say_the_same(show):
    host = show(explorer()).locator(".cnnlab-explorer")
    found, wrong = read(host, "found"), int(WRONG.sum())
    assert host.get_by_text(f"{found} of {wrong}, ").is_visible()
    label = host.get_by_role("img").first.get_attribute("aria-label")
    assert (
        f"{EXAMPLES - wrong} examples with a true label" in label
        and f"{read(host, 'count')} are left out" in label
    )
    heights = (
        host.get_by_role("img")
        .first.locator("rect")
        .evaluate_all("bars => bars.map((bar) => Number(bar.getAttribute('height')))")
    )
    bins = np.floor((LOWEST + levels(MEMORY[read(host, "epoch") - 1]) / PER_DECADE) / 0.25)
    tallest = sum(max((bins[kind] == b).sum() for b in bins) for kind in (WRONG, ~WRONG))
    assert sum(heights) * tallest / (HEIGHT - TOP - BOTTOM) == pytest.approx(EXAMPLES)


@browser_test
def test_one_source_needs_no_list(show):
    host = show(noise_explorer({"training": MEMORY[:1]}, WRONG)).locator(".cnnlab-explorer")
    assert host.get_by_role("combobox").count() == 0 and read(host, "epoch") == 1


(
    test_html_holds_no_addresses,
    test_every_control_is_reached_by_tab_and_shows_it,
    test_nothing_overflows_on_a_phone,
    test_it_is_accessible,
) = manners({"losses": explorer})
