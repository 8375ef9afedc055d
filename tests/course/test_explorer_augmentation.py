"""The augmentation explorer: in a real browser, its arithmetic against utils.data.augment, draws, manners."""

import base64

import numpy as np
import pytest
import torch

from tests.course.explorer_page import browser_test, manners, read
from utils.course.explorers.augmentation import RECIPES, SHIFT, augmentation_explorer
from utils.data.augment import (
    ColorJitter,
    Cutout,
    Mixup,
    RandomCrop,
    RandomFlip,
    RandomRotation,
    RandomTranslate,
)

SIDE = 16
PICTURES = torch.randint(
    0, 256, (2, 3, SIDE, SIDE), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
)
NAMES = ["noise", "other noise"]


def open_host(show, **options):
    return show(augmentation_explorer(PICTURES, NAMES, **options)).locator(".cnnlab-explorer")


def move(host, name, place):
    """Put a slider at a place, counted from its left end."""
    host.get_by_role("slider", name=name, exact=True).evaluate(
        "(bar, place) => { bar.value = place; bar.dispatchEvent(new Event('input')); }", place
    )


def shown(host):
    """The augmented picture of the page, uint8 [1, 3, S, S]."""
    return torch.tensor(read(host, "pixels")).view(1, SIDE, SIDE, 3).permute(0, 3, 1, 2).to(torch.uint8)


def apart(host, expected):
    """The largest difference in gray levels."""
    return (shown(host).int() - expected.int()).abs().max().item()


# ---- Python


def test_data_hold_the_pictures_row_by_row():
    data = augmentation_explorer(PICTURES, NAMES).data
    raw = np.frombuffer(base64.b64decode(data["pictures"][1]["pixels"]), np.uint8).reshape(SIDE, SIDE, 3)
    assert np.array_equal(raw, PICTURES[1].permute(1, 2, 0).numpy())
    assert data["side"] == SIDE and data["shift"] == SHIFT and [p["name"] for p in data["pictures"]] == NAMES
    assert data["mean"] == [round(m) for m in PICTURES.float().mean(dim=(0, 2, 3)).tolist()]
    assert [recipe["name"] for recipe in data["recipes"]] == list(RECIPES)


def test_gray_pictures_become_color_and_the_mean_can_be_given():
    data = augmentation_explorer(PICTURES[:, :1], NAMES, mean=[0.5]).data
    raw = np.frombuffer(base64.b64decode(data["pictures"][0]["pixels"]), np.uint8).reshape(SIDE, SIDE, 3)
    assert np.array_equal(raw[..., 0], PICTURES[0, 0].numpy()) and np.array_equal(raw[..., 0], raw[..., 2])
    assert data["mean"] == [128, 128, 128]


def test_the_default_shows_shapes():
    data = augmentation_explorer().data
    assert data["side"] == 32 and {"plus", "tee", "ell"} < {picture["name"] for picture in data["pictures"]}


@pytest.mark.parametrize(
    ("images", "names", "mean", "word"),
    [
        (PICTURES[:1], ["one"], None, r"\(1, 3, 16, 16\)"),
        (PICTURES.float(), NAMES, None, "float32"),
        (PICTURES[:, :2], NAMES, None, r"\(2, 2, 16, 16\)"),
        (PICTURES[..., :8], NAMES, None, r"\(16, 8\)"),
        (PICTURES[..., :4, :4], NAMES, None, r"\(4, 4\)"),
        (PICTURES, ["one"], None, r"\['one'\]"),
        (PICTURES, None, None, "None"),
        (PICTURES, NAMES, [0.5, 2.0, 0.5], "2.0"),
    ],
)
def test_refuses(images, names, mean, word):
    with pytest.raises(ValueError, match=word):
        augmentation_explorer(images, names, mean)


# ---- the arithmetic of the page against the library


@browser_test
def test_flip_and_shifts_equal_the_librarys_exactly(show):
    host, x = open_host(show), PICTURES[:1]
    assert apart(host, x) == 0
    for down, right in ((3, -2), (-8, 8), (0, 5)):
        move(host, "Shift, rows", down + SHIFT)
        move(host, "Shift, columns", right + SHIFT)
        host.get_by_role("radio", name="reflect").check(force=True)
        corner = torch.tensor([[SHIFT - down], [SHIFT - right]])
        assert apart(host, RandomCrop(SHIFT).apply(x, corner)) == 0
        host.get_by_role("radio", name="black", exact=True).first.check(force=True)
        assert apart(host, RandomTranslate(0.5).apply(x, torch.tensor([[down], [right]]))) == 0
    host.get_by_role("button", name="Reset to the picture as it is").click()
    host.get_by_role("checkbox", name="Flip left and right").check()
    assert apart(host, RandomFlip().apply(x, torch.tensor([True]))) == 0


@browser_test
def test_rotation_equals_the_librarys_but_for_single_pixels(show):
    # a pixel whose source lies on the border of two may go to either
    host, x = open_host(show), PICTURES[:1]
    for degrees in (-180, -90, -35, 20, 90, 135):
        move(host, "Rotation", (degrees + 180) // 5)
        expected = RandomRotation(180).apply(x, torch.tensor([float(degrees)]))
        assert (shown(host) != expected).float().mean() < 0.02, degrees


@browser_test
@pytest.mark.parametrize(
    ("name", "option", "place", "value"),
    [
        ("Brightness", "brightness", 13, 1.3), ("Brightness", "brightness", 4, 0.4),
        ("Contrast", "contrast", 17, 1.7), ("Contrast", "contrast", 2, 0.2),
        ("Saturation", "saturation", 0, 0.0), ("Saturation", "saturation", 15, 1.5),
        ("Hue, part of the circle", "hue", 2, -0.4), ("Hue, part of the circle", "hue", 15, 0.25),
    ],
)  # fmt: skip
def test_colors_are_the_librarys_within_a_gray_level(show, name, option, place, value):
    host = open_host(show)
    move(host, name, place)
    assert read(host, "chosen")[option] == value
    expected = ColorJitter(**{option: 0.5}).apply(PICTURES[:1], ([option], {option: torch.tensor([value])}))
    assert apart(host, expected) <= 1


@browser_test
def test_cutout_is_the_librarys_in_both_colors(show):
    host, x = open_host(show), PICTURES[:1]
    mean = tuple(augmentation_explorer(PICTURES, NAMES).data["mean"])
    for size, row, column in ((5, 8, 3), (8, 0, 15)):
        move(host, "Cutout, side", size)
        move(host, "Cutout, row", row)
        move(host, "Cutout, column", column)
        for name, fill in (("black", 0), ("mean color", mean)):
            host.get_by_role("radio", name=name, exact=True).last.check(force=True)
            assert apart(host, Cutout(size, fill).apply(x, torch.tensor([[row], [column]]))) == 0


@browser_test
def test_mixup_blends_picture_and_label_as_the_library_does(show):
    host = open_host(show)
    move(host, "Mixup, share of the first picture", 14)
    x, y = Mixup().apply(PICTURES.float(), torch.tensor([0, 1]), (0.7, torch.tensor([1, 0])), num_classes=2)
    assert apart(host, x[:1].round()) <= 1  # a half may be rounded either way
    assert list(read(host, "label").values()) == pytest.approx(y[0].tolist())
    assert host.get_by_text("0.7 noise + 0.3 other noise").is_visible()
    host.get_by_role("combobox", name="Second picture").select_option("1: noise")
    assert read(host, "label") == {"noise": pytest.approx(1.0)}


@browser_test
def test_operations_come_in_the_order_that_is_promised(show):
    host, x = open_host(show), PICTURES[:1]
    host.get_by_role("checkbox", name="Flip left and right").check()
    move(host, "Shift, columns", SHIFT + 3)
    move(host, "Brightness", 15)
    move(host, "Cutout, side", 4)
    x = RandomFlip().apply(x, torch.tensor([True]))
    x = RandomCrop(SHIFT).apply(x, torch.tensor([[SHIFT], [SHIFT - 3]]))
    x = ColorJitter(brightness=0.5).apply(x, (["brightness"], {"brightness": torch.tensor([1.5])}))
    assert apart(host, Cutout(4).apply(x, torch.tensor([[SIDE // 2], [SIDE // 2]]))) <= 1


# ---- the page


@browser_test
@pytest.mark.parametrize("recipe", RECIPES)
def test_draws_stay_within_the_recipe(show, recipe):
    host, limits = open_host(show), RECIPES[recipe]
    host.get_by_role("combobox", name="What is drawn at random").select_option(recipe)
    seen = []
    for _ in range(12):
        host.get_by_role("button", name="Draw at random").click()
        seen.append(read(host, "chosen"))
    assert read(host, "samples") == 8 and len({str(one) for one in seen}) > 3
    for one in seen:
        assert (
            max(abs(one["down"]), abs(one["right"])) <= min(limits["shift"], SHIFT)
            and one["border"] == limits["border"]
        )
        assert abs(one["degrees"]) <= limits["degrees"] and abs(one["hue"]) <= limits["hue"] + 1e-9
        for name in ("brightness", "contrast", "saturation"):
            assert abs(one[name] - 1) <= limits[name] + 1e-9
        assert one["size"] == limits["size"] and one["fill"] == limits["fill"]
        assert (one["share"] == 1 or limits["mixup"]) and (not one["flip"] or limits["flip"])


@browser_test
def test_the_answers_are_the_students_and_are_counted(show):
    host = open_host(show)
    assert host.get_by_text("The page does not know the answer").is_visible()
    host.get_by_role("button", name="My answer: the label is kept").click()
    host.get_by_role("button", name="My answer: the label is lost").click()
    host.get_by_role("button", name="My answer: the label is kept").click()
    assert read(host, "answers") == {"kept": 2, "lost": 1} and host.get_by_text("2 of 3 kept").is_visible()
    host.get_by_role("button", name="Reset to the picture as it is").click()
    assert apart(host, PICTURES[:1]) == 0 and read(host, "samples") == 0


@browser_test
def test_sliders_work_by_keyboard_and_say_their_value(show):
    host = open_host(show)
    bar = host.get_by_role("slider", name="Shift, rows", exact=True)
    bar.press("Home")
    bar.press("ArrowRight")
    assert read(host, "chosen")["down"] == 1 - SHIFT and bar.get_attribute("aria-valuetext") == "7 up"
    bar.press("End")
    assert read(host, "chosen")["down"] == SHIFT and host.get_by_text("Shift, rows: 8 down").is_visible()


@browser_test
def test_two_on_one_page_do_not_touch_each_other(show):
    hosts = show(augmentation_explorer(PICTURES, NAMES), augmentation_explorer(PICTURES, NAMES)).locator(
        ".cnnlab-explorer"
    )
    move(hosts.nth(0), "Rotation", 0)
    assert read(hosts.nth(0), "chosen")["degrees"] == -180 and read(hosts.nth(1), "chosen")["degrees"] == 0


def draw_everything(host, _):
    host.get_by_role("combobox", name="What is drawn at random").select_option("everything at once")
    host.get_by_role("button", name="Draw at random").click()


(
    test_html_holds_no_addresses,
    test_every_control_is_reached_by_tab_and_shows_it,
    test_nothing_overflows_on_a_phone,
    test_it_is_accessible,
) = manners(
    {"shapes": augmentation_explorer, "noise": lambda: augmentation_explorer(PICTURES, NAMES)},
    steps=draw_everything,
)
