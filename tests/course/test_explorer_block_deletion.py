"""The explorer of deleted blocks: in a real browser, its numbers against the table, keyboard, manners."""

import numpy as np
import pytest

from tests.course.explorer_page import browser_test, manners, read
from utils.course.explorers.block_deletion import block_deletion_explorer

N = 6


def table(seed, missing=()):
    """A made-up symmetric table of accuracies."""
    values = np.random.default_rng(seed).uniform(10, 99, (N, N)).round(1)
    values = np.triu(values) + np.triu(values, 1).T
    for block in missing:
        values[block, :] = values[:, block] = np.nan
    return values


NETWORKS = {"residual": (99.2, table(0)), "plain": (98.0, table(1, missing=(2,)))}


def explorer(**changes):
    return block_deletion_explorer(**({"networks": NETWORKS} | changes))


# ---- Python


def test_what_cannot_be_deleted_is_no_number():
    plain = explorer().data["networks"][1]
    assert plain["left"][2] == [None] * N and plain["left"][0][2] is None
    assert plain["left"][3][3] == pytest.approx(NETWORKS["plain"][1][3, 3])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"networks": {}}, "no networks"),
        ({"networks": {"a": (99, np.ones((3, 4)))}}, r"square table of 2 to 20 blocks, got shape \(3, 4\)"),
        ({"networks": {"a": (99, np.ones((1, 1)))}}, r"got shape \(1, 1\)"),
        ({"networks": {"a": (99, np.arange(4.0).reshape(2, 2))}}, "'a' must be symmetric"),
        ({"networks": {"a": (101, np.ones((2, 2)))}}, "percentages from 0 to 100"),
        ({"networks": {"a": (99, np.full((2, 2), np.nan))}}, "percentages"),
        (
            {"networks": {"a": (99, np.ones((2, 2))), "b": (99, np.ones((3, 3)))}},
            "as many blocks, got 2 and 3",
        ),
        ({"first": (0, 6)}, r"from 0 to 5, got \(0, 6\)"),
        ({"first": (0,)}, r"two blocks from 0 to 5, got \(0,\)"),
    ],
)
def test_what_makes_no_sense_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        explorer(**changes)


# ---- browser


def move(host, name, place):
    host.get_by_role("slider", name=name).evaluate(
        "(bar, place) => { bar.value = place; bar.dispatchEvent(new Event('input')); }", place
    )


@browser_test
def test_it_says_what_the_table_says(show):
    host = show(explorer(first=(1, 4))).locator(".cnnlab-explorer")
    whole, left = NETWORKS["residual"]
    assert read(host, "left") == left[1, 4] and read(host, "whole") == whole
    words = host.locator(".result").inner_text().replace("\n", " ")
    assert f"residual without blocks 2 and 5: {left[1, 4]:g} %, of 99.2 % as a whole." in words
    costs = [round(whole - left[b, b], 1) for b in (1, 4)]
    assert f"block 2 costs {costs[0]:g} points and block 5 {costs[1]:g}; together" in words

    move(host, "The other", 1)
    assert read(host, "left") == left[1, 1]
    assert "residual without block 2:" in host.locator(".result").inner_text()


@browser_test
def test_a_click_on_a_cell_chooses_it_and_a_block_without_shortcut_says_so(show):
    host = show(explorer()).locator(".cnnlab-explorer")
    host.locator("svg rect").nth(3 * N + 5).click(force=True)
    assert read(host, "blocks") == [3, 5]
    host.get_by_role("radio", name="plain").check(force=True)
    host.locator("svg rect").nth(2 * N + 5).click(force=True)
    assert read(host, "left") is None
    assert "plain: blocks 3 and 6 cannot be deleted" in host.locator(".result").inner_text()


(
    test_html_holds_no_addresses,
    test_every_control_is_reached_by_tab_and_shows_it,
    test_nothing_overflows_on_a_phone,
    test_it_is_accessible,
) = manners(
    {"two networks": explorer, "one network": lambda: explorer(networks={"a": NETWORKS["residual"]})},
    {"twenty blocks": lambda: block_deletion_explorer({"large": (99.0, np.full((20, 20), 54.3))})},
)
