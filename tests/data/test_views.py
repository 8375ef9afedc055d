"""Augmentations for contrastive learning, image by image against torchvision, and views of a batch."""

import pytest
import torch
from torch import Generator
from torchvision.transforms import v2

from utils.data.augment import RandomFlip
from utils.data.views import RandomGrayscale, RandomResizedCrop, Sometimes, Views, simclr_views


def images(n=12, side=32, seed=0):
    return torch.randint(
        0, 256, (n, 3, side, side), dtype=torch.uint8, generator=Generator().manual_seed(seed)
    )


@pytest.mark.parametrize("side", [32, 28])
def test_each_crop_is_that_of_torchvision(side):
    x = images(40, side)
    crop = RandomResizedCrop()
    parameters = crop.draw(x, Generator().manual_seed(1))
    ours = crop.apply(x, parameters)
    for image, result, (top, left, height, width) in zip(x, ours, parameters.T.tolist(), strict=True):
        theirs = v2.functional.resized_crop(image.float(), top, left, height, width, [side, side])
        assert (result.float() - theirs).abs().max() <= 0.51  # rounding


def test_parts_have_the_areas_and_ratios_asked_for():
    x = images(1, 64).expand(4000, -1, -1, -1)
    top, left, height, width = (
        RandomResizedCrop((0.25, 0.5), (0.5, 2.0)).draw(x, Generator().manual_seed(0)).double()
    )
    area, ratio = height * width / 64**2, width / height
    assert area.min() > 0.23 and area.max() < 0.52 and ratio.min() > 0.47 and ratio.max() < 2.1
    assert area.mean() == pytest.approx(0.375, abs=0.01)
    assert (top + height).max() <= 64 and (left + width).max() <= 64
    assert 20 < (top + height / 2).mean() < 44


def test_the_whole_image_stays_as_it_is():
    x = images()
    crop = RandomResizedCrop((1.0, 1.0), (1.0, 1.0))
    assert torch.equal(crop(x, Generator().manual_seed(0)), x)
    impossible = RandomResizedCrop((1.0, 1.0), (2.0, 2.0))  # wider than the image: the whole of it
    assert torch.equal(impossible(x, Generator().manual_seed(0)), x)


def test_gray_is_that_of_torchvision_for_the_chosen_ones_only():
    x = images()
    chosen = torch.arange(12) % 2 == 0
    ours = RandomGrayscale().apply(x, chosen)
    assert torch.equal(ours[1::2], x[1::2])
    theirs = v2.functional.rgb_to_grayscale(x[::2], num_output_channels=3)
    assert (ours[::2].int() - theirs.int()).abs().max() <= 1


def test_sometimes_is_the_other_augmentation_for_the_chosen_ones():
    x = images()
    chosen = torch.arange(12) < 5
    result = Sometimes(RandomFlip(1.0), 0.5).apply(x, (chosen, torch.ones(12, dtype=torch.bool)))
    assert torch.equal(result[:5], x[:5].flip(3)) and torch.equal(result[5:], x[5:])
    share = Sometimes(RandomFlip(), 0.8).draw(images(2000, 2), Generator().manual_seed(0))[0].double().mean()
    assert share == pytest.approx(0.8, abs=0.05)


def test_views_are_independent_and_repeat_with_the_generator():
    x = images()
    views = simclr_views()(x, Generator().manual_seed(3))
    assert views.shape == (24, 3, 32, 32) and views.dtype == torch.uint8
    assert not torch.equal(views[:12], views[12:])
    assert torch.equal(views, simclr_views()(x, Generator().manual_seed(3)))


@pytest.mark.parametrize(
    "make, complaint",
    [
        (lambda: RandomResizedCrop((0.0, 1.0)), r"scale is a range.*\(0.0, 1.0\)"),
        (lambda: RandomResizedCrop(ratio=(2.0, 1.0)), "ratio is a range"),
        (lambda: RandomGrayscale(1.5), "p is a probability.*1.5"),
        (lambda: Views(RandomFlip(), 0), "at least 1, got 0"),
    ],
)
def test_what_cannot_be_meant_is_refused(make, complaint):
    with pytest.raises(ValueError, match=complaint):
        make()
