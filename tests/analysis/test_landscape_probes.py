"""Gradient predictiveness and smoothness: a quadratic bowl in closed form, autograd, and nothing left
behind."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

from utils.analysis.landscape import GradientProbe, loss_bands
from utils.data.dataset import Split
from utils.models import build_model
from utils.training import fit


class Bowl(nn.Module):
    """The loss ½ wᵀAw, whatever is put in."""

    def __init__(self, diagonal, at):
        super().__init__()
        self.w = nn.Parameter(torch.tensor(at))
        self.register_buffer("diagonal", torch.tensor(diagonal))

    def forward(self, x):
        return (0.5 * self.diagonal * self.w**2).sum().expand(len(x), 1)


def mean_output(logits, y):
    return logits.mean()


def noisy_net():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5), nn.Linear(4 * 36, 3)
    )


def batch(n=8, side=8):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(n, 1, side, side, generator=generator), torch.randint(0, 3, (n,), generator=generator)


def test_quadratic_bowl_in_closed_form():
    # g = Aw = (1, 6); g(w − ηg) − g = −ηAg = −η(1, 18); ‖g‖² = 37, ‖Ag‖² = 325
    bowl = Bowl([1.0, 3.0], [1.0, 2.0])
    probe = GradientProbe([0.1, 0.5], loss_function=mean_output)
    x, y = torch.zeros(2, 1), torch.zeros(2)
    probe(model=bowl, step=0, loss=None, x=x, y=y)
    record = probe.read()
    assert record.start_loss == pytest.approx([6.5])
    assert record.gradient_norms == pytest.approx([37**0.5])
    # ½(w − ηg)ᵀA(w − ηg): η = .1: ½(.9² + 3·1.4²); η = .5: ½(.5² + 3·1)
    assert record.losses[0] == pytest.approx([3.345, 1.625])
    assert record.changes[0] == pytest.approx([0.1 * 325**0.5, 0.5 * 325**0.5])
    assert record.smoothness == pytest.approx([(325 / 37) ** 0.5])
    assert [float(side[0]) for side in record.loss_range] == pytest.approx([1.625, 3.345])
    assert [float(side[0]) for side in record.change_range] == pytest.approx([0.1 * 325**0.5, 0.5 * 325**0.5])


def test_agrees_with_a_loop_that_moves_a_copy_of_the_weights():
    net = noisy_net()
    net[4].p = 0.0
    x, y = batch()
    probe = GradientProbe([0.05, 0.2])
    probe(model=net, step=0, x=x, y=y)
    record = probe.read()

    def gradient(weights):
        leaves = {name: weight.clone().requires_grad_() for name, weight in weights.items()}
        buffers = {name: buffer.clone() for name, buffer in net.named_buffers()}
        loss = F.cross_entropy(functional_call(net, {**leaves, **buffers}, (x,)), y)
        slopes = torch.autograd.grad(loss, list(leaves.values()))
        return loss.item(), dict(zip(leaves, slopes, strict=True))

    start = {name: p.detach() for name, p in net.named_parameters()}
    loss, slopes = gradient(start)
    assert record.start_loss[0] == pytest.approx(loss)
    norm = torch.cat([slope.flatten() for slope in slopes.values()]).norm().item()
    per_distance = []
    for k, length in enumerate((0.05, 0.2)):
        moved_loss, moved = gradient({name: w - length * slopes[name] for name, w in start.items()})
        change = torch.cat([(moved[name] - slopes[name]).flatten() for name in moved]).norm().item()
        assert record.losses[0, k] == pytest.approx(moved_loss, rel=1e-5)
        assert record.changes[0, k] == pytest.approx(change, rel=1e-4)
        per_distance.append(change / (length * norm))
    assert record.smoothness[0] == pytest.approx(max(per_distance), rel=1e-4)


def test_nothing_is_left_behind():
    net = noisy_net()
    x, y = batch()
    F.cross_entropy(net(x), y).backward()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    gradients = [p.grad.clone() for p in net.parameters()]
    generator = torch.get_rng_state()
    probe = GradientProbe([0.1, 1.0])
    probe(model=net, step=0, x=x, y=y)
    assert torch.equal(torch.get_rng_state(), generator) and net.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert all(torch.equal(p.grad, g) for p, g in zip(net.parameters(), gradients, strict=True))
    assert np.isfinite(probe.read().losses).all()


def test_nothing_is_left_behind_when_a_pass_fails():
    net = noisy_net()
    x, y = batch()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    generator = torch.get_rng_state()
    calls = []

    def fails_later(logits, y):
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError("no more")
        return F.cross_entropy(logits, y)

    probe = GradientProbe([0.1], loss_function=fails_later)
    with pytest.raises(RuntimeError, match="no more"):
        probe(model=net, step=0, x=x, y=y)
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert torch.equal(torch.get_rng_state(), generator) and len(probe.read()) == 0


def test_all_passes_of_a_step_draw_the_same_dropout():
    net = noisy_net()
    x, y = batch()
    probe = GradientProbe([1e-7])
    probe(model=net, step=0, x=x, y=y)
    record = probe.read()
    assert record.losses[0, 0] == pytest.approx(record.start_loss[0], rel=1e-4)
    assert record.changes[0, 0] < 1e-3 * record.gradient_norms[0]


def test_losses_of_auxiliary_heads_are_added():
    class TwoHeads(nn.Module):
        auxiliary_weight = 0.5

        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.tensor([2.0]))

        def forward(self, x):
            out = (self.w**2).expand(len(x), 1)
            return out, out

    probe = GradientProbe([0.1], loss_function=mean_output)
    probe(model=TwoHeads(), step=0, x=torch.zeros(1, 1), y=torch.zeros(1))
    assert probe.read().start_loss == pytest.approx([6.0])
    assert probe.read().gradient_norms == pytest.approx([6.0])


def test_beside_a_training_it_changes_nothing_and_its_records_make_bands():
    generator = torch.Generator().manual_seed(2)
    split = Split(
        torch.randint(0, 256, (48, 1, 32, 32), dtype=torch.uint8, generator=generator),
        torch.randint(0, 10, (48,), generator=generator),
        (0.5,),
        (0.25,),
    )

    def train(lr, probes):
        torch.manual_seed(0)
        model = build_model("lenet-5")
        options = {"probes": probes, "record_steps": True, "precision": "float32", "progress": False}
        return fit(model, split, epochs=2, batch_size=12, lr=lr, **options), model

    records = {}
    for lr in (1e-3, 1e-2):
        probe = GradientProbe(lr * np.array([0.5, 2.0]), every=3)
        with_probe, model = train(lr, [probe])
        without, other = train(lr, [])
        assert with_probe.step_loss == without.step_loss
        assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))
        records[f"lr {lr}"] = probe.read()
        assert records[f"lr {lr}"].steps.tolist() == [0, 3, 6]
        expected = [without.step_loss[step] for step in (0, 3, 6)]
        assert records[f"lr {lr}"].start_loss == pytest.approx(expected, rel=1e-5)
    bands = loss_bands({label: record.smoothness for label, record in records.items()}, steps=[0, 3, 6])
    assert bands.steps.tolist() == [0, 3, 6] and (bands.width >= 0).all()


def test_empty_record_and_refusals():
    assert GradientProbe([0.1, 0.2]).read().losses.shape == (0, 2)
    for lengths in ([], [0.0], [-1.0], [float("nan")], [float("inf")]):
        with pytest.raises(ValueError, match="lengths must be positive numbers"):
            GradientProbe(lengths)
    for every in (0, 1.5, True):
        with pytest.raises(ValueError, match=f"every must be a whole number .* got {every}"):
            GradientProbe([0.1], every=every)


class Counting(nn.Module):
    """Its loss counts its calls, as that of co-teaching does."""

    def __init__(self):
        super().__init__()
        self.layers = noisy_net()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        return self.layers(x)

    def loss(self, logits, y):
        self.calls += 1
        return F.cross_entropy(logits, y) * self.calls


def test_a_loss_that_is_a_method_of_the_model_may_count_its_calls():
    model = Counting()
    probe = GradientProbe(lengths=(0.1, 0.2), loss_function=model.loss)
    x, y = batch()
    probe(model=model, step=0, x=x, y=y)
    assert model.calls == 0, "the passes of the probe are no steps"
