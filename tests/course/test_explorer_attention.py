"""The attention explorer in a real browser: its softmax against torch, pointer, keyboard and manners."""

import math
import random

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.course.explorer_page import browser_test, manners, read
from utils.course.explorers.attention import BLUR, attention_explorer

SIDE = 4
GENERATOR = np.random.default_rng(15)


def numbers(*shape, scale=1.0):
    return scale * GENERATOR.standard_normal(shape)


# a layer with a class token and one without, which have different numbers of heads
PLAIN = {
    "layer 1": (numbers(2, SIDE**2 + 1, 6), numbers(2, SIDE**2 + 1, 6)),
    "steep": (numbers(3, SIDE**2, 2, scale=30), numbers(3, SIDE**2, 2, scale=30)),
}
EXAMPLES = {
    "noise": (GENERATOR.random((3, 16, 16)), PLAIN),
    "ramp": (
        np.arange(64, dtype=np.uint8).reshape(1, 8, 8),
        {"only": (numbers(1, SIDE**2 + 1, 5), numbers(1, SIDE**2 + 1, 5))},
    ),
}


def explorer():
    return attention_explorer(EXAMPLES)


def expected(data, example, layer, head, query):
    """One token's attention, by torch, from the page's rounded numbers. query: -1 for the class token."""
    chosen = data["examples"][example]["layers"][layer]
    q, k = (torch.tensor(chosen[name][head], dtype=torch.float64) for name in "qk")
    return F.scaled_dot_product_attention(q, k, torch.eye(len(k), dtype=torch.float64))[
        query + chosen["classToken"]
    ].tolist()


def choose(host, group, option):
    host.get_by_role("group", name=group, exact=True).get_by_label(str(option), exact=True).check(force=True)


def query(host, place):
    host.get_by_role("slider", name="Patch of the query").fill(str(place))


# ---- Python


def test_data_hold_the_rounded_numbers_and_the_colors():
    data = explorer().data
    assert data["query"] == SIDE // 2 * SIDE + SIDE // 2
    assert data["side"] == SIDE and data["kernel"] == [list(row) for row in BLUR]
    first, second = data["examples"]
    assert [layer["name"] for layer in first["layers"]] == ["layer 1", "steep"]
    assert [layer["classToken"] for layer in first["layers"]] == [True, False]
    np.testing.assert_allclose(first["layers"][0]["q"], PLAIN["layer 1"][0], atol=5e-4)
    assert second["pixels"][0][:3] == ["000000", "010101", "020202"] and len(second["pixels"]) == 8


def test_tensors_are_taken_and_floats_become_bytes():
    picture = torch.zeros(3, 4, 4)
    picture[0] = 1.0
    pair = (torch.ones(1, 4, 2, requires_grad=True), torch.ones(1, 4, 2))
    data = attention_explorer({"red": (picture, {"a": pair})}).data
    assert data["side"] == 2 and data["examples"][0]["pixels"] == [["ff0000"] * 4] * 4


PAIR = (np.ones((1, 4, 2)), np.ones((1, 4, 2)))
PICTURE = np.zeros((3, 4, 4))


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"examples": {}}, "examples is empty"),
        ({"examples": {"a": (PICTURE, {})}}, "'a' has no layers"),
        ({"examples": {"a": (PICTURE, {"b": PAIR})}, "kernel": [[1.0]]}, "3×3 finite"),
        ({"examples": {"a": (np.zeros((2, 4, 4)), {"b": PAIR})}}, r"\(2, 4, 4\)"),
        ({"examples": {"a": (np.zeros((3, 128, 128)), {"b": PAIR})}}, "at most 64 pixels"),
        ({"examples": {"a": (PICTURE + 2.0, {"b": PAIR})}}, "got 2 to 2"),
        ({"examples": {"a": (np.zeros((3, 5, 5)), {"b": PAIR})}}, "5×5 pixels, which 2×2 patches"),
        (
            {"examples": {"a": (PICTURE, {"b": (np.ones((1, 4, 2)), np.ones((1, 4, 3)))})}},
            r"\(1, 4, 2\) and \(1, 4, 3\)",
        ),
        ({"examples": {"a": (PICTURE, {"b": (np.ones((1, 7, 2)), np.ones((1, 7, 2)))})}}, "got 7"),
        ({"examples": {"a": (PICTURE, {"b": (np.full((1, 4, 2), np.nan), PAIR[1])})}}, "must be finite"),
        (
            {"examples": {"a": (PICTURE, {"b": PAIR, "c": (np.ones((1, 16, 2)), np.ones((1, 16, 2)))})}},
            "got 2×2, 4×4",
        ),
        ({"examples": {"a": (PICTURE, {"b": PAIR})}, "query": 4}, "0 to 3, got 4"),
        (
            {"examples": {"a": (PICTURE, {"b": (np.ones((99, 4, 200)), np.ones((99, 4, 200)))})}},
            "158,400 numbers",
        ),
    ],
)
def test_refuses(arguments, word):
    with pytest.raises(ValueError, match=word):
        attention_explorer(**arguments)


# ---- the browser


@browser_test
def test_softmax_of_every_layer_and_head_is_that_of_torch(show):
    shown = explorer()
    host = show(shown).locator(".cnnlab-explorer")
    draw = random.Random(15)
    for layer, (name, heads) in enumerate({"layer 1": 2, "steep": 3}.items()):
        host.get_by_role("combobox", name="Layer").select_option(name)
        for head in range(heads):
            choose(host, "Head", head + 1)
            for place in [0, SIDE**2 - 1, draw.randrange(SIDE**2)]:
                query(host, place)
                weights = read(host, "weights")
                assert weights == pytest.approx(expected(shown.data, 0, layer, head, place), abs=1e-9)
                assert sum(weights) == pytest.approx(1) and read(host, "query") == place
                own = np.array(weights[-(SIDE**2) :])
                rows, columns = np.divmod(np.arange(SIDE**2), SIDE)
                distances = np.hypot(rows - place // SIDE, columns - place % SIDE)
                assert read(host, "distance") == pytest.approx((own * distances).sum() / own.sum())


@browser_test
def test_it_opens_with_the_query_that_was_given(show):
    shown = attention_explorer(EXAMPLES, query=3)
    host = show(shown).locator(".cnnlab-explorer")
    assert read(host, "query") == 3
    assert read(host, "weights") == pytest.approx(expected(shown.data, 0, 0, 0, 3), abs=1e-9)


@browser_test
def test_the_class_token_has_a_query_where_there_is_one(show):
    shown = explorer()
    host = show(shown).locator(".cnnlab-explorer")
    choose(host, "Query of", "class token")
    assert read(host, "query") == -1 and read(host, "weights") == pytest.approx(
        expected(shown.data, 0, 0, 0, -1)
    )
    assert host.get_by_text("The class token attends most to").is_visible()
    host.get_by_role("combobox", name="Layer").select_option("steep")
    assert read(host, "query") >= 0 and len(read(host, "weights")) == SIDE**2
    assert host.get_by_label("class token").is_disabled() and host.get_by_label("a patch").is_disabled()


@browser_test
def test_the_other_image_has_its_own_layers(show):
    shown = explorer()
    host = show(shown).locator(".cnnlab-explorer")
    host.get_by_role("combobox", name="Layer").select_option("steep")
    choose(host, "Head", 3)
    host.get_by_role("combobox", name="Image").select_option("ramp")
    query(host, 6)
    assert (read(host, "layer"), read(host, "head")) == (0, 0)
    assert read(host, "weights") == pytest.approx(expected(shown.data, 1, 0, 0, 6))


@browser_test
def test_convolution_lays_its_kernel_around_the_patch(show):
    kernel = [[1.0, 2.0, 3.0], [4.0, 5.0, -6.0], [7.0, 8.0, 9.0]]
    host = show(attention_explorer(EXAMPLES, kernel)).locator(".cnnlab-explorer")
    choose(host, "Weights of", "3×3 convolution")
    for place in range(SIDE**2):
        query(host, place)
        padded = np.zeros((SIDE + 2, SIDE + 2))
        padded[place // SIDE : place // SIDE + 3, place % SIDE : place % SIDE + 3] = kernel
        assert read(host, "weights") == padded[1:-1, 1:-1].flatten().tolist()
    assert host.get_by_text("4 of the 9 weights fall on the image").is_visible()
    assert host.get_by_role("combobox", name="Layer").is_disabled()


@browser_test
def test_pointer_and_arrow_keys_move_the_patch_that_asks(show):
    host = show(explorer()).locator(".cnnlab-explorer")
    for name in ("noise", "Attention, layer 1"):
        box = host.get_by_role("img", name=name).bounding_box()
        host.page.mouse.click(box["x"] + 3.5 / SIDE * box["width"], box["y"] + 0.5 / SIDE * box["height"])
        assert read(host, "query") == 3
        host.get_by_role("slider", name="Patch of the query").focus()
        for key, place in (
            ("ArrowDown", 7),
            ("ArrowLeft", 6),
            ("ArrowUp", 2),
            ("ArrowRight", 3),
            ("Home", 0),
        ):
            host.page.keyboard.press(key)
            assert read(host, "query") == place
    choose(host, "Query of", "class token")
    host.get_by_role("slider", name="Patch of the query").press("ArrowRight")
    assert read(host, "query") == 1


@browser_test
def test_words_say_what_the_map_shows(show):
    keys = np.zeros((1, 4, 1))
    keys[0, 2] = math.log(7)
    host = show(attention_explorer({"p": (PICTURE, {"a": (np.ones((1, 4, 1)), keys)})})).locator(
        ".cnnlab-explorer"
    )
    query(host, 0)
    # weights 1, 1, 7, 1 over 10 (the logarithm rounded to 1.946); distances 0, 1, 1, √2
    assert host.get_by_text(
        "The patch in row 1, column 1 attends most to row 2, column 1: 70 %."
    ).is_visible()
    half = "Half of what goes to patches goes to 1 of 4; if all were alike, each would get 25 %."
    assert host.get_by_text(f"{half} Mean distance: 0.9 patches.").is_visible()


@browser_test
def test_two_on_one_page_do_not_touch_each_other(show):
    hosts = show(explorer(), explorer()).locator(".cnnlab-explorer")
    query(hosts.nth(0), 1)
    choose(hosts.nth(0), "Head", 2)
    assert (read(hosts.nth(0), "query"), read(hosts.nth(0), "head")) == (1, 1)
    assert (read(hosts.nth(1), "query"), read(hosts.nth(1), "head")) == (10, 0)


def large():
    return attention_explorer(
        {"large": (np.zeros((3, 32, 32)), {"a": (np.ones((9, 256, 2)), np.ones((9, 256, 2)))})}
    )


(
    test_html_holds_no_addresses,
    test_every_control_is_reached_by_tab_and_shows_it,
    test_nothing_overflows_on_a_phone,
    test_it_is_accessible,
) = manners({"two images": explorer}, extreme={"large": large})
