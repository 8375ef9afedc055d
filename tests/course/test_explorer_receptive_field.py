"""The receptive-field builder: in a real browser, its arithmetic against autograd, keyboard, manners."""

import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.course.explorer_page import browser_test, manners, read
from utils.analysis.receptive_field import receptive_field
from utils.course.explorers.receptive_field import BUILDER_PRESETS, dilated, receptive_field_builder
from utils.models import build_model

PICTURE = np.random.default_rng(7).integers(0, 256, (16, 16, 3), dtype=np.uint8)


def builder(**options):
    return receptive_field_builder(PICTURE, **options)


def rows_of(side, layers):
    """Map, size, jump and start of the input and of each layer, by the recursion."""
    found = [{"map": side, "size": 1, "jump": 1, "start": 0}]
    for layer in layers:
        below, reach = found[-1], layer["d"] * (layer["k"] - 1)
        if below["map"] + 2 * layer["p"] < reach + 1:
            break
        found.append(
            {
                "map": (below["map"] + 2 * layer["p"] - reach - 1) // layer["s"] + 1,
                "size": below["size"] + reach * below["jump"],
                "jump": below["jump"] * layer["s"],
                "start": below["start"] + (reach / 2 - layer["p"]) * below["jump"],
            }
        )
    return found


def pixels_with_gradient(side, layers, unit):
    """On which pixels of a line a unit depends, by autograd; all weights are 1, so nothing cancels."""
    line = torch.zeros(1, 1, side, dtype=torch.float64, requires_grad=True)
    output = line
    for layer in layers:
        ones = torch.ones(1, 1, layer["k"], dtype=torch.float64)
        output = F.conv1d(output, ones, None, layer["s"], layer["p"], layer["d"])
    output[0, 0, unit].backward()
    return (line.grad[0, 0] > 0).nonzero().flatten().tolist()


# ---- Python


def test_picture_is_sent_as_bytes_and_presets_with_all_their_layers():
    gray = torch.linspace(0, 1, 64).reshape(8, 8)
    data = receptive_field_builder(gray, preset="ResNet-18").data
    assert data["picture"]["side"] == 8 and len(data["picture"]["rgb"]) == 8 * 8 * 3 * 4 / 3
    resnet = next(preset for preset in data["presets"] if preset["name"] == "ResNet-18")
    assert resnet["n"] == 224 and len(resnet["layers"]) == 2 + 16


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"picture": np.zeros((8, 9))}, r"\(8, 9\)"),
        ({"picture": np.zeros((4, 4))}, r"\(4, 4\)"),
        ({"picture": np.zeros((3, 16, 16))}, r"\(3, 16, 16\)"),
        ({"picture": np.full((16, 16), 2.0)}, "2"),
        ({"picture": np.full((16, 16), np.nan)}, "nan"),
        ({"picture": PICTURE, "preset": "VGG-16"}, "'VGG-16'.*LeNet-5"),
    ],
)
def test_refuses(options, word):
    with pytest.raises(ValueError, match=word):
        receptive_field_builder(**options)


# the last layer that sees a window and not the whole map
LAST = {
    "VGG-A": ("vgg-a", "features.pool5"),
    "Lecture's CIFAR-100 net": ("factorised-cnn", "features.sub2"),
    "ResNet-18": ("resnet-18", "stage4.1.conv2"),
}


@pytest.mark.parametrize("preset", LAST)
def test_presets_are_the_networks_of_the_book(preset):
    name, layer = LAST[preset]
    side, layers = BUILDER_PRESETS[preset]
    with torch.device("meta"):
        network = build_model(name).eval()
    want = receptive_field(network, (3, side, side))[layer]
    got = rows_of(side, [dict(zip(("kind", "k", "s", "p", "d"), one, strict=True)) for one in layers])[-1]
    assert (got["map"], got["size"], got["jump"], got["start"]) == (
        want.output_size[-1],
        want.size,
        want.jump,
        want.start,
    )


def test_dilated_layers_keep_the_side():
    stack = nn.Sequential(*(nn.Conv2d(1, 1, k, s, p, d) for _, k, s, p, d in dilated(1, 2, 4, 8)))
    assert stack(torch.zeros(1, 1, 32, 32)).shape[-2:] == (32, 32)
    assert receptive_field(stack, (1, 32, 32))[-1].size == 31


# ---- arithmetic in the browser


@browser_test
@pytest.mark.parametrize("preset", BUILDER_PRESETS)
def test_every_preset_and_each_of_its_layers_agree_with_autograd(show, preset):
    host = show(builder(preset=preset)).locator(".cnnlab-explorer")
    side, layers = BUILDER_PRESETS[preset]
    shown = read(host, "layers")
    assert [tuple(layer[key] for key in ("kind", "k", "s", "p", "d")) for layer in shown] == list(layers)
    assert read(host, "rows") == rows_of(side, shown)
    for level in range(len(layers), -1, -2):
        host.get_by_role("radio").nth(level).check(force=True)
        assert read(host, "at") == level
        agree(host, side, shown[:level])


def agree(host, side, layers):
    for unit, seen, (low, high) in zip(
        read(host, "unit"), read(host, "seen"), read(host, "region"), strict=True
    ):
        assert seen == pixels_with_gradient(side, layers, unit)
        row = rows_of(side, layers)[-1]
        center = row["start"] + unit * row["jump"]
        assert (low, high) == (center - (row["size"] - 1) / 2, center + (row["size"] - 1) / 2)


@browser_test
def test_stacks_of_random_layers_agree_with_autograd(show):
    host = show(builder()).locator(".cnnlab-explorer")
    draw = random.Random(6)
    host.get_by_label("Input side").fill("40")
    for _ in range(12):
        level = draw.randint(1, 5)
        host.get_by_role("radio").nth(level).check(force=True)
        for label, limits in (
            ("Kernel", (1, 5)),
            ("Stride", (1, 3)),
            ("Padding", (0, 3)),
            ("Dilation", (1, 3)),
        ):
            host.get_by_label(label, exact=True).fill(str(draw.randint(*limits)))
        layers = read(host, "layers")
        assert read(host, "rows") == rows_of(40, layers)
        if host.get_attribute("data-problem"):
            continue
        slider = host.get_by_role("slider")
        slider.press(draw.choice(["Home", "End", "ArrowLeft"]))
        agree(host, 40, layers[:level])


@browser_test
def test_layers_are_added_and_removed(show):
    host = show(builder()).locator(".cnnlab-explorer")
    add = host.get_by_role("button", name="Add a layer after the chosen one")
    remove = host.get_by_role("button", name="Remove the chosen layer")
    assert [row["size"] for row in read(host, "rows")] == [1, 5, 6, 14, 16, 32]
    add.press("Enter")
    assert read(host, "at") == 6 and host.get_attribute("data-problem") == ""
    assert [row["size"] for row in read(host, "rows")] == [1, 5, 6, 14, 16, 32, 40]
    assert host.get_by_role("combobox", name="Stack").input_value() == "your own"
    for left in range(5, -1, -1):
        remove.click()
        assert len(read(host, "layers")) == left
    assert remove.is_disabled() and read(host, "at") == 0 and read(host, "region") == [[16, 16]] * 2
    assert host.get_by_text("of the input: its field is 1×1 pixels").is_visible()
    for _ in range(41):
        if add.is_enabled():
            add.click()
    assert len(read(host, "layers")) == 40 and add.is_disabled()


@browser_test
def test_a_layer_without_output_says_so_and_what_to_do(show):
    host = show(builder()).locator(".cnnlab-explorer")
    host.get_by_label("Kernel", exact=True).fill("9")
    assert host.get_by_text(
        "Layer 5 has no output: its window spans 9 units, the padded map has only 5"
    ).is_visible()
    assert host.get_by_role("slider").is_hidden() or host.get_by_role("slider").is_disabled()
    host.get_by_label("Padding", exact=True).fill("2")
    assert read(host, "rows")[-1] == {"map": 1, "size": 48, "jump": 4, "start": 15.5}


@browser_test
def test_numbers_out_of_range_change_nothing(show):
    host = show(builder()).locator(".cnnlab-explorer")
    kernel = host.get_by_label("Kernel", exact=True)
    for nonsense in ("0", "32", "2.5", ""):
        kernel.fill(nonsense)
        assert kernel.get_attribute("aria-invalid") == "true"
        assert read(host, "layers")[-1]["k"] == 5
    kernel.blur()
    assert kernel.input_value() == "5"


@browser_test
def test_holes_are_counted(show):
    host = show(builder(preset="Dilation 2, 2, 2 (gridding)")).locator(".cnnlab-explorer")
    assert host.get_by_text("its field is 13×13 pixels").is_visible()
    assert host.get_by_text(f"skips {13**2 - 7**2} pixels").is_visible()
    host.get_by_role("combobox", name="Stack").select_option("Dilation 1, 2, 4, 8")
    assert host.get_by_text("skips").count() == 0


# ---- hands and manners


@browser_test
def test_units_are_chosen_by_keyboard_and_by_pointer(show):
    page = show(builder(preset="Plain 3×3, four times"))
    host = page.locator(".cnnlab-explorer")
    slider = host.get_by_role("slider")
    slider.press("Home")
    assert read(host, "unit") == [0, 0] and read(host, "region") == [[-4, 4], [-4, 4]]
    assert host.get_by_text("Inside the picture lie 5×5 of them").is_visible()
    slider.press("ArrowDown")
    slider.press("ArrowRight")
    assert read(host, "unit") == [1, 1]
    slider.press("End")
    assert read(host, "unit") == [31, 31]
    host.get_by_role("radio").nth(0).focus()
    host.get_by_role("radio").nth(4).check(force=True)
    box = host.get_by_role("img").bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.25)
    row, column = read(host, "unit")
    assert row < 10 < column < 22


@browser_test
def test_arrow_keys_walk_through_the_layers(show):
    host = show(builder()).locator(".cnnlab-explorer")
    chosen = host.get_by_role("radio", name="5 conv 5×5")
    chosen.focus()
    chosen.press("ArrowUp")
    assert read(host, "at") == 4
    host.get_by_role("radio", name="4 pool 2×2 /2").press("ArrowUp")
    assert read(host, "at") == 3 and read(host, "rows")[3]["size"] == 14


@browser_test
def test_two_on_one_page_do_not_touch_each_other(show):
    page = show(builder(), builder(preset="VGG-A"))
    hosts = page.locator(".cnnlab-explorer")
    hosts.nth(0).get_by_role("radio", name="1 conv 5×5").check(force=True)
    assert read(hosts.nth(0), "at") == 1 and read(hosts.nth(1), "at") == 13


(
    test_html_holds_no_addresses,
    test_every_control_is_reached_by_tab_and_shows_it,
    test_nothing_overflows_on_a_phone,
    test_it_is_accessible,
) = manners(
    {name: lambda name=name: builder(preset=name) for name in ("LeNet-5", "Dilation 2, 2, 2 (gridding)")},
    extreme={
        name: lambda name=name: builder(preset=name) for name in ("VGG-A", "ResNet-18", "Dilation 1, 2, 4, 8")
    },
)
