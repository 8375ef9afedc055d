"""The norms that a GradientFlow records are those of autograd, and it leaves nothing behind."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from utils.analysis.gradient_flow import GradientFlow
from utils.data import load_dataset
from utils.training import fit


def small_net():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 10)
    )


def batch(seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(6, 1, 8, 8, generator=generator), torch.randint(10, (6,), generator=generator)


def test_norms_are_those_of_autograd():
    net = small_net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    expected = []
    with GradientFlow(net) as flow:
        for step in range(3):
            x, y = batch(step)
            conv = net[0](x)
            logits = net[1:](conv)
            optimizer.zero_grad()
            F.cross_entropy(logits, y).backward()
            flow()
            expected.append(
                [
                    [float(layer.weight.grad.norm()) for layer in (net[0], net[4])],
                    [float(layer.weight.detach().norm()) for layer in (net[0], net[4])],
                    [float(output.detach().square().mean().sqrt()) for output in (conv, logits)],
                ]
            )
            optimizer.step()
    record = flow.read()
    assert record.layers == ("0", "4") and record.steps.tolist() == [0, 1, 2] and len(record) == 3
    expected = np.array(expected)
    np.testing.assert_allclose(record.gradients, expected[:, 0], rtol=1e-5)
    np.testing.assert_allclose(record.weights, expected[:, 1], rtol=1e-5)
    np.testing.assert_allclose(record.activations, expected[:, 2], rtol=1e-5)
    np.testing.assert_allclose(record.relative, expected[:, 0] / expected[:, 1], rtol=1e-5)
    np.testing.assert_array_equal(record.of("4", "weights"), record.weights[:, 1])


def test_as_a_probe_of_fit_it_sees_every_step_and_changes_nothing():
    data = load_dataset("digits")
    train, valid = data.train.subset(96), data.valid.subset(20)
    runs = {}
    for recorded in (False, True):
        torch.manual_seed(1)
        net = nn.Sequential(nn.Flatten(), nn.Linear(data.train.images[0].numel(), 10))
        with GradientFlow(net) as flow:
            probes = [flow] if recorded else []
            runs[recorded] = fit(net, train, valid, epochs=2, batch_size=32, probes=probes, progress=False)
    assert runs[True].train_loss == runs[False].train_loss
    record = flow.read()
    assert record.steps.tolist() == list(range(6))
    assert record.gradients.shape == record.activations.shape == (6, 1)
    assert np.isfinite(record.gradients).all() and np.isfinite(record.activations).all()


def test_only_every_so_many_steps():
    net = small_net()
    with GradientFlow(net, ["4"], every=2) as flow:
        for step in range(5):
            F.cross_entropy(net(batch(step)[0]), batch(step)[1]).backward()
            flow(model=net, step=step, loss=None, x=None, y=None)
    assert flow.read().steps.tolist() == [0, 2, 4]
    assert flow.read().gradients.shape == (3, 1)


def test_what_is_not_there_is_nan():
    net = small_net()
    net[0].weight.requires_grad_(False)
    with GradientFlow(net) as flow:
        net.eval()  # the passes of a validation do not count
        net(batch(0)[0]).sum().backward()
        flow()
    record = flow.read()
    assert np.isnan(record.gradients[0]).tolist() == [True, False]
    assert np.isnan(record.activations).all() and np.isfinite(record.weights).all()
    assert len(GradientFlow(net).read()) == 0
    assert GradientFlow(net).read().gradients.shape == (0, 2)


def test_nothing_is_left_behind_after_an_error():
    net = small_net()
    with pytest.raises(RuntimeError, match="stop"), GradientFlow(net):
        assert net[0]._forward_hooks
        raise RuntimeError("stop")
    assert not any(module._forward_hooks for module in net.modules())
    with GradientFlow(net, activations=False):
        assert not any(module._forward_hooks for module in net.modules())


def test_it_does_not_keep_the_graph():
    net = small_net()
    with GradientFlow(net) as flow:
        net(batch(0)[0]).sum().backward()
        flow()
        assert not any(row.requires_grad for row in flow._rows)


def test_wrong_layers_are_refused():
    net = small_net()
    for layers, message in [
        (["5"], "no layer '5'"),
        (["2"], r"2 \(ReLU\) has no weight"),
        ("4", "must be a list"),
        ([], "empty"),
    ]:
        with pytest.raises(ValueError, match=message):
            GradientFlow(net, layers)
    with pytest.raises(ValueError, match="every must be"):
        GradientFlow(net, every=0)
    with pytest.raises(ValueError, match="no convolution or linear"):
        GradientFlow(nn.ReLU())
    with pytest.raises(ValueError, match="'1' was recorded"):
        GradientFlow(net).read().of("1")
    with GradientFlow(net) as flow, pytest.raises(ValueError, match="already recording"), flow:
        pass
