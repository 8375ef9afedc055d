"""The two contrastive explorers: in a real browser, their arithmetic against the library."""

import math
import random

import numpy as np
import pytest
import torch

from tests.course.explorer_page import browser_test, manners, read
from utils.course.explorers.contrastive_circle import EXAMPLES, TEMPERATURES, contrastive_circle
from utils.course.explorers.embedding_scrubber import embedding_scrubber
from utils.training.losses import supervised_contrastive_loss

ANGLES, LABELS = ((0.0, 90.0), (45.0, 180.0), (200.0, 300.0)), (0, 1, 0)
NAMES = ("cat", "dog", "frog")


def inside_form(z, owner, temperature):
    """Mean over the anchors of −log of the mean share of its positives, by loops."""
    losses = []
    for i in range(len(z)):
        others = [j for j in range(len(z)) if j != i]
        terms = {j: torch.exp(z[i] @ z[j] / temperature) for j in others}
        positives = [j for j in others if owner[j] == owner[i]]
        losses.append(-torch.log(sum(terms[j] for j in positives) / sum(terms.values()) / len(positives)))
    return sum(losses) / len(losses)


def expected(host, views, labels):
    """(loss, gradient by the angles) of the points on the page, by torch."""
    theta = torch.deg2rad(torch.tensor(read(host, "angles"), dtype=torch.float64)).requires_grad_()
    z = torch.stack([theta.cos(), theta.sin()], dim=1)
    classes = (
        torch.tensor(labels) if host.get_attribute("data-by") == "same class" else torch.arange(len(labels))
    )
    if host.get_attribute("data-form") == "outside":
        loss = supervised_contrastive_loss(z.view(-1, views, 2), classes, read(host, "temperature"))
    else:
        loss = inside_form(z, classes.repeat_interleave(views), read(host, "temperature"))
    loss.backward()
    return loss.item(), theta.grad.tolist()


def agrees(host, views, labels):
    loss, gradient = expected(host, views, labels)
    assert read(host, "loss") == pytest.approx(loss, abs=1e-5)  # the library computes in float32
    assert read(host, "gradient") == pytest.approx(gradient, abs=1e-5)
    assert sum(read(host, "each")) / len(read(host, "each")) == pytest.approx(read(host, "loss"))


def snapshots(generator, count=5, points=9):
    angles = generator.uniform(0, 2 * np.pi, (count, points))
    return np.stack([np.cos(angles), np.sin(angles)], axis=2)


# ---- Python


def test_examples_are_fed_and_ones_own_come_first():
    data = contrastive_circle().data
    assert [example["name"] for example in data["examples"]] == list(EXAMPLES)
    assert data["temperatures"][data["temperature"]] == 0.5
    data = contrastive_circle(ANGLES, LABELS, 0.07).data
    assert data["examples"][0] == {
        "name": "as given",
        "angles": [list(row) for row in ANGLES],
        "labels": [0, 1, 0],
    }
    assert data["temperature"] == TEMPERATURES.index(0.07)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"angles": ANGLES}, "both angles and labels"),
        ({"temperature": 0.33}, "one of 0.05, .* got 0.33"),
        ({"angles": [[1, 2]], "labels": [0]}, r"at least 2 images .* got images of \[2\] views"),
        ({"angles": [[1, 2], [3]], "labels": [0, 1]}, r"got images of \[2, 1\] views"),
        ({"angles": [[1], [3]], "labels": [0, 1]}, r"got images of \[1, 1\] views"),
        ({"angles": [[1, 2]] * 9, "labels": [0] * 9}, "at most 16 points"),
        ({"angles": [[1, 2], [3, math.nan]], "labels": [0, 1]}, "finite degrees, got .*nan"),
        ({"angles": ANGLES, "labels": [0, 1, 4]}, r"classes from 0 to 3, got \[0, 1, 4\]"),
        ({"angles": ANGLES, "labels": [0, 1]}, r"labels must be 3 classes .* got \[0, 1\]"),
    ],
)
def test_circle_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        contrastive_circle(**arguments)


def test_scrubber_counts_nearest_neighbors_of_the_same_class():
    angles = np.radians([[0, 10, 180, 190], [0, 180, 10, 190]])
    trainings = {"one": np.stack([np.cos(angles), np.sin(angles)], axis=2)}
    data = embedding_scrubber(trainings, [0, 0, 1, 1], NAMES[:2], epochs=[0, 4]).data
    assert data["trainings"][0]["agreement"] == [1, 0]
    assert data["trainings"][0]["angles"] == [[0, 10, 180, -170], [0, 180, 10, -170]]
    assert (data["epochs"], data["labels"], data["classes"]) == ([0, 4], [0, 0, 1, 1], ["cat", "dog"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": ["a"] * 5}, "1 to 4 names, got 5"),
        ({"labels": [0, 1, 3]}, r"from 0 to 2, got \[0, 1, 3\]"),
        ({"trainings": {}}, "no trainings"),
        ({"trainings": {"one": np.ones((2, 4, 2))}}, r"\[snapshots, 3, 2\], .*\(2, 4, 2\)"),
        ({"trainings": {"one": np.ones((2, 3, 2))}}, "'one' do not all have length 1"),
        ({"epochs": [1]}, "1 epochs for 2 snapshots"),
    ],
)
def test_scrubber_refuses(change, message):
    given = {"trainings": {"one": np.array([[[1.0, 0.0]] * 3] * 2)}, "labels": [0, 1, 2], "classes": NAMES}
    with pytest.raises(ValueError, match=message):
        embedding_scrubber(**{**given, **change})


# ---- the circle in the browser


@browser_test
def test_every_example_agrees_with_the_library_in_all_forms(show):
    host = show(contrastive_circle()).locator(".cnnlab-explorer")
    for name, (angles, labels) in EXAMPLES.items():
        host.get_by_role("combobox", name="Example").select_option(name)
        assert read(host, "angles") == [angle for views in angles for angle in views]
        for by in ("same image", "same class"):
            host.get_by_role("radio", name=by).check(force=True)
            for form in ("inside", "outside the log"):
                host.get_by_role("radio", name=form, exact=True).check(force=True)
                agrees(host, 2, labels)


@browser_test
def test_temperatures_and_three_views_agree_with_the_library(show):
    draw = random.Random(14)
    angles = [[draw.uniform(0, 360) for _ in range(3)] for _ in range(4)]
    host = show(contrastive_circle(angles, [0, 1, 2, 0], 0.05)).locator(".cnnlab-explorer")
    slider = host.get_by_role("slider", name="Temperature")
    for place, temperature in enumerate(TEMPERATURES):
        slider.fill(str(place))
        assert read(host, "temperature") == temperature
        agrees(host, 3, [0, 1, 2, 0])


@browser_test
def test_steps_are_gradient_descent(show):
    host = show(contrastive_circle(ANGLES, LABELS)).locator(".cnnlab-explorer")
    host.get_by_role("spinbutton", name="step size").fill("0.25")
    before, gradient = read(host, "angles"), read(host, "gradient")
    host.get_by_role("button", name="One step").click()
    moved = [
        (angle - math.degrees(0.25 * slope)) % 360 for angle, slope in zip(before, gradient, strict=True)
    ]
    assert read(host, "angles") == pytest.approx(moved) and read(host, "steps") == 1
    first = read(host, "loss")
    host.get_by_role("button", name="50 steps").click()
    assert read(host, "loss") < first and read(host, "steps") == 51
    agrees(host, 2, LABELS)
    host.get_by_role("button", name="Reset").click()
    assert read(host, "angles") == before and read(host, "steps") == 0


@browser_test
def test_steps_that_are_too_long_are_called_so(show):
    host = show(contrastive_circle(ANGLES, LABELS, 0.05)).locator(".cnnlab-explorer")
    host.get_by_role("spinbutton", name="step size").fill("20")
    for _ in range(5):
        host.get_by_role("button", name="One step").click()
        if host.get_by_text("The last step raised the loss").is_visible():
            break
    assert host.get_by_text("The last step raised the loss").is_visible()


@browser_test
def test_steps_among_many_that_raised_the_loss_are_counted(show):
    # from its first state the loss falls over 50 steps, although single ones among them raise it
    host = show(contrastive_circle()).locator(".cnnlab-explorer")
    sliders = host.get_by_role("slider", name="Temperature τ")
    sliders.focus()
    sliders.press("Home")
    host.get_by_role("spinbutton", name="step size").fill("2")
    first = read(host, "loss")
    host.get_by_role("button", name="50 steps").click()
    assert read(host, "loss") < first
    told = host.get_by_text("of the last 50 steps raised the loss").text_content()
    assert 1 <= int(told.split(" ")[0]) <= 50


@browser_test
def test_labels_gather_classes_and_without_them_only_views_meet(show):
    host = show(contrastive_circle()).locator(".cnnlab-explorer")
    host.get_by_role("spinbutton", name="step size").fill("2")
    for _ in range(4):
        host.get_by_role("button", name="50 steps").click()
    supervised = read(host, "alignment")
    host.get_by_role("button", name="Reset").click()
    host.get_by_role("radio", name="same image").check(force=True)
    for _ in range(4):
        host.get_by_role("button", name="50 steps").click()
    assert supervised < 0.1 and read(host, "alignment") < 0.1
    together = read(host, "alignment")
    host.get_by_role("radio", name="same class").check(force=True)
    assert read(host, "alignment") > 5 * together, "without labels, images of a class stay apart"


@browser_test
def test_points_are_moved_by_pointer_and_by_keyboard(show):
    page = show(contrastive_circle(ANGLES, LABELS))
    host = page.locator(".cnnlab-explorer")
    box = host.get_by_role("img").last.bounding_box()
    middle, radius = box["width"] / 2, box["width"] / 2 - 56

    def at(degrees, more=0):
        turn = math.radians(degrees)
        right, up = (radius + more) * math.cos(turn), (radius + more) * math.sin(turn)
        return box["x"] + middle + right, box["y"] + middle - up

    page.mouse.move(*at(90))
    page.mouse.down()
    page.mouse.move(*at(120, 20), steps=4)
    page.mouse.move(*at(150, -30), steps=4)
    page.mouse.up()
    page.mouse.move(*at(20))
    assert read(host, "angles") == pytest.approx([0, 150, 45, 180, 200, 300], abs=1)
    assert read(host, "selected") == 1
    agrees(host, 2, LABELS)
    page.mouse.click(*at(250))
    assert read(host, "selected") == 1, "there is no point here"

    host.get_by_role("slider", name="Point").focus()
    page.keyboard.press("ArrowRight")
    assert read(host, "selected") == 2
    host.get_by_role("slider", name="Its angle").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowDown")
    assert read(host, "angles")[2] == 59
    agrees(host, 2, LABELS)


@browser_test
def test_what_pulls_and_pushes_is_named(show):
    host = show(contrastive_circle(ANGLES, LABELS)).locator(".cnnlab-explorer")
    weights = read(host, "weights")
    names = ["a", "a′", "b", "b′", "c", "c′"]
    pull, push = names[weights.index(min(weights))], names[weights.index(max(weights))]
    line = host.get_by_text("Point a at").text_content()
    assert f"pulled most by {pull} " in line and f"pushed most by {push} " in line
    positives = [w for w, owner in zip(weights, (0, 0, 1, 1, 0, 0), strict=True) if owner == 0]
    assert weights[0] == 0 and weights[2] > 0 and weights[3] > 0 and min(positives) < 0


# ---- the scrubber in the browser


@browser_test
def test_scrubber_goes_through_the_epochs(show):
    generator = np.random.default_rng(14)
    trainings = {"SupCon": snapshots(generator), "SimCLR": snapshots(generator)}
    explorer = embedding_scrubber(trainings, [0, 1, 2] * 3, NAMES, epochs=[0, 1, 2, 4, 8])
    page = show(explorer)
    host = page.locator(".cnnlab-explorer")
    assert read(host, "epoch") == 8
    host.get_by_role("slider", name="Epoch").focus()
    page.keyboard.press("ArrowLeft")
    assert read(host, "epoch") == 4
    for name, angles, agreement in zip(trainings, read(host, "angles"), read(host, "agreement"), strict=True):
        shown = np.radians(angles)
        assert np.allclose(np.stack([np.cos(shown), np.sin(shown)], axis=1), trainings[name][3], atol=2e-3)
        assert host.get_by_text(f"{name} {round(100 * agreement)} %").first.is_visible()
    marks = host.locator("svg circle, svg rect, svg polygon")
    before = marks.count()
    host.get_by_role("combobox", name="Classes shown").select_option("dog")
    assert read(host, "shown") == 1 and before - marks.count() == 2 * 6


# ---- manners of both


def scrubber():
    trainings = {name: snapshots(np.random.default_rng(1)) for name in ("SupCon", "SimCLR", "alignment only")}
    return embedding_scrubber(trainings, [0, 1, 2] * 3, NAMES)


(
    test_html_holds_no_addresses,
    test_every_control_is_reached_by_tab_and_shows_it,
    test_nothing_overflows_on_a_phone,
    test_it_is_accessible,
) = manners({"circle": contrastive_circle, "scrubber": scrubber})
