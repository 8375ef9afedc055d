"""Directions: norms filter by filter, interpolation, and principal components against numpy's SVD."""

import numpy as np
import pytest
import torch
from torch import nn

from utils.analysis.landscape import (
    TrajectoryRecorder,
    filter_normalized_directions,
    interpolation_direction,
    trajectory_directions,
)
from utils.data.dataset import Split
from utils.models import build_model
from utils.training import fit


def small_net(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3, groups=4), nn.GroupNorm(2, 4),
        nn.ConvTranspose2d(4, 2, 2), nn.Flatten(), nn.Linear(50, 5),
    )  # fmt: skip


def test_every_filter_has_the_norm_of_the_models():
    net = small_net()
    for direction in filter_normalized_directions(net, n=2, seed=3):
        assert list(direction) == [name for name, _ in net.named_parameters()]
        for name in ("0.weight", "3.weight", "7.weight"):
            for got, want in zip(direction[name], net.get_parameter(name), strict=True):
                assert got.norm().item() == pytest.approx(want.norm().item(), rel=1e-6)
        # the filters of a transposed convolution [in, out, …] lie along its second axis
        squares = [(t.detach() ** 2).sum(dim=(0, 2, 3)) for t in (direction["5.weight"], net[5].weight)]
        assert torch.allclose(*squares)
        for name in ("0.bias", "1.weight", "1.bias", "4.weight", "4.bias", "7.bias"):
            assert not direction[name].any()


@pytest.mark.parametrize("name", ["resnet-20", "all-cnn-c", "vit-cifar"])
def test_models_of_the_book(name):
    net = build_model(name, num_classes=10)
    (direction,) = filter_normalized_directions(net, n=1)
    for path, parameter in net.named_parameters():
        if parameter.ndim < 2:
            assert not direction[path].any(), path
        elif parameter.detach().any():
            got, want = (t.detach().flatten(1).double().norm(dim=1) for t in (direction[path], parameter))
            assert torch.allclose(got, want, rtol=1e-5), path


def test_other_normalizations():
    net = small_net()
    layer, whole, raw = (
        filter_normalized_directions(net, 1, normalize=choice)[0] for choice in ("layer", "model", None)
    )
    assert layer["0.weight"].norm().item() == pytest.approx(net[0].weight.norm().item(), rel=1e-6)
    assert layer["0.weight"][0].norm().item() != pytest.approx(net[0].weight[0].norm().item(), rel=1e-3)
    moving = [p for p in net.parameters() if p.ndim > 1]
    total = torch.cat([p.flatten() for p in moving]).norm().item()
    assert torch.cat([t.flatten() for t in whole.values()]).norm().item() == pytest.approx(total, rel=1e-6)
    generator_scale = torch.cat([raw[f"{i}.weight"].flatten() for i in (0, 3, 5, 7)]).std().item()
    assert generator_scale == pytest.approx(1, abs=0.15)
    filters = filter_normalized_directions(net, 1)[0]
    cosine = torch.cosine_similarity(filters["7.weight"], raw["7.weight"])
    assert torch.allclose(cosine, torch.ones(5), atol=1e-6), "normalizing changes lengths only"


def test_nothing_ignored_moves_everything():
    net = small_net()
    direction = filter_normalized_directions(net, 1, ignore=None)[0]
    for name in ("0.bias", "1.weight", "7.bias"):
        want = net.get_parameter(name).norm().item()
        assert direction[name].norm().item() == pytest.approx(want, rel=1e-6) and want > 0


def test_seed_and_number_decide_and_the_model_is_not_changed():
    net = small_net()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    state = torch.get_rng_state()
    first, second = filter_normalized_directions(net, 2, seed=1)
    assert torch.equal(filter_normalized_directions(net, 1, seed=1)[0]["0.weight"], first["0.weight"])
    assert not torch.equal(first["0.weight"], second["0.weight"])
    assert not torch.equal(filter_normalized_directions(net, 1, seed=2)[0]["0.weight"], first["0.weight"])
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert not any(tensor.requires_grad for tensor in first.values())


def test_a_filter_of_zeros_stays_where_it_is():
    net = small_net()
    with torch.no_grad():
        net[7].weight[2] = 0
    direction = filter_normalized_directions(net, 1)[0]["7.weight"]
    assert not direction[2].any() and direction[1].any() and torch.isfinite(direction).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "n must .* got 0"),
        ({"normalize": "weight"}, "normalize .* got 'weight'"),
        ({"ignore": "bias"}, "ignore .* got 'bias'"),
        ({"seed": -1}, "negative"),
    ],
)
def test_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        filter_normalized_directions(small_net(), **options)


def test_refuses_models_without_filters():
    with pytest.raises(ValueError, match="BatchNorm2d has no parameters"):
        filter_normalized_directions(nn.BatchNorm2d(3))
    with pytest.raises(ValueError, match="groups=2 is not supported"):
        filter_normalized_directions(nn.Sequential(nn.ConvTranspose2d(4, 4, 2, groups=2)))
    with pytest.raises(ValueError, match="^the model: a transposed convolution"):
        filter_normalized_directions(nn.ConvTranspose2d(4, 4, 2, groups=2))


def test_interpolation_reaches_the_other_solution():
    a, b = small_net(0), small_net(1)
    b[1].running_mean += 1
    direction = interpolation_direction(a, b)
    assert "1.running_mean" in direction and "1.num_batches_tracked" not in direction
    end = b.state_dict()
    for name, tensor in a.state_dict().items():
        if name in direction:
            assert torch.allclose(tensor + direction[name], end[name], atol=1e-7)
    assert interpolation_direction(a.state_dict(), end).keys() == direction.keys()
    with pytest.raises(ValueError, match="'1.weight' is in one of the two"):
        interpolation_direction(a, nn.Sequential(nn.Conv2d(3, 4, 3)))
    with pytest.raises(ValueError, match=r"\(4, 3, 3, 3\) .* \(4, 3, 5, 5\)"):
        interpolation_direction(nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 5))


def path_of_states(S=6, seed=4):
    generator = torch.Generator().manual_seed(seed)
    return [
        {
            "a": torch.randn(3, 4, generator=generator), "b": torch.randn(5, 2, generator=generator),
            "bias": torch.randn(5, generator=generator), "count": torch.tensor(7),
        }
        for _ in range(S)
    ]  # fmt: skip


@pytest.mark.parametrize("ignore", ["bias_bn", None])
def test_components_agree_with_the_singular_value_decomposition(ignore):
    states = path_of_states()
    names = ["a", "b"] if ignore else ["a", "b", "bias"]
    found = trajectory_directions(states, n=3, ignore=ignore)
    flat = np.stack([np.concatenate([state[name].numpy().ravel() for name in names]) for state in states])
    _, singular, components = np.linalg.svd(flat - flat.mean(0), full_matrices=False)
    assert found.explained == pytest.approx(singular[:3] ** 2 / (singular**2).sum(), rel=1e-5)
    vectors = np.stack(
        [np.concatenate([d[name].numpy().ravel() for name in names]) for d in found.directions]
    )
    assert vectors @ vectors.T == pytest.approx(np.eye(3), abs=1e-5)
    assert abs((vectors * components[:3]).sum(1)) == pytest.approx(np.ones(3), abs=1e-4)
    assert found.coordinates == pytest.approx((flat - flat[-1]) @ vectors.T, abs=1e-4)
    assert (found.coordinates[0] >= 0).all() and found.coordinates[-1] == pytest.approx([0, 0, 0], abs=1e-9)
    assert all(list(direction) == names for direction in found.directions)


def test_a_path_in_a_plane_is_explained_by_two_components():
    generator = torch.Generator().manual_seed(5)
    u, v = torch.randn(2, 4, 6, generator=generator)
    states = [{"w": a * u + b * v} for a, b in [(3, 1), (2, 2), (1, 1), (0.5, 0), (0, 0)]]
    found = trajectory_directions(states)
    assert found.explained.sum() == pytest.approx(1)
    back = sum(found.coordinates[0, k] * found.directions[k]["w"] for k in range(2))
    assert torch.allclose(back.float(), states[0]["w"] - states[-1]["w"], atol=1e-5)
    with pytest.raises(ValueError, match="5 states vary in fewer than 3"):
        trajectory_directions(states, n=3)


@pytest.mark.parametrize(
    ("states", "options", "message"),
    [
        (path_of_states(2), {}, "2 components need at least 3 states, got 2"),
        (path_of_states(3), {"n": 0}, "n must .* got 0"),
        (path_of_states(3), {"ignore": "bn"}, "ignore .* got 'bn'"),
        ([{"a": torch.ones(2, 2)}] * 3, {}, "3 states vary in fewer than 2"),
        ([{"bias": torch.ones(2)}] * 3, {}, "nothing that could move"),
        ([{"a": torch.ones(2, 2)}, {}, {"a": torch.ones(2, 2)}], {}, "state 1 has nothing for 'a'"),
    ],
)
def test_trajectory_refuses(states, options, message):
    with pytest.raises(ValueError, match=message):
        trajectory_directions(states, **options)


def test_recorder_keeps_the_weights_of_a_training():
    split = Split(
        torch.randint(0, 256, (40, 1, 32, 32), dtype=torch.uint8), torch.arange(40) % 10, (0.5,), (0.25,)
    )
    torch.manual_seed(0)
    net = build_model("lenet-5")
    start = {name: p.detach().clone() for name, p in net.named_parameters()}
    recorder = TrajectoryRecorder(every=2)
    fit(net, split, epochs=1, batch_size=8, lr=1e-2, probes=[recorder], progress=False)
    recorder.finish(net)
    assert recorder.steps == [0, 2, 4, 5]
    assert all(torch.equal(recorder.states[0][name], tensor) for name, tensor in start.items())
    assert all(torch.equal(recorder.states[-1][name], p) for name, p in net.named_parameters())
    assert not torch.equal(recorder.states[1]["c1.weight"], start["c1.weight"])
    assert trajectory_directions(recorder.states).coordinates.shape == (4, 2)
    with pytest.raises(ValueError, match="every must .* got 0"):
        TrajectoryRecorder(every=0)
