"""The factor explorer: in a real browser, its answers against the table it was fed, keyboard, manners."""

import numpy as np
import pytest

from tests.course.explorer_page import browser_test, manners, read
from utils.course.explorers.factors import factor_explorer

NAMES = ("bright 3 beside dark 5 and 8", "dark 7 beside bright 1 and 1", "bright 0 beside dark 9 and 2")
N, LAYERS, CHANNELS, CLASSES = len(NAMES), 2, 16, 10
LABELS = (3, 7, 0)


def made_up(seed=0):
    random = np.random.default_rng(seed)
    answers = random.dirichlet(np.ones(CLASSES) / 2, size=(N, N + 1, 1 + LAYERS))
    return {
        "names": NAMES,
        "pixels": random.uniform(-1, 1, (N, 8, 40)),
        "labels": LABELS,
        "factors": random.uniform(0, 1, (N, LAYERS, CHANNELS)),
        "means": random.uniform(0, 1, (LAYERS, CHANNELS)),
        "answers": answers,
    }


VALUES = made_up()


def explorer(**changes):
    return factor_explorer(**(VALUES | changes))


# ---- Python


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"names": NAMES[:1]}, "2 to 10 images, got 1"),
        ({"means": np.zeros(16)}, r"means must be .* got \(16,\)"),
        ({"means": np.zeros((2, 40))}, r"1 to 32 channels"),
        ({"factors": np.zeros((N, LAYERS, 3))}, r"factors of 3 images must be \[3, 2, 16\]"),
        ({"factors": VALUES["factors"] + 1}, "factors must lie between 0 and 1"),
        ({"pixels": np.zeros((N, 8))}, "pixels of 3 images"),
        ({"pixels": np.full((N, 8, 40), -2)}, "pixels must lie between -1 and 1"),
        ({"answers": VALUES["answers"][:, :N]}, r"answers of 3 images must be \[3, 4, 3, 10\]"),
        ({"answers": VALUES["answers"] / 2}, "with the sum 1"),
        ({"labels": (3, 7)}, "labels must be 3 classes below 10"),
        ({"labels": (3, 7, 10)}, "labels must be 3 classes below 10"),
        ({"first": 3}, "first must be an image from 0 to 2, got 3"),
    ],
)
def test_refuses(changes, message):
    with pytest.raises(ValueError, match=message):
        explorer(**changes)


# ---- the browser


def said(host):
    return host.locator("[aria-live]").inner_text()


@browser_test
def test_every_choice_shows_its_answer_and_its_factors(show):
    host = show(explorer(first=1)).locator(".cnnlab-explorer")
    assert (read(host, "image"), read(host, "source"), read(host, "where")) == (1, 1, 0)
    image, source = (host.get_by_role("combobox", name=name) for name in ("Image", "Factors of"))
    for i in range(N):
        image.select_option(index=i)
        for j in range(N + 1):
            source.select_option(index=j)
            given = VALUES["means"] if j == N else VALUES["factors"][j]
            for where, option in enumerate(("all layers", "layer 1 alone", "layer 2 alone")):
                host.get_by_label(option, exact=True).check(force=True)
                answers = VALUES["answers"][i, j, where]
                assert read(host, "answers") == pytest.approx(answers, abs=1e-3)
                assert read(host, "answer") == answers.argmax()
                want = VALUES["factors"][i].copy()
                for layer in range(LAYERS):
                    if where in (0, layer + 1):
                        want[layer] = given[layer]
                assert np.allclose(read(host, "used"), want, atol=1e-3)
                assert f"answers {answers.argmax()} with" in said(host)
                assert ("which is right" in said(host)) == (answers.argmax() == LABELS[i])


@browser_test
def test_its_own_factors_go_with_the_image(show):
    host = show(explorer()).locator(".cnnlab-explorer")
    image, source = (host.get_by_role("combobox", name=name) for name in ("Image", "Factors of"))
    image.select_option(index=2)
    share = round(float(VALUES["answers"][2, 2, 0].max()), 3)
    assert f"with {100 * share:.0f} %" in said(host)
    assert read(host, "source") == 2 and "With its own factors" in said(host)
    source.select_option(index=N)
    image.select_option(index=1)
    assert read(host, "source") == N and "With the mean factors" in said(host)


@browser_test
def test_the_pictures_say_what_they_show(show):
    host = show(explorer()).locator(".cnnlab-explorer")
    assert host.get_by_role("img", name=f"Image: {NAMES[0]}").is_visible()
    assert host.get_by_role("img", name="Factors of layer 1: its own factors").is_visible()
    host.get_by_role("combobox", name="Factors of").select_option(index=1)
    host.get_by_label("layer 2 alone", exact=True).check(force=True)
    assert host.get_by_role("img", name=f"Factors of: {NAMES[1]}").is_visible()
    assert host.get_by_role("img", name="Factors of layer 1: its own factors").is_visible()
    assert host.get_by_role("img", name="Factors of layer 2: replaced").is_visible()


@browser_test
def test_one_layer_needs_no_choice_of_layers(show):
    one = {
        "factors": VALUES["factors"][:, :1],
        "means": VALUES["means"][:1],
        "answers": VALUES["answers"][:, :, :2],
    }
    host = show(explorer(**one)).locator(".cnnlab-explorer")
    assert host.get_by_role("radio").count() == 0


(
    test_html_holds_no_addresses,
    test_every_control_is_reached_by_tab_and_shows_it,
    test_nothing_overflows_on_a_phone,
    test_it_is_accessible,
) = manners(
    {"three images": explorer},
    extreme={"long names": lambda: explorer(names=[f"{name}, and a remark on it" for name in NAMES])},
)
