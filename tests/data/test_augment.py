"""Each augmentation against torchvision.transforms.v2.functional, image by image with the same parameters."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as TF

from utils.data.augment import (
    ColorJitter,
    Compose,
    Cutout,
    Mixup,
    RandomCrop,
    RandomFlip,
    RandomRotation,
    RandomTranslate,
)
from utils.data.batches import Batches
from utils.data.dataset import Split
from utils.data.views import Sometimes, Views

SIZES = [(3, 32, 32), (1, 28, 28), (3, 17, 24)]
IMAGE_AUGMENTATIONS = [
    RandomFlip(),
    RandomCrop(4),
    RandomCrop(3, mode="zeros"),
    RandomTranslate(0.2),
    RandomRotation(30),
    RandomRotation(30, interpolation="bilinear"),
    Cutout(8),
    ColorJitter(0.4, 0.4, 0.4, 0.2),
    Compose([RandomFlip(), RandomCrop(4), Cutout(8, fill=(125, 123, 114))]),
]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def noise(shape=(3, 32, 32), n=16, seed=1):
    return torch.randint(0, 256, (n, *shape), dtype=torch.uint8, generator=generator(seed))


def smooth(shape=(3, 32, 32), n=16):
    """Images with edges and areas, closer to photographs than noise is."""
    coarse = torch.rand(n, shape[0], 5, 5, generator=generator(2)) * 255
    size = shape[1:]
    return torch.nn.functional.interpolate(coarse, size, mode="bilinear").round().to(torch.uint8)


@pytest.mark.parametrize("shape", SIZES)
def test_flip_mirrors_exactly_the_images_drawn(shape):
    x, flip = noise(shape), RandomFlip(0.5)
    mirrored = flip.draw(x, generator())
    expected = torch.stack(
        [TF.horizontal_flip(image) if m else image for image, m in zip(x, mirrored, strict=True)]
    )
    assert torch.equal(flip.apply(x, mirrored), expected)
    assert 0 < mirrored.sum() < len(x)


def test_flip_probability_is_p():
    x = torch.zeros(20_000, 1, 1, 1, dtype=torch.uint8)
    # five standard deviations of the share of 20,000 draws at p = 0.3
    assert abs(RandomFlip(0.3).draw(x, generator()).float().mean() - 0.3) < 5 * (0.3 * 0.7 / 20_000) ** 0.5
    assert not RandomFlip(0.0).draw(x, generator()).any()
    assert RandomFlip(1.0).draw(x, generator()).all()


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("mode", ["reflect", "zeros"])
def test_crop_equals_pad_and_crop(shape, mode):
    x, crop = noise(shape), RandomCrop(4, mode=mode)
    places = crop.draw(x, generator())
    padded = [TF.pad(image, [4], padding_mode="reflect" if mode == "reflect" else "constant") for image in x]
    expected = [
        TF.crop(image, int(top), int(left), *shape[1:])
        for image, top, left in zip(padded, places[0], places[1], strict=True)
    ]
    assert torch.equal(crop.apply(x, places), torch.stack(expected))


def test_crop_reaches_every_place_equally_often():
    x = torch.zeros(8100, 1, 9, 9, dtype=torch.uint8)
    places = RandomCrop(1).draw(x, generator())
    counts = torch.bincount(places[0] * 3 + places[1], minlength=9)
    # 900 expected in each of nine places, standard deviation sqrt(8100 * 1/9 * 8/9) = 28
    assert counts.sum() == 8100 and (counts - 900).abs().max() < 5 * 28.3


@pytest.mark.parametrize("shape", SIZES)
def test_translation_equals_affine_by_whole_pixels(shape):
    x, translate = noise(shape), RandomTranslate(0.25)
    shifts = translate.draw(x, generator())
    assert shifts[0].abs().max() <= round(shape[1] * 0.25) and shifts[1].abs().max() <= round(shape[2] * 0.25)
    expected = [
        TF.affine(image, angle=0.0, translate=[int(right), int(down)], scale=1.0, shear=[0.0, 0.0])
        for image, down, right in zip(x, shifts[0], shifts[1], strict=True)
    ]
    assert torch.equal(translate.apply(x, shifts), torch.stack(expected))


@pytest.mark.parametrize("shape", SIZES)
def test_nearest_rotation_equals_rotate(shape):
    # a pixel whose source lies on the border of two may go to either: at most 1 in 1,000
    x, rotation = noise(shape, n=64), RandomRotation(45)
    angles = rotation.draw(x, generator())
    assert angles.abs().max() <= 45
    expected = torch.stack([TF.rotate(image, float(angle)) for image, angle in zip(x, angles, strict=True)])
    assert (rotation.apply(x, angles) != expected).float().mean() <= 1e-3


@pytest.mark.parametrize("shape", SIZES)
def test_bilinear_rotation_is_within_one_gray_level_of_rotate(shape):
    x, rotation = noise(shape), RandomRotation(45, interpolation="bilinear")
    angles = rotation.draw(x, generator())
    bilinear = v2.InterpolationMode.BILINEAR
    expected = torch.stack(
        [TF.rotate(image, float(a), interpolation=bilinear) for image, a in zip(x, angles, strict=True)]
    )
    assert (rotation.apply(x, angles).int() - expected.int()).abs().max() <= 1


def test_quarter_turn_is_exact_and_counter_clockwise():
    x = torch.arange(16, dtype=torch.uint8).view(1, 1, 4, 4)
    turned = RandomRotation(90).apply(x, torch.tensor([90.0]))
    assert torch.equal(turned, torch.rot90(x, 1, dims=(2, 3)))


@pytest.mark.parametrize("fill", [0, 7, (125, 123, 114)])
@pytest.mark.parametrize("size", [1, 8, 9, 64])
def test_cutout_equals_erase_of_the_clipped_square(size, fill):
    x, cutout = noise(n=24), Cutout(size, fill)
    centers = cutout.draw(x, generator())
    value = torch.tensor(fill, dtype=torch.uint8).view(-1, 1, 1)
    expected = []
    for image, row, column in zip(x, centers[0].tolist(), centers[1].tolist(), strict=True):
        top, left = row - size // 2, column - size // 2
        first_row, first_column = max(top, 0), max(left, 0)
        height, width = min(top + size, 32) - first_row, min(left + size, 32) - first_column
        expected.append(TF.erase(image, first_row, first_column, height, width, value))
    assert torch.equal(cutout.apply(x, centers), torch.stack(expected))


def test_cutout_by_hand():
    x = torch.full((1, 1, 4, 4), 9, dtype=torch.uint8)
    covered = Cutout(3).apply(x, torch.tensor([[0], [2]]))
    assert covered[0, 0].tolist() == [[9, 0, 0, 0], [9, 0, 0, 0], [9, 9, 9, 9], [9, 9, 9, 9]]


def test_cutout_with_the_mean_color_is_zero_after_normalization_but_for_rounding():
    images = noise(n=2)
    mean, std = (0.49, 0.48, 0.45), (0.25, 0.24, 0.26)
    fill = tuple(round(255 * m) for m in mean)
    for chosen, largest in (
        (fill, 0.5 / 255 / 0.24),
        (0, 0.48 / 0.24 + 1e-6),
    ):  # half a gray level; black is two sd off
        split = Split(images, torch.zeros(2, dtype=torch.int64), mean, std)
        (x, _) = next(iter(Batches(split, 2, augment=Cutout(64, chosen), shuffle=False)))
        # a square of 64 pixels covers every image, wherever its center is
        assert x.abs().max() <= largest and (x.abs().min() > 1) == (chosen == 0)


TORCHVISION_COLOR = {
    "brightness": TF.adjust_brightness,
    "contrast": TF.adjust_contrast,
    "saturation": TF.adjust_saturation,
    "hue": TF.adjust_hue,
}


@pytest.mark.parametrize("images", [noise, smooth])
@pytest.mark.parametrize("name", list(TORCHVISION_COLOR))
def test_each_color_operation_is_within_one_gray_level(name, images):
    x = images()
    jitter = ColorJitter(**{name: 0.5})
    order, factors = jitter.draw(x, generator())
    assert order == [name]
    operation = TORCHVISION_COLOR[name]
    expected = torch.stack([operation(image, float(f)) for image, f in zip(x, factors[name], strict=True)])
    assert (jitter.apply(x, (order, factors)).int() - expected.int()).abs().max() <= 1


def test_all_four_color_operations_in_the_order_drawn():
    # where two implementations cut off differently by one gray level, the operations after it can enlarge the
    # difference: at most 3 levels, and more than 1 in fewer than one value of 1,000
    x = smooth(n=6)
    jitter = ColorJitter(0.4, 0.4, 0.4, 0.1)
    orders = set()
    for seed in range(8):
        order, factors = jitter.draw(x, generator(seed))
        orders.add(tuple(order))
        expected = []
        for i, image in enumerate(x):
            for name in order:
                image = TORCHVISION_COLOR[name](image, float(factors[name][i]))
            expected.append(image)
        difference = (jitter.apply(x, (order, factors)).int() - torch.stack(expected).int()).abs()
        assert difference.max() <= 3 and (difference > 1).float().mean() < 1e-3
    assert len(orders) > 1


def test_color_factors_span_their_ranges():
    x = torch.zeros(4000, 3, 1, 1, dtype=torch.uint8)
    _, factors = ColorJitter(brightness=0.4, contrast=2.0, hue=0.1).draw(x, generator())
    assert "saturation" not in factors
    for name, low, high in (("brightness", 0.6, 1.4), ("contrast", 0.0, 3.0), ("hue", -0.1, 0.1)):
        margin = 0.01 * (high - low)
        assert low <= factors[name].min() < low + margin and high - margin < factors[name].max() <= high


def test_grays_have_no_hue():
    gray = torch.arange(256, dtype=torch.uint8).view(256, 1, 1, 1).expand(-1, 3, 2, 2)
    turned = ColorJitter(hue=0.5).apply(gray, (["hue"], {"hue": torch.linspace(-0.5, 0.5, 256)}))
    assert torch.equal(turned, gray)


def test_mixup_equals_torchvisions_mixup():
    x = torch.randn(6, 3, 8, 8, generator=generator())
    y = torch.tensor([0, 1, 2, 3, 4, 4])
    share, rolled = 0.3, torch.arange(6).roll(1)
    expected = v2.MixUp(num_classes=5)
    params = {"labels": y, "batch_size": 6, "lam": share}
    mixed_x, mixed_y = Mixup(1.0).apply(x, y, (share, rolled), num_classes=5)
    assert torch.allclose(mixed_x, expected.transform(x, params), atol=1e-6)
    assert torch.allclose(mixed_y, expected.transform(y, params), atol=1e-6)


def test_mixup_by_hand_and_of_soft_labels():
    x = torch.tensor([0.0, 8.0]).view(2, 1, 1, 1)
    soft = torch.tensor([[0.5, 0.5], [0.0, 1.0]])
    mixed_x, mixed_y = Mixup(1.0).apply(x, soft, (0.75, torch.tensor([1, 0])))
    assert mixed_x.flatten().tolist() == [2.0, 6.0]
    assert mixed_y.tolist() == [[0.375, 0.625], [0.125, 0.875]]


def test_mixup_share_follows_the_beta_distribution():
    x, g = torch.zeros(4, 1, 1, 1), generator()
    shares = torch.tensor([Mixup(0.4).draw(x, g)[0] for _ in range(3000)])
    # Beta(a, a): mean 1/2, variance 1 / (4 (2a + 1))
    assert abs(shares.mean() - 0.5) < 0.03
    assert abs(shares.var() - 1 / (4 * 1.8)) < 0.01


@pytest.mark.parametrize("augmentation", IMAGE_AUGMENTATIONS, ids=repr)
def test_same_generator_state_same_images_and_the_input_is_untouched(augmentation):
    x = noise()
    before = x.clone()
    first, again = augmentation(x, generator(3)), augmentation(x, generator(3))
    assert torch.equal(first, again) and torch.equal(x, before)
    assert first.dtype == torch.uint8 and first.shape == x.shape
    assert not torch.equal(first, augmentation(x, generator(4)))
    assert torch.equal(first, augmentation.apply(x, augmentation.draw(x, generator(3))))


@pytest.mark.parametrize("augmentation", IMAGE_AUGMENTATIONS, ids=repr)
def test_global_random_state_is_not_used(augmentation):
    state = torch.get_rng_state()
    augmentation(noise(), generator())
    assert torch.equal(torch.get_rng_state(), state)


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 9), st.integers(2, 9), st.integers(1, 4), st.integers(0, 10_000))
def test_crop_holds_for_any_size(height, width, padding, seed):
    crop = RandomCrop(padding)
    x = noise((2, height, width), n=3, seed=seed)
    if padding >= min(height, width):
        with pytest.raises(ValueError, match=f"reflection by {padding} pixels"):
            crop(x, generator(seed))
        return
    places = crop.draw(x, generator(seed))
    padded = torch.nn.functional.pad(x.float(), [padding] * 4, mode="reflect")
    for b in range(3):
        top, left = places[:, b].tolist()
        assert torch.equal(
            crop.apply(x, places)[b], padded[b, :, top : top + height, left : left + width].byte()
        )


def test_compose_applies_in_order_and_keeps_mixup_apart():
    x = noise()
    both = Compose([RandomFlip(), Cutout(8), Mixup(0.2)])
    g, h = generator(5), generator(5)
    assert torch.equal(both(x, g), Cutout(8)(RandomFlip()(x, h), h))
    assert both.mixup == Mixup(0.2) and both.steps == (RandomFlip(), Cutout(8))
    assert repr(both) == "Compose([RandomFlip(p=0.5), Cutout(size=8, fill=0), Mixup(alpha=0.2)])"


@settings(deadline=None, max_examples=40)
@given(
    st.permutations(
        [RandomFlip(), RandomCrop(3), RandomCrop(2, mode="zeros"), RandomTranslate(0.3), Cutout(3)]
    ),
    st.integers(0, 99),
)
def test_steps_that_are_merged_give_what_they_give_one_by_one(steps, seed):
    x, g, together = noise((2, 9, 7), n=5, seed=seed), generator(seed), Compose(steps)
    expected = x
    for step in steps:
        expected = step(expected, g)
    assert torch.equal(together(x, generator(seed)), expected)
    assert torch.equal(together.apply(x, together.draw(x, generator(seed))), expected)


@pytest.mark.parametrize(
    "make, value",
    [
        (lambda: RandomFlip(1.5), "1.5"),
        (lambda: RandomCrop(-1), "-1"),
        (lambda: RandomCrop(4, mode="wrap"), "wrap"),
        (lambda: RandomTranslate(-0.1), "-0.1"),
        (lambda: RandomRotation(270), "270"),
        (lambda: RandomRotation(10, interpolation="cubic"), "cubic"),
        (lambda: Cutout(0), "0"),
        (lambda: Cutout(4, fill=300), "300"),
        (lambda: ColorJitter(brightness=-0.5), "-0.5"),
        (lambda: ColorJitter(hue=0.7), "0.7"),
        (lambda: Mixup(0.0), "0.0"),
        (lambda: Compose([Mixup(0.2), RandomFlip()]), "Mixup"),
        (lambda: ColorJitter(0.4)(noise((1, 4, 4)), generator()), "1"),
        (lambda: Mixup(1.0)(torch.zeros(2, 1, 1, 1), torch.tensor([0, 1]), generator()), "num_classes"),
    ],
)
def test_bad_arguments_are_named(make, value):
    with pytest.raises(ValueError, match=value):
        make()


def test_a_mixup_inside_is_found_or_refused():
    inner = Compose([RandomCrop(3), Mixup(0.2)])
    both = Compose([RandomFlip(), inner])
    assert both.steps == (RandomFlip(), RandomCrop(3)) and both.mixup == Mixup(0.2)
    split = Split(noise(n=4), torch.zeros(4, dtype=torch.int64), (0.5,) * 3, (0.3,) * 3)
    for make in (Views, lambda step: Sometimes(step, 0.5), lambda step: Compose([step, RandomFlip()])):
        with pytest.raises(ValueError, match="Mixup acts after normalization and must be the last step"):
            Batches(split, 2, make(inner))
