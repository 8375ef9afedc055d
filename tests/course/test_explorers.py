"""Explorers: their Python side and, in a real browser, their arithmetic, their keyboard and their manners."""

import itertools
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.course.explorer_page import browser_test, manners, page_of, read
from utils.course.explorers.base import Explorer
from utils.course.explorers.convolution import KERNELS, convolution_stepper
from utils.course.explorers.output_size import PRESETS, output_size_calculator
from utils.course.explorers.toeplitz import toeplitz_builder

GENERATOR = np.random.default_rng(7)
IMAGE = GENERATOR.random((12, 10)).round(2)
ALL = {
    "stepper": lambda: convolution_stepper(IMAGE, padding=1),
    "toeplitz": toeplitz_builder,
    "toeplitz-2d": lambda: toeplitz_builder(mode="2d"),
    "size": output_size_calculator,
    "size-transposed": lambda: output_size_calculator("The same with output padding 1"),
}
# the book's theme, JupyterLab and Colab say in their own ways that the page is dark
DARK_PAGES = {
    "book": ("<html lang='en' data-theme='dark'>", "<body>"),
    "jupyterlab": ("<html lang='en'>", "<body data-jp-theme-light='false'>"),
    "colab": ("<html lang='en' theme='dark'>", "<body>"),
}


def choose(host, group, option):
    host.get_by_role("group", name=group, exact=True).get_by_label(str(option), exact=True).check(force=True)


def close(actual, expected):
    np.testing.assert_allclose(np.asarray(actual), torch.as_tensor(expected).numpy(), rtol=0, atol=1e-9)


# Operates controls by their labels, many settings in one go, as a click or a typed number would; returns what
# the page then shows.
SWEEP = """(host, settings) => {
    const root = host.shadowRoot;
    const said = (node) => node.textContent.trim();
    function operate(label, value) {
        const radios = [...root.querySelectorAll('fieldset:has([type=radio])')];
        const group = radios.find((fieldset) => said(fieldset.querySelector('legend')) === label);
        if (group) return group.querySelector(`input[value="${value}"]`).click();
        const labels = [...root.querySelectorAll('label')];
        const box = labels.find((node) => said(node).startsWith(label)).querySelector('input, select');
        if (box.type === 'checkbox') { if (box.checked !== value) box.click(); return; }
        if (box.type !== 'checkbox' && (box.selectedOptions?.[0].text ?? box.value) === String(value)) return;
        if (box.type === 'number') { box.value = value; box.dispatchEvent(new Event('input')); return; }
        box.selectedIndex = [...box.options].findIndex((option) => option.text === value);
        box.dispatchEvent(new Event('change'));
    }
    return settings.map((setting) => {
        Object.entries(setting).forEach(([label, value]) => operate(label, value));
        return { ...host.dataset };
    });
}"""


def sweep(host, settings):
    """The data attributes after each setting (label -> value), as [(setting, attributes)]."""
    states = host.evaluate(SWEEP, settings)
    decode = {"output", "input", "matrix", "missed", "size", "exact"}
    return [
        (setting, {key: json.loads(text) if key in decode and text else text for key, text in state.items()})
        for setting, state in zip(settings, states, strict=True)
    ]


def every(**choices):
    """All combinations; an underscore in a name stands for a space."""
    labels = [name.replace("_", " ") for name in choices]
    return [dict(zip(labels, values, strict=True)) for values in itertools.product(*choices.values())]


def layer(setting):
    """The arguments of torch's convolutions."""
    return {name: setting[name.capitalize()] for name in ("stride", "padding", "dilation")}


# ---- Python
# -----------------------------------------------------------------------------------------------------------


def test_importing_explorers_does_not_import_torch():
    code = "import sys, utils.course.explorers; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("name", ALL)
def test_html_is_one_block(name):
    explorer = ALL[name]()
    html = explorer._repr_html_()
    assert "needs a browser with JavaScript" in html
    assert explorer.title in repr(explorer) and "\n" not in repr(explorer)
    assert explorer._repr_html_() != html, "each showing needs an id of its own"


def test_data_cannot_end_the_script():
    explorer = Explorer("toeplitz_builder", "</script><b>", {"text": "</script><!--"}, "<i>")
    html = explorer._repr_html_()
    assert html.count("</script>") == 1 and "<b>" not in html and "<i>" not in html


def test_nan_in_data_is_refused():
    with pytest.raises(ValueError):
        Explorer("toeplitz_builder", "t", {"x": float("nan")}, "s")._repr_html_()


def test_stepper_takes_tensors_and_bytes():
    image = torch.arange(0, 160, 10, dtype=torch.uint8).reshape(4, 4)
    explorer = convolution_stepper(image, {"one": torch.ones(3, 3, requires_grad=True)})
    assert explorer.data["image"][3][3] == round(150 / 255, 2)
    assert explorer.data["kernels"] == [{"name": "one", "weights": [[1.0] * 3] * 3}]


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"image": np.zeros((3, 8, 8))}, r"\(3, 8, 8\)"),
        ({"image": np.zeros((40, 8))}, r"\(40, 8\)"),
        ({"image": np.full((4, 4), np.nan)}, "NaN"),
        ({"image": IMAGE, "kernels": {"wide": np.zeros((9, 9))}}, "'wide'"),
        ({"image": IMAGE, "stride": 4}, "stride .* 4"),
    ],
)
def test_stepper_refuses(options, word):
    with pytest.raises(ValueError, match=word):
        convolution_stepper(**options)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"signal": [1, 2]}, r"\(2,\)"),
        ({"kernel": [1] * 6}, r"\(6,\)"),
        ({"kernel_2d": [[1]]}, r"\(1, 1\)"),
        ({"mode": "3d"}, "'3d'"),
        ({"image_size": (4, 9)}, r"\(4, 9\)"),
        ({"padding": 5}, "padding .* 5"),
    ],
)
def test_toeplitz_refuses(options, word):
    with pytest.raises(ValueError, match=word):
        toeplitz_builder(**options)


def test_calculator_lists_its_presets_on_an_unknown_one():
    with pytest.raises(ValueError, match="AlexNet with 227"):
        output_size_calculator("LeNet")


# ---- arithmetic in the browser
# ----------------------------------------------------------------------------------------


@browser_test
def test_stepper_computes_conv2d_for_every_setting(show):
    kernels = {
        "random 3×3": GENERATOR.normal(size=(3, 3)).round(3),
        "random 2×4": GENERATOR.normal(size=(2, 4)).round(3),
    }
    page = show(convolution_stepper(IMAGE, kernels))
    host = page.locator(".cnnlab-explorer")
    image = torch.tensor(IMAGE)[None, None]
    settings = every(
        Kernel=list(kernels), Stride=(1, 2, 3), Padding=(0, 1, 2), Dilation=(1, 2), Flip=(False, True)
    )
    for setting, state in sweep(host, settings):
        weight = torch.tensor(kernels[setting["Kernel"]])[None, None]
        expected = F.conv2d(image, weight.flip(2, 3) if setting["Flip"] else weight, **layer(setting))
        close(state["output"], expected[0, 0])


@browser_test
def test_stepper_without_any_output_says_so(show):
    page = show(convolution_stepper(np.eye(3), {"wide": np.ones((3, 3))}))
    host = page.locator(".cnnlab-explorer")
    choose(host, "Dilation", 2)
    assert read(host, "output") == []
    assert host.get_by_text("there is no output").is_visible()
    choose(host, "Padding", 1)
    close(
        read(host, "output"),
        F.conv2d(
            torch.eye(3, dtype=torch.float64)[None, None],
            torch.ones(1, 1, 3, 3).double(),
            padding=1,
            dilation=2,
        )[0, 0],
    )


@browser_test
def test_stepper_writes_out_the_sum(show):
    page = show(convolution_stepper([[0.5, 1.0, 0.0], [0.25, 0.0, 1.0]], {"two": [[1, 0], [-2, 3]]}))
    host = page.locator(".cnnlab-explorer")
    host.get_by_role("slider").press("Home")
    assert host.get_by_text("0.5·1 + 0.25·(−2) + 0·3 = 0 (and 1 pixel times 0)").is_visible()
    host.get_by_role("button", name="One step forward").click()
    assert host.get_by_text("1·1 + 0·(−2) + 1·3 = 4").is_visible()
    assert read(host, "value") == 4


@browser_test
def test_toeplitz_matrix_of_a_signal_is_conv1d_and_its_transpose(show):
    coefficients = [1.5, -2, 0.5, 3, -1]
    page = show(toeplitz_builder(kernel=coefficients))
    settings = every(
        Length_n=(4, 10),
        Kernel_size=(1, 3, 5),
        Stride=(1, 2, 3),
        Padding=(0, 1, 2),
        Dilation=(1, 2),
        Transpose=(False, True),
    )
    for setting, state in sweep(page.locator(".cnnlab-explorer"), settings):
        n, k = setting["Length n"], setting["Kernel size"]
        span = setting["Dilation"] * (k - 1) + 1
        if n + 2 * setting["Padding"] < span:
            assert np.size(state["matrix"]) == 0
            continue
        weight = torch.tensor(coefficients[:k]).double()[None, None]
        matrix = F.conv1d(torch.eye(n).double()[:, None], weight, **layer(setting))[:, 0].T
        close(state["matrix"], matrix.T if setting["Transpose"] else matrix)
        given = torch.tensor(state["input"]).double()[None, None]
        if setting["Transpose"]:
            reached = (matrix.shape[0] - 1) * setting["Stride"] - 2 * setting["Padding"] + span
            expected = F.conv_transpose1d(given, weight, output_padding=n - reached, **layer(setting))
        else:
            expected = F.conv1d(given, weight, **layer(setting))
        close(state["output"], expected[0, 0])


@browser_test
def test_toeplitz_follows_typed_coefficients_and_ignores_nonsense(show):
    page = show(toeplitz_builder([1, 0, 0, 2], [1, -2, 1]))
    host = page.locator(".cnnlab-explorer")
    host.get_by_label("Coefficient b").fill("0.25")
    close(read(host, "matrix")[0], [0.25, 1, 0, 0])
    length = host.get_by_label("Length n")
    for nonsense in ("11", "3", "", "4.5"):
        length.fill(nonsense)
        assert length.get_attribute("aria-invalid") == "true"
        assert len(read(host, "input")) == 4
    length.blur()
    assert length.input_value() == "4" and length.get_attribute("aria-invalid") == "false"


@browser_test
def test_toeplitz_matrix_of_a_picture_is_conv2d_and_its_transpose(show):
    weight = GENERATOR.integers(-3, 4, (3, 3)).astype(float)
    page = show(toeplitz_builder(mode="2d", kernel_2d=weight))
    kernel = torch.tensor(weight)[None, None]
    settings = every(
        Height=(3, 5),
        Width=(4, 6),
        Stride=(1, 2),
        Padding=(0, 1, 2),
        Dilation=(1, 2),
        Transpose=(False, True),
    )
    for setting, state in sweep(page.locator(".cnnlab-explorer"), settings):
        height, width = setting["Height"], setting["Width"]
        if min(height, width) + 2 * setting["Padding"] < 2 * setting["Dilation"] + 1:
            assert np.size(state["matrix"]) == 0
            continue
        units = torch.eye(height * width).double().reshape(-1, 1, height, width)
        responses = F.conv2d(units, kernel, **layer(setting))
        matrix = responses.flatten(1)
        close(state["matrix"], matrix if setting["Transpose"] else matrix.T)
        given = torch.tensor(state["input"]).double()
        if setting["Transpose"]:
            short = [
                side - ((out - 1) * setting["Stride"] - 2 * setting["Padding"] + 2 * setting["Dilation"] + 1)
                for side, out in zip((height, width), responses.shape[2:], strict=True)
            ]
            expected = F.conv_transpose2d(
                given.reshape(1, *responses.shape[1:]), kernel, output_padding=short, **layer(setting)
            )
        else:
            expected = F.conv2d(given.reshape(1, 1, height, width), kernel, **layer(setting))
        close(state["output"], expected.flatten())


@browser_test
def test_calculator_agrees_with_torch_on_sizes_and_on_the_pixels_that_are_missed(show):
    page = show(output_size_calculator())
    settings = every(
        Input_n=(7, 30), Kernel_k=(1, 4), Padding_p=(0, 1), Stride_s=(1, 3, 5), Dilation_d=(1, 2)
    )
    for setting, state in sweep(page.locator(".cnnlab-explorer"), settings):
        n, k, p, s, d = setting.values()
        line = torch.zeros(1, 1, n, requires_grad=True)
        output = F.conv1d(line, torch.ones(1, 1, k), padding=p, stride=s, dilation=d)
        assert state["size"] == output.shape[-1]
        output.sum().backward()
        assert state["missed"] == (line.grad[0, 0] == 0).nonzero().flatten().tolist()


@browser_test
def test_calculator_agrees_with_torch_on_transposed_sizes(show):
    page = show(output_size_calculator("Transposed 16 → 32: 4/2, padding 1"))
    settings = every(
        Input_n=(1, 9),
        Kernel_k=(2, 5),
        Padding_p=(0, 1),
        Stride_s=(1, 2, 3),
        Dilation_d=(1, 2),
        Output_padding=(0, 1),
    )
    for setting, state in sweep(page.locator(".cnnlab-explorer"), settings):
        n, k, p, s, d, op = setting.values()
        try:
            output = F.conv_transpose1d(torch.ones(1, 1, n), torch.ones(1, 1, k), None, s, p, op, 1, d)
        except RuntimeError:
            assert state["problem"] and state["size"] == ""
            continue
        assert state["size"] == output.shape[-1]
        assert state["missed"] == (output[0, 0] == 0).nonzero().flatten().tolist()


@browser_test
def test_calculator_presets_tell_their_story(show):
    page = show(output_size_calculator())
    host = page.locator(".cnnlab-explorer")
    sizes = {}
    for name in PRESETS:
        host.get_by_role("combobox", name="Example").select_option(name)
        sizes[name] = (read(host, "exact"), read(host, "size"))
    assert sizes["AlexNet as printed: 224, 11/4"] == (54.25, 54)
    assert sizes["AlexNet with 227"] == (55, 55)
    assert sizes["AlexNet, 224 with padding 2"] == (55.25, 55)
    assert sizes["ResNet pool 112 → 56"] == (56.5, 56)
    assert sizes["The same pool without padding"] == (55.5, 55)
    assert sizes["3×3 same"] == (32, 32)
    assert sizes["Transposed 16 → 31: 3/2, padding 1"][1] == 31
    assert sizes["The same with output padding 1"][1] == 32


@browser_test
def test_calculator_says_why_there_is_no_output(show):
    page = show(output_size_calculator("3×3 same"))
    host = page.locator(".cnnlab-explorer")
    sweep(host, [{"Input n": 5, "Kernel k": 9, "Padding p": 0}])
    assert host.get_by_text("The window spans 9 cells, the padded line has only 5").is_visible()
    sweep(host, [{"Kernel k": 3}])
    assert read(host, "size") == 3


# ---- hands
# ------------------------------------------------------------------------------------------------------------


@browser_test
def test_stepper_moves_by_keyboard_and_pointer(show):
    page = show(convolution_stepper(IMAGE, padding=1))
    host = page.locator(".cnnlab-explorer")
    slider = host.get_by_role("slider")
    slider.press("Home")
    assert read(host, "position") == 0
    slider.press("ArrowRight")
    slider.press("ArrowDown")
    assert read(host, "position") == 11, "one pixel and one row of ten"
    slider.press("ArrowUp")
    host.get_by_role("button", name="One step back").press("Enter")
    assert read(host, "position") == 0
    slider.press("End")
    assert read(host, "position") == 119
    picture = host.get_by_role("img", name="Output, 12 by 10")
    box = picture.bounding_box()
    picture.click(position={"x": box["width"] * 0.35, "y": box["height"] * 0.5 + 2})
    assert read(host, "position") == 6 * 10 + 3
    assert read(host, "filled") == 119, "pointing at an output does not take others away"
    assert "row 7 of 12, column 4 of 10" in host.locator("[aria-live]").inner_text()


@browser_test
@pytest.mark.parametrize(("motion", "step"), [("no-preference", 1), ("reduce", 10)])
def test_stepper_plays_only_when_told_and_in_rows_where_less_motion_is_wanted(show, motion, step):
    page = show(convolution_stepper(IMAGE, padding=1), motion=motion, alone=True)
    page.clock.install(time=0)
    page.clock.pause_at(3600)
    host = page.locator(".cnnlab-explorer")
    host.get_by_role("slider").press("Home")
    page.clock.run_for(5000)
    assert read(host, "position") == 0 and read(host, "playing") is False
    host.get_by_role("button", name="Play").click()
    page.clock.run_for(1000 if motion == "reduce" else 130)
    assert read(host, "position") == step
    host.get_by_role("button", name="Pause").click()
    page.clock.run_for(5000)
    assert read(host, "position") == step
    host.get_by_role("button", name="Play").click()
    page.clock.run_for(60_000)
    assert read(host, "position") == 119 and read(host, "playing") is False


@browser_test
def test_toeplitz_row_follows_slider_and_pointer(show):
    page = show(toeplitz_builder())
    host = page.locator(".cnnlab-explorer")
    slider = host.get_by_label("Row of the matrix")
    slider.press("Home")
    slider.press("ArrowDown")
    slider.press("ArrowDown")
    assert read(host, "row") == 2
    picture = host.get_by_role("img")
    box = picture.bounding_box()
    picture.hover(position={"x": 80, "y": box["height"] - 12})
    assert read(host, "row") == 7


# ---- manners
# ----------------------------------------------------------------------------------------------------------


@browser_test
def test_explorers_on_one_page_do_not_touch_each_other_or_the_page(show):
    one = convolution_stepper(IMAGE)
    page = show(one, one, toeplitz_builder(), toeplitz_builder(), output_size_calculator())
    hosts = page.locator(".cnnlab-explorer")
    assert hosts.count() == len({host.get_attribute("id") for host in hosts.all()}) == 5
    hosts.nth(0).get_by_role("combobox", name="Kernel").select_option("Gaussian blur")
    choose(hosts.nth(0), "Stride", 3)
    choose(hosts.nth(2), "Stride", 2)
    image = torch.tensor(IMAGE)[None, None]
    for index, kernel, stride in ((0, "Gaussian blur", 3), (1, "Laplacian (edges)", 1)):
        weight = torch.tensor(KERNELS[kernel]).double()[None, None]
        close(read(hosts.nth(index), "output"), F.conv2d(image, weight, stride=stride)[0, 0])
    assert len(read(hosts.nth(2), "output")) == 4 and len(read(hosts.nth(3), "output")) == 8
    fresh = page.context.new_page()
    names = "Object.getOwnPropertyNames(window).length"
    assert page.evaluate(names) == fresh.evaluate(names), "a global name was left behind"
    fresh.close()


@browser_test
def test_script_may_run_twice_and_before_its_output_is_on_the_page(show):
    page = show()
    html = output_size_calculator()._repr_html_()
    script = html.split("<script>")[1].split("</script>")[0]
    page.evaluate("script => { (0, eval)(script); (0, eval)(script); }", script)
    page.evaluate("html => { document.querySelector('main').innerHTML = html; }", html)
    page.wait_for_selector("[data-ready]")
    assert page.locator(".cnnlab-explorer .title").count() == 1


@browser_test
def test_without_scripts_a_sentence_stands_in(browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.set_content(page_of(toeplitz_builder()))
    assert page.get_by_text("needs a browser with JavaScript").is_visible()
    context.close()


@browser_test
@pytest.mark.parametrize("place", DARK_PAGES)
def test_dark_pages_are_recognized_whatever_the_system_says(show, place):
    html, body = DARK_PAGES[place]
    page = show(output_size_calculator(), html=html, body=body, scheme="light")
    assert page.locator(".cnnlab-explorer").get_attribute("data-theme") == "dark"


@browser_test
def test_white_card_of_the_book_theme_is_taken_away(show):
    page = show(
        output_size_calculator(),
        html="<html lang='en' data-theme='dark'>",
        body="<body style='background:#14181e'>",
    )
    page.add_style_tag(content="html[data-theme=dark] .text_html { background: #fff; padding: .5rem; }")
    card = page.locator(".text_html").evaluate(
        "card => [getComputedStyle(card).backgroundColor, getComputedStyle(card).padding]"
    )
    assert card == ["rgba(0, 0, 0, 0)", "0px"]


@browser_test
def test_theme_is_followed_while_the_page_is_open(show):
    page = show(toeplitz_builder(), scheme="dark")
    host = page.locator(".cnnlab-explorer")
    assert host.get_attribute("data-theme") == "dark"
    page.evaluate("document.documentElement.dataset.theme = 'light'")
    page.wait_for_selector(".cnnlab-explorer[data-theme=light]")


def make_large(host, name):
    if name == "toeplitz":
        host.get_by_label("Length n").fill("10")
        choose(host, "Padding", 2)
        choose(host, "Kernel size", 5)
        host.get_by_label("Transpose").check()
    if name == "toeplitz-2d":
        for group, value in (("Height", 6), ("Width", 6), ("Padding", 2)):
            choose(host, group, value)
    if name == "stepper":
        choose(host, "Padding", 2)


(
    test_html_holds_no_addresses,
    test_every_control_is_reached_by_tab_and_shows_it,
    test_nothing_overflows_on_a_phone,
    test_they_are_accessible,
) = manners(ALL, steps=make_large)
