"""The transfer explorer: in a real browser, its numbers against numpy, keyboard, manners."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from tests.course.explorer_page import browser_test, manners, read
from utils.course.explorers.transfer import transfer_explorer

SIZES, LAYERS = (20, 100, 500), (("conv1", 4, 30, 1000), ("conv2", 6, 300, 20000), ("fc", 5, 40, 30))
WAYS = {"from scratch": False, "random, frozen": True, "trained, frozen": True, "fine-tuned": False}


def tables(seed, seeds=3):
    """way -> made-up accuracies."""
    random = np.random.default_rng(seed)
    shape = {True: (len(LAYERS), len(SIZES), seeds), False: (len(SIZES), seeds)}
    return {way: random.uniform(0.2, 0.9, shape[frozen]).round(4) for way, frozen in WAYS.items()}


TASKS = {"digits": tables(0), "garments": tables(1)}


def explorer(**changes):
    return transfer_explorer(**({"tasks": TASKS, "sizes": SIZES, "layers": LAYERS, "classes": 10} | changes))


# ---- Python


def test_costs_by_hand():
    costs = {way["label"]: way["costs"] for way in explorer().data["ways"]}
    assert (
        costs["trained, frozen"]
        == costs["random, frozen"]
        == [
            {"trained": 50, "macs": 1000 + 80},
            {"trained": 70, "macs": 21000 + 120},
            {"trained": 60, "macs": 21030 + 100},
        ]
    )
    assert (
        costs["fine-tuned"]
        == costs["from scratch"]
        == [{"trained": 370 + 60, "macs": 3 * 21030 - 1000 + 150}]
    )


def test_a_whole_network_may_be_cut_as_well():
    shorter = {way["label"]: way["costs"] for way in explorer(whole=2).data["ways"]}
    assert shorter["fine-tuned"] == [{"trained": 330 + 70, "macs": 3 * 21000 - 1000 + 180}]
    assert shorter["trained, frozen"] == explorer().data["ways"][2]["costs"]


def test_costs_are_what_torch_counts():
    body = nn.Sequential(nn.Linear(7, 5, bias=False), nn.ReLU(), nn.Linear(5, 4, bias=False))
    layers = [("a", 5, 35, 35), ("b", 4, 20, 20)]
    whole, frozen = (
        way["costs"][-1]["macs"]
        for way in transfer_explorer(
            {"t": {"whole": [[0.5]], "frozen": [[[0.5]], [[0.5]]]}}, [1], layers, 3
        ).data["ways"]
    )
    head = nn.Linear(4, 3)
    for expected, needs in ((whole, True), (frozen, False)):
        body.requires_grad_(needs)
        with FlopCounterMode(display=False) as counter:
            head(body(torch.randn(1, 7))).sum().backward()
        assert counter.get_total_flops() == 2 * expected


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sizes": (100, 20, 500)}, r"ascending, got \[100, 20, 500\]"),
        ({"layers": ()}, r"layers must be \(name"),
        ({"layers": (("a", 1, 1),)}, r"layers must be \(name"),
        ({"whole": 4}, "whole must be from 1 to 3 layers, got 4"),
        ({"tasks": {}}, "no tasks"),
        ({"tasks": {"a": {}}}, "1 to 4 ways"),
        ({"tasks": {"a": TASKS["digits"], "b": {}}}, "task 'b' has the ways"),
        ({"tasks": {"a": {"w": np.zeros((2, 3))}}}, r"'w' on 'a' must be \[3, 3, seeds\]"),
        ({"tasks": {"a": {"w": np.full((3, 1), 1.5)}}}, "fractions from 0 to 1"),
        (
            {"tasks": {"a": {"w": np.zeros((3, 1))}, "b": {"w": np.zeros((3, 3, 1))}}},
            "task 'b' freezes other ways",
        ),
    ],
)
def test_refuses(changes, message):
    with pytest.raises(ValueError, match=message):
        explorer(**changes)


# ---- the browser


@browser_test
def test_every_setting_shows_mean_and_spread_of_its_runs(show):
    page = show(explorer())
    host = page.locator(".cnnlab-explorer")
    assert (host.get_attribute("data-way"), read(host, "size")) == ("trained, frozen", 100)
    assert host.get_attribute("data-layer") == "fc"
    sizes, layers = (host.get_by_role("slider", name=name) for name in ("Labeled images", "Cut behind layer"))
    for task, ways in TASKS.items():
        host.get_by_role("combobox", name="Target task").select_option(task)
        for way, frozen in WAYS.items():
            host.get_by_role("group", name="Way", exact=True).get_by_label(way, exact=True).check(force=True)
            for i, j in ((0, 0), (1, 2), (2, 1)):
                sizes.fill(str(i))
                layers.fill(str(j))
                values = ways[way][j, i] if frozen else ways[way][i]
                assert read(host, "mean") == pytest.approx(values.mean()) and read(
                    host, "sd"
                ) == pytest.approx(values.std(ddof=1))
                assert read(host, "seeds") == 3 and read(host, "size") == SIZES[i]
                assert read(host, "trained") == ((LAYERS[j][1] + 1) * 10 if frozen else 430)
                number = f"{100 * values.mean():.1f} ± {100 * values.std(ddof=1):.1f} % (n = 3)"
                assert f"{SIZES[i]} labeled images, {way}" in host.locator("[aria-live]").inner_text()
                assert number in host.locator("[aria-live]").inner_text()


@browser_test
def test_the_strip_says_what_is_trained(show):
    page = show(explorer())
    host = page.locator(".cnnlab-explorer")
    host.get_by_role("slider", name="Cut behind layer").focus()
    page.keyboard.press("ArrowLeft")
    assert host.get_by_role(
        "img", name="conv1: frozen, conv2: frozen, fc: cut away, head: trained"
    ).is_visible()
    assert host.get_by_text("conv1 to conv2: frozen · fc: cut away · head: trained").is_visible()
    host.get_by_label("fine-tuned", exact=True).check(force=True)
    assert host.get_by_role(
        "img", name="conv1: trained, conv2: trained, fc: trained, head: trained"
    ).is_visible()
    shorter = show(explorer(whole=2)).locator(".cnnlab-explorer")
    shorter.get_by_label("fine-tuned", exact=True).check(force=True)
    assert shorter.get_by_role(
        "img", name="conv1: trained, conv2: trained, fc: cut away, head: trained"
    ).is_visible()


@browser_test
def test_one_run_has_no_spread(show):
    one = {way: table[..., :1] for way, table in TASKS["digits"].items()}
    host = show(explorer(tasks={"digits": one})).locator(".cnnlab-explorer")
    assert read(host, "sd") is None and "(n = 1)" in host.locator("[aria-live]").inner_text()
    assert "±" not in host.inner_text()


(
    test_html_holds_no_addresses,
    test_every_control_is_reached_by_tab_and_shows_it,
    test_nothing_overflows_on_a_phone,
    test_it_is_accessible,
) = manners({"two tasks": explorer})
