"""The batch-norm explorer: in a real browser, its arithmetic against torch, keyboard, dragging, manners."""

import pytest
import torch
from torch import nn

from tests.course.explorer_page import browser_test, manners, read
from utils.course.explorers.batch_norm import batch_norm_explorer

VALUES = (-2.5, 0.0, 1.0, 4.0, 7.25)


def layer(gamma=1.0, beta=0.0, momentum=0.1):
    """torch's layer for one channel with these numbers, in double precision."""
    norm = nn.BatchNorm1d(1, momentum=momentum).double()
    nn.init.constant_(norm.weight, gamma)
    nn.init.constant_(norm.bias, beta)
    return norm


def agrees(host, norm):
    """What the page shows is what torch computes, outputs and running statistics."""
    x = torch.tensor(read(host, "x"), dtype=torch.float64)[:, None]
    norm.train(host.get_attribute("data-mode") == "training")
    kept = {name: value.clone() for name, value in norm.state_dict().items()}
    expected = norm(x)[:, 0].tolist()
    norm.load_state_dict(kept)
    assert read(host, "y") == pytest.approx(expected, abs=1e-9)
    running = read(host, "running")
    assert running["mean"] == pytest.approx(norm.running_mean.item())
    assert running["variance"] == pytest.approx(norm.running_var.item())


# ---- Python


def test_data_and_defaults():
    data = batch_norm_explorer().data
    assert data["values"] == [1, 2, 4, 5] and (data["gamma"], data["beta"], data["momentum"]) == (1, 0, 0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"values": ()}, "1 to 8 numbers, got 0"),
        ({"values": [0] * 9}, "1 to 8 numbers, got 9"),
        ({"values": [1, 11]}, "value must be from -10 to 10, got 11"),
        ({"values": [1, float("nan")]}, "got nan"),
        ({"gamma": 6}, "gamma .* got 6"),
        ({"beta": -6}, "beta .* got -6"),
        ({"momentum": 1.5}, "momentum must be from 0 to 1, got 1.5"),
    ],
)
def test_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        batch_norm_explorer(**options)


# ---- in the browser


@browser_test
def test_training_evaluation_and_running_statistics_are_torchs(show):
    host = show(batch_norm_explorer(VALUES, gamma=2, beta=-1, momentum=0.3)).locator(".cnnlab-explorer")
    norm = layer(2, -1, 0.3)
    agrees(host, norm)
    x = torch.tensor(VALUES, dtype=torch.float64)[:, None]
    host.get_by_role("button", name="Pass the batch through once").click()
    norm.train()(x)
    agrees(host, norm)
    host.get_by_role("button", name="Pass the batch through 10 times").click()
    for _ in range(10):
        norm(x)
    agrees(host, norm)
    assert read(host, "passes") == 11
    host.get_by_role("radio", name="evaluation").check(force=True)
    agrees(host, norm)
    assert host.get_by_role("button", name="Pass the batch through once").is_disabled()
    host.get_by_role("button", name="Reset").click()
    agrees(host, layer(2, -1, 0.3))


@browser_test
def test_values_are_typed_and_nonsense_is_ignored(show):
    host = show(batch_norm_explorer()).locator(".cnnlab-explorer")
    first = host.get_by_role("spinbutton", name="x of example 1")
    first.fill("-3.5")
    assert read(host, "x") == [-3.5, 2, 4, 5]
    host.get_by_role("spinbutton", name="gamma").fill("0.5")
    agrees(host, layer(0.5))
    for nonsense in ("", "11", "-10.5"):
        first.fill(nonsense)
        assert first.get_attribute("aria-invalid") == "true" and read(host, "x")[0] == -3.5
    first.blur()
    assert first.input_value() == "-3.5"


@browser_test
def test_values_are_dragged(show):
    page = show(batch_norm_explorer())
    host = page.locator(".cnnlab-explorer")
    box = host.get_by_role("img").bounding_box()

    def place(value):
        return box["x"] + 16 + (value + 10) / 20 * (box["width"] - 32)

    page.mouse.move(place(5) + 2, box["y"] + 46)
    page.mouse.down()
    page.mouse.move(place(-6), box["y"] + 60, steps=4)
    page.mouse.up()
    page.mouse.move(place(9), box["y"] + 46)
    x = read(host, "x")
    assert x[:3] == [1, 2, 4] and x[3] == pytest.approx(-6, abs=0.15)
    assert host.get_by_role("spinbutton", name="x of example 4").input_value() == str(x[3])
    agrees(host, layer())
    page.mouse.click(place(1), box["y"] + 176)
    assert read(host, "x") == x, "outputs cannot be moved"


@browser_test
def test_a_single_value_is_refused_in_training_only(show):
    host = show(batch_norm_explorer([3])).locator(".cnnlab-explorer")
    assert host.get_by_text("torch stops with an error").is_visible() and read(host, "y") == []
    assert host.get_by_role("button", name="Remove the last value").is_disabled()
    host.get_by_role("radio", name="evaluation").check(force=True)
    agrees(host, layer())
    host.get_by_role("radio", name="training").check(force=True)
    add = host.get_by_role("button", name="Add a value")
    for _ in range(7):
        add.click()
    assert read(host, "x") == [3, 0, 0, 0, 0, 0, 0, 0] and add.is_disabled()
    agrees(host, layer())


(
    test_html_holds_no_addresses,
    test_every_control_is_reached_by_tab_and_shows_it,
    test_nothing_overflows_on_a_phone,
    test_it_is_accessible,
) = manners(
    {"values": lambda: batch_norm_explorer(VALUES), "one value": lambda: batch_norm_explorer([3])},
    extreme={
        "long words": lambda: batch_norm_explorer(VALUES, gamma=5, beta=5),
        "many values": lambda: batch_norm_explorer([-10, 10] * 4, gamma=5, beta=5),
    },
)
