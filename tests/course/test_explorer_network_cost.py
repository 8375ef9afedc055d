"""The explorer of a network's cost: in a real browser, its counts against the package's account, manners."""

import pytest
import torch

from tests.course.explorer_page import browser_test, manners, read
from utils.analysis.accounting import account
from utils.course.checks.lab_03 import vgg_layers
from utils.course.explorers.network_cost import NETWORKS, SIDES, network_cost_explorer
from utils.models import build_model

BUILT = {
    "AlexNet": ("alexnet", {"towers": 2}),
    "VGG-A": ("vgg-a", {}),
    "VGG-D": ("vgg-d", {}),
    "GoogLeNet": ("googlenet", {"auxiliary": False}),
}


def counted(name):
    model, options = BUILT[name]
    with torch.device("meta"):
        return account(build_model(model, **options), (3, 224, 224))


def chosen(host, name):
    host.get_by_role("radio", name=name, exact=True).check(force=True)


def move(host, pixels):
    host.get_by_role("slider").evaluate(
        "(bar, place) => { bar.value = place; bar.dispatchEvent(new Event('input')); }", SIDES.index(pixels)
    )


# ---- Python


def test_an_unknown_network_is_refused():
    with pytest.raises(ValueError, match="unknown network 'LeNet'; choose one of AlexNet, VGG-A"):
        network_cost_explorer("LeNet")


# ---- browser


@browser_test
@pytest.mark.parametrize("name", NETWORKS)
def test_the_published_network_costs_what_the_package_counts(show, name):
    host = show(network_cost_explorer(name)).locator(".cnnlab-explorer")
    bill, cost = counted(name), read(host, "cost")
    assert (cost["params"], cost["macs"]) == (bill.total_params, bill.total_macs)
    assert "As published." in host.locator(".result").inner_text()
    if name != "GoogLeNet":
        layers = [(row.params, row.macs) for row in bill if row.params]
        assert [(params, macs) for _, params, macs in read(host, "rows")] == layers


@browser_test
def test_twice_the_side_changes_fc6_alone_in_the_parameters(show):
    host = show(network_cost_explorer("VGG-A")).locator(".cnnlab-explorer")
    before = read(host, "rows")
    move(host, 448)
    after = read(host, "rows")
    assert [a[0] for a, b in zip(after, before, strict=True) if a[1] != b[1]] == ["fc6"]
    assert all(a[2] == 4 * b[2] for a, b in zip(after, before, strict=True) if b[0] not in ("fc7", "fc8"))
    wide = [(i, o, 14 if k == 7 else k) for i, o, k in vgg_layers("A")]
    assert read(host, "cost")["params"] == sum((i * k * k + 1) * o for i, o, k in wide)


@browser_test
def test_an_average_and_missing_reductions_are_counted(show):
    host = show(network_cost_explorer("VGG-D")).locator(".cnnlab-explorer")
    chosen(host, "average")
    assert read(host, "cost")["params"] == 14_714_688 + 512 * 1000 + 1000
    assert not host.get_by_role("checkbox").is_visible()
    chosen(host, "GoogLeNet")
    host.get_by_role("checkbox").uncheck()
    name, params, macs = read(host, "rows")[3]
    weights = 192 * 64 + 9 * 192 * 128 + 25 * 192 * 32 + 192 * 32
    assert (name, params, macs) == ("3a", weights + 256, 784 * weights)


(
    test_html_holds_no_addresses,
    test_every_control_is_reached_by_tab_and_shows_it,
    test_nothing_overflows_on_a_phone,
    test_it_is_accessible,
) = manners({name: (lambda name=name: network_cost_explorer(name)) for name in ("VGG-A", "GoogLeNet")})
