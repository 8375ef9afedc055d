"""The explorer of the three rules: in a real browser, its arithmetic against the library, manners."""

import random

import pytest
import torch
from torch import nn

from tests.course.explorer_page import browser_test, manners, read
from utils.analysis import attribution
from utils.course.explorers.relu_rules import EXAMPLES, WEIGHTS, relu_rules

METHODS = {
    "gradient": attribution.gradient,
    "deconvnet": attribution.deconvnet,
    "guided": attribution.guided_backprop,
}


def network(weights):
    """The page's network on pictures of one pixel; its last layer, without a ReLU, brings the signal in."""
    layers = []
    for weight in weights:
        matrix = torch.tensor(weight, dtype=torch.float64)
        layer = nn.Conv2d(matrix.shape[1], matrix.shape[0], 1, bias=False, dtype=torch.float64)
        layer.weight.data = matrix[:, :, None, None]
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten())


def expected(weights, x, signal):
    """name of the rule -> what the library sends back."""
    body = network(weights)
    head = nn.Linear(len(signal), 1, bias=False, dtype=torch.float64)
    head.weight.data = torch.tensor([signal], dtype=torch.float64)
    pixel = torch.tensor(x, dtype=torch.float64).view(1, -1, 1, 1)
    return {
        name: method(nn.Sequential(body, head), pixel, 0).flatten().tolist()
        for name, method in METHODS.items()
    }


def agree(host, weights):
    x, signal = read(host, "x"), read(host, "g")
    body = network(weights)
    with torch.no_grad():
        output = body(torch.tensor(x, dtype=torch.float64).view(1, -1, 1, 1))
    assert read(host, "forward")["y"] == pytest.approx(output[0].tolist())
    for name, values in expected(weights, x, signal).items():
        assert read(host, "back")[name] == pytest.approx(values, abs=1e-9), name
    slopes = read(host, "slopes")
    if slopes:
        assert slopes == pytest.approx(expected(weights, x, signal)["gradient"], abs=1e-6)


# ---- Python


def test_the_examples_open_with_three_different_answers():
    data = relu_rules().data
    assert data["weights"] == [[list(row) for row in matrix] for matrix in WEIGHTS]
    assert [example["name"] for example in data["examples"]] == list(EXAMPLES)
    x, signal = EXAMPLES["three different answers"]
    answers = expected(WEIGHTS, x, signal)
    assert (
        answers["gradient"] == [-1, -3, -5]
        and answers["deconvnet"] == [0, 1, 1]
        and answers["guided"] == [2, -1, -1]
    )


def test_the_example_that_only_the_gradient_answers_is_what_its_name_says():
    answers = expected(WEIGHTS, *EXAMPLES["evidence against, which only the gradient sends"])
    assert any(answers["gradient"]) and not any(answers["guided"]) and not any(answers["deconvnet"])


def test_ones_own_network_comes_first():
    data = relu_rules([[[1, 2]], [[3]]], [1, -1], [2]).data
    assert data == {"weights": [[[1, 2]], [[3]]], "examples": [{"name": "as given", "x": [1, -1], "g": [2]}]}


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"weights": [[[1.0]]]}, r"\[\(1, 1\)\]"),
        ({"weights": [[[1.0, 2.0]], [[1.0, 2.0]]]}, r"\(1, 2\), \(1, 2\)"),
        ({"weights": [[[1.0]] * 5, [[1.0] * 5]]}, "from 1 to 4"),
        ({"weights": [[[1.0]], [[1.0]]]}, "x must be 1 finite"),
        ({"x": [1, 2]}, "x must be 3 finite"),
        ({"x": [1, 2, 3], "signal": [1, float("nan")]}, "signal must be 2 finite"),
    ],
)
def test_refuses(arguments, word):
    with pytest.raises(ValueError, match=word):
        relu_rules(**arguments)


# ---- the browser


@browser_test
@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_agrees_with_the_library(show, example):
    host = show(relu_rules()).locator(".cnnlab-explorer")
    host.get_by_role("combobox", name="Example").select_option(example)
    x, signal = EXAMPLES[example]
    assert (read(host, "x"), read(host, "g")) == (list(x), list(signal))
    assert read(host, "slopes")
    agree(host, WEIGHTS)


@browser_test
def test_random_numbers_and_a_network_of_ones_own_agree_with_the_library(show):
    draw = random.Random(11)
    weights = [
        [[round(draw.uniform(-2, 2), 2) for _ in range(2)] for _ in range(4)],
        [[round(draw.uniform(-2, 2), 2) for _ in range(4)]],
    ]
    for explorer, matrices in ((relu_rules(), WEIGHTS), (relu_rules(weights, [1, 1], [1]), weights)):
        host = show(explorer).locator(".cnnlab-explorer")
        for _ in range(6):
            for box in host.get_by_role("spinbutton").all():
                box.fill(str(round(draw.uniform(-4, 4), 1)))
            agree(host, matrices)


@browser_test
def test_masks_are_those_of_the_rules(show):
    host = show(relu_rules()).locator(".cnnlab-explorer")
    masks = read(host, "masks")
    assert masks["gradient"] == [[1, 1, 0, 1], [1, 1]]
    assert masks["deconvnet"] == [[1, 0, 1, 1], [1, 0]]
    assert masks["guided"] == [[1, 0, 0, 1], [1, 0]]
    shown = (
        host.get_by_role("table", name="Guided backpropagation")
        .locator("td.open, td.closed")
        .all_text_contents()
    )
    assert shown == ["1", "0", "1", "0", "0", "1"]


@browser_test
def test_words_say_what_happens(show):
    host = show(relu_rules()).locator(".cnnlab-explorer")
    assert host.get_by_text("gradient (−1, −3, −5); deconvnet (0, 1, 1); guided (2, −1, −1)").is_visible()
    assert host.get_by_text("Deconvnet sends a signal through 1 closed unit,").is_visible()
    first = host.get_by_label("Signal that arrives at output 1")
    first.fill("0")
    host.get_by_label("Signal that arrives at output 2").fill("0")
    assert host.get_by_text("All three agree.").is_visible()
    assert host.get_by_role("combobox", name="Example").input_value() == "your own"
    for number in (1, 2, 3):
        host.get_by_label(f"Input {number}").fill("0")
    assert host.get_by_text("the score has a kink").is_visible() and read(host, "slopes") == []
    host.get_by_label("Input 1").fill("100")
    assert host.get_by_label("Input 1").get_attribute("aria-invalid") == "true" and read(host, "x") == [
        0,
        0,
        0,
    ]


@browser_test
def test_two_on_one_page_do_not_touch_each_other(show):
    hosts = show(relu_rules(), relu_rules()).locator(".cnnlab-explorer")
    hosts.nth(0).get_by_label("Input 1").fill("7")
    assert read(hosts.nth(0), "x")[0] == 7 and read(hosts.nth(1), "x")[0] == 2


(
    test_html_holds_no_addresses,
    test_every_control_is_reached_by_tab_and_shows_it,
    test_nothing_overflows_on_a_phone,
    test_it_is_accessible,
) = manners(
    {"examples": relu_rules},
    extreme={"long numbers": lambda: relu_rules(x=[-12.25, 33.5, -98.75], signal=[-77.25, 88.5])},
)
