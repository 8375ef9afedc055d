"""Batches: every example once, normalized, in an order that depends on (seed, epoch) alone."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision import transforms
from torchvision.transforms import v2

from utils.data import load_dataset
from utils.data.augment import Compose, Cutout, Mixup, RandomCrop, RandomFlip
from utils.data.batches import Batches, derive_seed
from utils.data.dataset import Split

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)


def split(n=50, channels=3, size=8, classes=5):
    g = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (n, channels, size, size), dtype=torch.uint8, generator=g)
    return Split(images, torch.arange(n) % classes, MEAN[:channels], STD[:channels])


def collect(batches):
    pairs = list(batches)
    return torch.cat([x for x, _ in pairs]), torch.cat([y for _, y in pairs])


def by_hand(images):
    mean, std = torch.tensor(MEAN).view(1, 3, 1, 1), torch.tensor(STD).view(1, 3, 1, 1)
    return (images.double() / 255 - mean) / std


@pytest.mark.parametrize("channels_last", [False, True])
def test_values_are_normalized(channels_last):
    data = split()
    x, y = collect(Batches(data, 16, shuffle=False, channels_last=channels_last))
    assert torch.allclose(x.double(), by_hand(data.images), atol=1e-5)
    assert torch.equal(y, data.labels) and x.dtype == torch.float32
    batch, _ = next(iter(Batches(data, 16, channels_last=channels_last)))
    assert batch.is_contiguous(
        memory_format=torch.channels_last if channels_last else torch.contiguous_format
    )


def test_the_split_is_not_changed():
    data = split()
    before = data.images.clone()
    for x, _ in Batches(data, 16, RandomFlip(), shuffle=False):
        x.zero_()
    assert torch.equal(data.images, before)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 60), st.integers(1, 70), st.integers(0, 1000), st.booleans())
def test_every_example_once_and_the_length_is_right(n, batch_size, seed, drop_last):
    data = split(n, classes=n)  # the label of each example is its index
    if drop_last and batch_size > n:
        with pytest.raises(ValueError, match=f"{batch_size}"):
            Batches(data, batch_size, drop_last=True)
        return
    batches = Batches(data, batch_size, seed=seed, drop_last=drop_last)
    sizes = [len(y) for _, y in batches]
    assert len(sizes) == len(batches) and all(size == batch_size for size in sizes[:-1])
    _, y = collect(batches)
    assert len(set(y.tolist())) == len(y) == (n // batch_size * batch_size if drop_last else n)


def test_order_and_augmentation_are_a_function_of_seed_and_epoch():
    augment = Compose([RandomFlip(), RandomCrop(2), Cutout(3)])

    def epoch(seed, number):
        batches = Batches(split(), 16, augment, seed=seed)
        batches.set_epoch(number)
        return collect(batches)

    for one, other in zip(epoch(7, 3), epoch(7, 3), strict=True):
        assert torch.equal(one, other)
    for different in (epoch(7, 4), epoch(8, 3)):
        assert not torch.equal(epoch(7, 3)[0], different[0])
        assert not torch.equal(epoch(7, 3)[1], different[1])


def test_passes_move_through_the_epochs_by_themselves():
    batches = Batches(split(), 16, RandomFlip())
    passes = [collect(batches)[0] for _ in range(3)]
    assert not torch.equal(passes[0], passes[1])
    batches.set_epoch(1)
    assert torch.equal(collect(batches)[0], passes[1])
    assert torch.equal(collect(batches)[0], passes[2])


def test_a_pass_that_is_broken_off_counts_as_one():
    batches = Batches(split(), 16)
    next(iter(batches))
    fresh = Batches(split(), 16)
    fresh.set_epoch(1)
    assert torch.equal(collect(batches)[0], collect(fresh)[0])


def test_the_order_does_not_depend_on_the_augmentation():
    plain, augmented = Batches(split(), 16), Batches(split(), 16, RandomCrop(2))
    assert torch.equal(collect(plain)[1], collect(augmented)[1])


def test_global_random_state_is_neither_used_nor_changed():
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = collect(Batches(split(), 16, Compose([RandomCrop(2), Mixup(0.5)])))
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    second = collect(Batches(split(), 16, Compose([RandomCrop(2), Mixup(0.5)])))
    assert torch.equal(first[0], second[0]) and torch.equal(first[1], second[1])


@pytest.mark.parametrize("augment", [Mixup(0.5), Compose([Mixup(0.5)])])
def test_mixup_gives_soft_labels_that_sum_to_one(augment):
    x, y = collect(Batches(split(), 16, augment, num_classes=7))
    assert y.shape == (50, 7) and y.dtype == torch.float32
    assert torch.allclose(y.sum(1), torch.ones(50)) and (y[:, 5:] == 0).all()
    assert x.shape == (50, 3, 8, 8)


def test_mixup_blends_images_and_labels_by_the_same_share():
    black_and_white = torch.tensor([0, 255], dtype=torch.uint8).repeat(8).view(16, 1, 1, 1)
    data = Split(black_and_white, torch.arange(16) % 2, (0.0,), (1.0,))
    x, y = next(iter(Batches(data, 16, Mixup(1.0))))
    assert torch.allclose(x.flatten(), y[:, 1], atol=1e-6)  # brightness = share of class 1


def test_a_function_of_images_and_generator_will_do():
    def invert(x, generator):
        return 255 - x

    data = split()
    x, _ = collect(Batches(data, 16, invert, shuffle=False))
    assert torch.allclose(x.double(), by_hand(255 - data.images), atol=1e-5)


def test_double_precision_on_request():
    x, _ = next(iter(Batches(split(), 4, dtype=torch.float64)))
    assert x.dtype == torch.float64


def test_seeds_are_derived_from_the_whole_key():
    seeds = {derive_seed(a, b, c) for a in range(5) for b in range(5) for c in range(3)}
    assert len(seeds) == 75 and all(0 <= seed < 2**63 for seed in seeds)
    assert derive_seed(1, 2) == derive_seed(1, 2)


@pytest.mark.parametrize(
    "make, value",
    [
        (lambda: Batches(split(), 0), "0"),
        (lambda: Batches(split(), 8, seed=-1), "-1"),
        (lambda: Batches(split(), 8).set_epoch(-2), "-2"),
        (lambda: Batches(split(), 8, RandomCrop(9)).__iter__().__next__(), "9"),
        (lambda: Batches(split().subset(slice(0)), 8), "empty"),
    ],
)
def test_bad_arguments_are_named(make, value):
    with pytest.raises(ValueError, match=value):
        make()


def still(std, channels=3):
    return Split(split(channels=channels).images, torch.arange(50) % 5, MEAN[:channels], std)


@pytest.mark.parametrize(
    ("std", "channel"),
    [
        ((0.2, 0.2, 0.0), 2),
        ((0.0, 0.2, 0.2), 0),
        ((0.0, 0.0, 0.0), 0),
        ((0.2, float("nan"), 0.2), 1),
        ((0.2, 0.2, -0.1), 2),
    ],
)
def test_a_constant_channel_is_said_before_anything_is_trained(std, channel):
    with pytest.raises(ValueError, match=f"^channel {channel} cannot be normalized: it is constant, std .*"):
        Batches(still(std), 16)
    with pytest.raises(
        ValueError, match="it is constant, std 0 .mean 0.5.; leave it out, or give it a std of 1"
    ):
        Batches(still((0.0,), 1), 16)
    x, _ = next(iter(Batches(still(tuple(s if s > 0 else 1.0 for s in std)), 16)))
    assert x.isfinite().all()


def one_image(x, generator):
    return x[0]


WRONG_RESULTS = {
    "floats": (lambda x, g: x.float() / 255, "torch.float32, which would be taken for gray levels 0 to 255"),
    "halves": (lambda x, g: x.to(torch.bfloat16), "torch.bfloat16"),
    "int64": (lambda x, g: x.long(), "torch.int64"),
    "numpy": (lambda x, g: x.numpy(), "a ndarray"),
    "nothing": (lambda x, g: None, "a NoneType"),
    "pair": (lambda x, g: (x, x), "a tuple"),
    "one image": (one_image, r"the shape \[3, 8, 8\]"),
    "gray": (lambda x, g: x[:, :1], r"the shape \[16, 1, 8, 8\]"),
    "channels last": (lambda x, g: x.permute(0, 2, 3, 1), r"the shape \[16, 8, 8, 3\]"),
}


@pytest.mark.parametrize("name", WRONG_RESULTS)
@pytest.mark.parametrize("within", [False, True], ids=["alone", "in Compose"])
def test_augmentation_that_returns_something_else_is_refused(name, within):
    augment, got = WRONG_RESULTS[name]
    batches = Batches(split(), 16, Compose([RandomFlip(), augment]) if within else augment)
    with pytest.raises(ValueError, match=rf"augment must return images of torch.uint8 \[B, 3, H, W\].*{got}"):
        next(iter(batches))


@pytest.mark.parametrize(
    "transform",
    [
        v2.RandomHorizontalFlip(),
        v2.RandomCrop(8, padding=2),
        v2.Compose([v2.RandomHorizontalFlip()]),
        v2.ColorJitter(0.1),
        transforms.RandomRotation(10),
        transforms.Compose([transforms.RandomHorizontalFlip()]),
    ],
    ids=lambda transform: type(transform).__module__ + "." + type(transform).__name__,
)
def test_transform_of_torchvision_says_what_to_use_instead(transform):
    for augment in (lambda: Batches(split(), 16, transform), lambda: Compose([RandomFlip(), transform])):
        with pytest.raises(
            ValueError, match="is a transform of torchvision, which takes no generator; use Ra"
        ):
            augment()
    x, _ = next(iter(Batches(split(), 16, lambda x, generator: transform(x))))
    assert x.shape == (16, 3, 8, 8)


@pytest.mark.parametrize(
    "augment",
    ["flip", 3, [RandomFlip()], lambda x: x, lambda: None, RandomFlip, torch.ones(3)],
    ids=["name", "number", "list", "one argument", "no argument", "class", "tensor"],
)
def test_what_cannot_be_called_with_images_and_generator_is_refused(augment):
    with pytest.raises(ValueError, match=r"an augmentation is called with \(images, generator\)"):
        Batches(split(), 16, augment)


def test_a_whole_dataset_is_not_a_split():
    with pytest.raises(ValueError, match="got a Dataset; give one of its splits, such as dataset.train"):
        Batches(load_dataset("digits"), 16)
    with pytest.raises(ValueError, match="got a tuple$"):
        Batches((torch.zeros(3), torch.zeros(3)), 16)


def test_an_augmentation_in_place_leaves_the_split_alone():
    def painted(x, generator):
        x[:, :, :2] = 0
        return x

    data = split()
    before = data.images.clone()
    for shuffle in (False, True):
        list(Batches(data, 8, painted, shuffle=shuffle))
        assert torch.equal(data.images, before)
