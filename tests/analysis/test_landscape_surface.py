"""Loss surfaces: against a loop that reloads weights, and what happens to the model, to files and to bad
input."""

import copy
import dataclasses
import functools
import io
import json
import os

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from utils.analysis.landscape import (
    LossSurface,
    TrajectoryRecorder,
    filter_normalized_directions,
    interpolation_direction,
    loss_surface,
    trajectory_directions,
)
from utils.analysis.landscape.points import Points
from utils.analysis.landscape.surface_file import SurfaceFile
from utils.data.batches import Batches
from utils.data.dataset import Split
from utils.training import evaluate

N, CLASSES = 30, 4
ALPHAS, BETAS = [-1.0, 0.0, 0.5], [-0.5, 0.25]


class Residual(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)

    def forward(self, x):
        return F.relu(x + self.bn(self.conv(x)))


def small_net(seed=0):
    """With batch normalization whose running statistics are no zeros and ones, and dropout."""
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), Residual(6), nn.MaxPool2d(2), nn.Dropout(0.3),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, CLASSES),
    )  # fmt: skip
    for _ in range(3):
        net(torch.randn(16, 3, 8, 8))
    return net


@pytest.fixture(scope="module")
def split():
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (N, 3, 8, 8), dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, CLASSES, (N,), generator=generator)
    return Split(images, labels, (0.4, 0.5, 0.6), (0.2, 0.25, 0.3))


def naive(net, split, directions, points, batch_size=7, mode="eval"):
    """Loss and accuracy at each point: load_state_dict, a DataLoader, sums of Python numbers."""
    x = (split.images / 255 - torch.tensor(split.mean).view(3, 1, 1)) / torch.tensor(split.std).view(3, 1, 1)
    loader = DataLoader(TensorDataset(x, split.labels), batch_size)
    found = []
    for point in points:
        probe = copy.deepcopy(net)
        state = {name: tensor.clone() for name, tensor in net.state_dict().items()}
        for coordinate, direction in zip(point, directions, strict=True):
            for name, tensor in direction.items():
                state[name] += coordinate * tensor
        probe.load_state_dict(state)
        probe.eval()
        for module in probe.modules():
            if isinstance(module, nn.BatchNorm2d) and mode == "batch":
                module.train()
        loss, hits = 0.0, 0
        with torch.no_grad():
            for images, labels in loader:
                logits = probe(images)
                loss += F.cross_entropy(logits, labels, reduction="sum").item()
                hits += (logits.argmax(1) == labels).sum().item()
        found.append((loss / len(split), hits / len(split)))
    return np.array(found)


def grid(alphas, betas):
    return [(alpha, beta) for beta in betas for alpha in alphas]


def state_of(net):
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


def unchanged(net, before):
    return all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


@pytest.mark.parametrize("points_at_once", [None, 2, 3])
@pytest.mark.parametrize("mode", ["eval", "batch"])
def test_plane_agrees_with_a_loop_that_reloads_weights(split, points_at_once, mode):
    net = small_net()
    directions = filter_normalized_directions(net, seed=2)
    surface = loss_surface(
        net, split, directions, ALPHAS, BETAS, batch_size=7, points_at_once=points_at_once,
        batch_statistics=mode == "batch", progress=False,
    )  # fmt: skip
    expected = naive(net, split, directions, grid(ALPHAS, BETAS), mode=mode).reshape(2, 3, 2)
    assert surface.loss == pytest.approx(expected[..., 0], rel=1e-5)
    assert surface.accuracy == pytest.approx(expected[..., 1])
    assert surface.loss.shape == (2, 3) and surface.n == N
    assert surface.alphas.tolist() == ALPHAS and surface.betas.tolist() == BETAS
    assert surface.settings["points_at_once"] == (points_at_once or 1)
    assert np.ptp(surface.loss) > 0.1


def test_line_in_the_middle_is_the_models_own_loss(split):
    net = small_net()
    (direction,) = filter_normalized_directions(net, 1)
    line = loss_surface(net, split, [direction], [-0.5, 0.0, 0.5], progress=False)
    own = evaluate(net, split)
    assert line.betas is None and line.loss.shape == (3,)
    assert line.loss[1] == pytest.approx(own.loss, rel=1e-6)
    assert line.accuracy[1] == pytest.approx(own.accuracy)
    together = loss_surface(net, split, [direction], [-0.5, 0.0, 0.5], points_at_once=2, progress=False)
    assert together.loss == pytest.approx(line.loss, rel=1e-5)


def test_quadratic_loss_in_closed_form():
    # ½‖w‖² at w = (3, 4) + α(1, 0) + β(0, 2)
    class Bowl(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.tensor([3.0, 4.0]))

        def forward(self, x):
            return (0.5 * (self.w**2).sum()).expand(len(x), 1)

    directions = [{"w": torch.tensor([1.0, 0.0])}, {"w": torch.tensor([0.0, 2.0])}]
    surface = loss_surface(
        Bowl(), (torch.zeros(5, 1), torch.zeros(5)), directions, [-3, 0, 1], [-2, 0],
        loss_function=lambda outputs, y: outputs.mean(), progress=False,
    )  # fmt: skip
    assert surface.loss.tolist() == [[0.0, 4.5, 8.0], [8.0, 12.5, 16.0]]
    assert np.isnan(surface.accuracy).all(), "targets that are no classes have no accuracy"


def test_split_batches_and_tensors_are_the_same_data(split):
    net = small_net()
    directions = filter_normalized_directions(net, 1)
    batches = Batches(split, 7, shuffle=True, seed=3)
    batches.set_epoch(5)
    x, y = next(iter(Batches(split, N, shuffle=False)))
    found = [
        loss_surface(net, data, directions, [0.5], batch_size=7, progress=False).loss[0]
        for data in (split, batches, (x, y))
    ]
    assert found == pytest.approx([found[0]] * 3, rel=1e-6)
    assert batches.epoch == 5, "the next pass of the caller's batches is the one it was"


def test_interpolation_ends_at_both_solutions(split):
    a, b = small_net(0), small_net(1)
    direction = interpolation_direction(a, b)
    line = loss_surface(a, split, [direction], [0, 0.5, 1], progress=False)
    assert line.loss[[0, 2]] == pytest.approx([evaluate(net, split).loss for net in (a, b)], rel=1e-5)
    with pytest.raises(ValueError, match=r"running_var becomes -.* at \(40.0,\).*batch_statistics=True"):
        loss_surface(a, split, [direction], [0, 40], progress=False)
    beyond = loss_surface(a, split, [direction], [0, 40], batch_statistics=True, progress=False)
    assert np.isfinite(beyond.loss).all()


def test_surface_along_a_trajectory_passes_through_its_states(split):
    net = nn.Sequential(nn.Flatten(), nn.Linear(192, CLASSES, bias=False))
    recorder = TrajectoryRecorder()
    for step in range(3):
        recorder(model=net, step=step)
        generator = torch.Generator().manual_seed(step)
        with torch.no_grad():
            net[1].weight += 0.02 * torch.randn(net[1].weight.shape, generator=generator)
    recorder.finish(net)
    path = trajectory_directions(recorder.states[1:])  # three states lie in a plane
    for state, (alpha, beta) in zip(recorder.states[1:], path.coordinates.tolist(), strict=True):
        there = copy.deepcopy(net)
        there.load_state_dict(state)
        surface = loss_surface(net, split, path.directions, [alpha], [beta], progress=False)
        assert surface.loss[0, 0] == pytest.approx(evaluate(there, split).loss, rel=1e-4)


def test_model_and_generators_are_left_alone(split):
    net = small_net().train()
    before, generator = state_of(net), torch.get_rng_state()
    directions = filter_normalized_directions(net)
    for at_once in (1, 2):
        options = {"points_at_once": at_once, "progress": False}
        loss_surface(net, split, directions, ALPHAS, BETAS, **options)
        loss_surface(net, split, directions, ALPHAS, BETAS, batch_statistics=True, **options)
    assert unchanged(net, before) and net.training and torch.equal(torch.get_rng_state(), generator)
    assert all(p.requires_grad and p.grad is None for p in net.parameters())
    assert all(p.is_contiguous() for p in net.parameters()), "nor is its memory layout changed"


def test_model_is_left_alone_when_a_point_fails(split):
    net = small_net()
    before = state_of(net)

    def fails(logits, y):
        raise RuntimeError("no more")

    directions = filter_normalized_directions(net)
    with pytest.raises(RuntimeError, match="no more"):
        loss_surface(net, split, directions, [1.0], [1.0], loss_function=fails, progress=False)
    assert unchanged(net, before) and net.training


# ---- interruption


class Stopped(Exception):
    pass


def stop_after(monkeypatch, calls):
    """The evaluation is interrupted after so many calls, as by a keyboard."""
    original, count = Points.evaluate, []

    def evaluate_or_stop(self, points, at_once):
        if len(count) == calls:
            raise Stopped
        count.append(len(points))
        return original(self, points, at_once)

    monkeypatch.setattr(Points, "evaluate", evaluate_or_stop)
    return count


@pytest.mark.parametrize("at_once", [1, 2])
@pytest.mark.parametrize("betas", [None, [-0.5, 0.0, 0.5]])
def test_a_resumed_surface_equals_an_uninterrupted_one(split, tmp_path, monkeypatch, betas, at_once):
    net = small_net()
    directions = filter_normalized_directions(net, 1 if betas is None else 2)
    path = tmp_path / "deep" / "surface.npz"
    alphas = [-1.0, -0.5, 0.0, 0.5, 1.0]

    def compute(**options):
        return loss_surface(net, split, directions, alphas, betas, progress=False, **options)

    whole = compute(points_at_once=at_once)
    with monkeypatch.context() as patch:
        stop_after(patch, 2)
        with pytest.raises(Stopped):
            compute(path=path, points_at_once=at_once)
    with monkeypatch.context() as patch:
        count = stop_after(patch, 100)
        resumed = compute(path=path)
    # two rows of five points were done, or on a line two calls; the first is looked at once more
    assert sum(count) == 1 + (5 if betas is not None else 5 - 2 * at_once)
    assert np.array_equal(resumed.loss, whole.loss) and np.array_equal(resumed.accuracy, whole.accuracy)
    assert resumed.settings == whole.settings
    with monkeypatch.context() as patch:
        count = stop_after(patch, 1)
        assert np.array_equal(compute(path=path).loss, whole.loss) and sum(count) == 1, "a finished file"
    assert [file.name for file in path.parent.iterdir()] == ["surface.npz"]


def test_a_file_of_another_surface_is_refused(split, tmp_path):
    net, path = small_net(), tmp_path / "surface.npz"
    directions = filter_normalized_directions(net)

    def compute(model=net, data=split, directions=directions, alphas=ALPHAS, **options):
        return loss_surface(model, data, directions, alphas, BETAS, path=path, progress=False, **options)

    compute()
    moved = copy.deepcopy(net)
    with torch.no_grad():
        moved[0].weight[0, 0, 0, 0] += 1e-3
    others = [
        {"model": moved}, {"directions": filter_normalized_directions(net, seed=9)}, {"alphas": [0.0, 1.0]},
        {"data": split.subset(20)}, {"batch_size": 5}, {"batch_statistics": True},
    ]  # fmt: skip
    for other in others:
        with pytest.raises(ValueError, match="surface.npz belongs to another loss surface.*delete it"):
            compute(**other)
    with pytest.raises(ValueError, match="begun with points_at_once=1, got 3"):
        compute(points_at_once=3)


def test_a_file_of_the_same_weights_in_another_network_or_loss_is_refused(split, tmp_path):
    net, path = small_net(), tmp_path / "surface.npz"
    (direction,) = filter_normalized_directions(net, 1)

    def compute(model=net, loss=F.cross_entropy):
        options = {"loss_function": loss, "path": path, "progress": False}
        return loss_surface(model, split, [direction], ALPHAS, **options)

    whole = compute()
    other = copy.deepcopy(net)
    other[2] = nn.GELU()
    with pytest.raises(
        ValueError, match="at the first point the loss there is .* with this network and loss"
    ):
        compute(other)
    path.unlink()
    smooth = functools.partial(F.cross_entropy, label_smoothing=0.1)
    first = compute(loss=smooth)
    assert np.array_equal(
        compute(loss=functools.partial(F.cross_entropy, label_smoothing=0.1)).loss, first.loss
    )
    with pytest.raises(ValueError, match="at the first point"):
        compute(loss=functools.partial(F.cross_entropy, label_smoothing=0.2))
    assert not np.array_equal(first.loss, whole.loss)


def test_two_processes_write_files_of_their_own(tmp_path, monkeypatch):
    file, done = SurfaceFile(tmp_path / "surface.npz", "this one", 3), np.zeros((1, 2))
    original = os.replace

    def replace_after_another(source, target):
        monkeypatch.setattr(os, "replace", original)
        with monkeypatch.context() as patch:
            patch.setattr(os, "getpid", lambda: -1)
            file.write(np.ones((2, 2)), 1)  # in the middle of the first process's writing
        original(source, target)

    monkeypatch.setattr(os, "replace", replace_after_another)
    file.write(done, 1)
    assert np.array_equal(file.read(None)[0], done)
    assert [path.name for path in tmp_path.iterdir()] == ["surface.npz"]


def npy():
    with io.BytesIO() as file:
        np.save(file, np.zeros(3))
        return file.getvalue()


@pytest.mark.parametrize("content", [b"", b"not a zip file at all", npy()])
def test_a_damaged_file_is_refused(split, tmp_path, content):
    path = tmp_path / "surface.npz"
    path.write_bytes(content)
    net = small_net()
    with pytest.raises(ValueError, match="surface.npz is damaged or not the file .*delete it"):
        loss_surface(net, split, filter_normalized_directions(net, 1), [0.0], path=path, progress=False)


def test_surfaces_go_through_json(split):
    net = small_net()
    surface = loss_surface(net, split, filter_normalized_directions(net), ALPHAS, BETAS, progress=False)
    back = LossSurface.from_dict(json.loads(json.dumps(surface.as_dict())))
    for field in dataclasses.fields(LossSurface):
        before, after = getattr(surface, field.name), getattr(back, field.name)
        assert np.array_equal(before, after) if isinstance(before, np.ndarray) else before == after
    line = LossSurface(np.array([0.0]), None, np.array([np.inf]), np.array([0.1]), 3)
    assert LossSurface.from_dict(line.as_dict()).betas is None


def loader_of(batch_size):
    return DataLoader(TensorDataset(torch.zeros(8, 3, 8, 8), torch.zeros(8).long()), batch_size)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"betas": [0.0]}, "1 direction and betas"),
        ({"directions": 2}, "2 directions and betas=None"),
        ({"directions": 3}, "one or two .* got 3"),
        ({"directions": {"8.weight": torch.zeros(4, 24)}}, "list of one or two"),
        ({"directions": [{"9.weight": torch.zeros(1)}]}, "moves '9.weight', which Sequential does not have"),
        ({"directions": [{"8.weight": torch.zeros(4, 2)}]}, r"\(4, 2\) for '8.weight', the model \(4, 24\)"),
        ({"directions": [{"1.num_batches_tracked": torch.tensor(1)}]}, "holds torch.int64"),
        ({"alphas": []}, r"alphas .* got \[\]"),
        ({"alphas": [0.0, float("nan")]}, "alphas must be a list of finite numbers"),
        ({"batch_size": 0}, "batch_size .* got 0"),
        ({"points_at_once": 0}, "points_at_once .* got 0"),
        ({"data": (torch.zeros(3, 3, 8, 8), torch.zeros(2))}, "got 3 and 2"),
        ({"data": loader_of(8)}, "got DataLoader: of a DataLoader, give tuple"),
        ({"data": loader_of(4)}, "got DataLoader: of a DataLoader, give tuple"),
        ({"data": [1, 2]}, "must be a Split, Batches or a pair"),
    ],
)
def test_refuses(split, options, message):
    net = small_net()
    options = {"data": split, "directions": 1, "alphas": [0.0], "betas": None} | options
    if isinstance(options["directions"], int):
        options["directions"] = filter_normalized_directions(net, options["directions"])
    with pytest.raises(ValueError, match=message):
        loss_surface(net, progress=False, **options)


def test_a_parallel_wrapper_is_refused(split):
    net = nn.DataParallel(small_net())
    directions = filter_normalized_directions(net, 1)
    with pytest.raises(ValueError, match="the model is wrapped in DataParallel: .* model.module"):
        loss_surface(net, split, directions, [0.0], progress=False)
