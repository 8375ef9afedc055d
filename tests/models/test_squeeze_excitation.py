"""Squeeze and excitation: the layer by hand, its place in a block, the totals."""

import pytest
import torch
from torch import nn

from tests.models import zoo
from utils.models import build_model
from utils.models.squeeze_excitation import SqueezeExcitation

ZOO = {
    "se-resnet-18-cifar": zoo.small(11_263_042),
}


def total(model):
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(("classes", "params"), [(10, 11_263_042), (100, 11_309_212)])
def test_totals(classes, params):
    with torch.device("meta"):
        model, without = (build_model(f"{kind}resnet-18-cifar", classes) for kind in ("se-", ""))
    assert total(model) == params and total(model) - total(without) == 89_080
    layers = [module for module in model.modules() if isinstance(module, SqueezeExcitation)]
    assert len(layers) == 8 and sum(total(layer) for layer in layers) == 89_080


def test_layer_is_that_of_torchvision():
    from torchvision.ops import SqueezeExcitation as Theirs

    torch.manual_seed(0)
    ours, theirs = SqueezeExcitation(32, 8), Theirs(32, 4)
    for mine, other in ((ours.reduce, theirs.fc1), (ours.expand, theirs.fc2)):
        other.load_state_dict(mine.state_dict())
    x = torch.randn(2, 32, 5, 5)
    torch.testing.assert_close(ours(x), theirs(x))


def test_by_hand():
    layer = SqueezeExcitation(2, 2)
    with torch.no_grad():
        layer.reduce.weight[:] = torch.tensor([1.0, -1.0])[None, :, None, None]
        layer.reduce.bias[:] = 0.5
        layer.expand.weight[:] = torch.tensor([1.0, 0.0])[:, None, None, None]
        layer.expand.bias[:] = torch.tensor([-2.5, 0.0])
    x = torch.stack([torch.full((3, 3), 4.0), torch.full((3, 3), 2.0)])[None]
    # means 4 and 2, squeezed 4 - 2 + 0.5 = 2.5, excited 2.5 - 2.5 = 0 and 0, gates 0.5
    assert torch.equal(layer(x), x / 2)


def test_it_acts_on_the_branch_before_the_addition():
    torch.manual_seed(0)
    block = build_model("se-resnet-18-cifar", width=0.125).eval().stage1[0]
    x = torch.randn(2, 8, 6, 6)
    branch = block.bn2(block.conv2(block.bn1(block.conv1(x)).relu()))
    torch.testing.assert_close(block(x), (x + block.recalibrate(branch)).relu())


def test_gates_can_be_read_with_a_hook():
    model = build_model("se-resnet-18-cifar", width=0.125).eval()
    read = []
    model.stage2[1].recalibrate.gate.register_forward_hook(lambda module, args, out: read.append(out))
    model(torch.randn(3, 3, 32, 32))
    assert read[0].shape == (3, 16, 1, 1) and read[0].min() > 0 and read[0].max() < 1


def test_squeezing_leaves_at_least_one_channel():
    assert SqueezeExcitation(4, 16).reduce.out_channels == 1
    assert SqueezeExcitation(4, 4).reduce.out_channels == 1
    assert SqueezeExcitation(4, 1).reduce.out_channels == 4  # nothing is squeezed
    with pytest.raises(ValueError, match="reduction must be a whole number from 1, got 0"):
        SqueezeExcitation(4, 0)


def test_biases_start_at_zero():
    model = build_model("se-resnet-18-cifar", width=0.125)
    biases = [m.bias for m in model.modules() if isinstance(m, nn.Conv2d) and m.bias is not None]
    assert len(biases) == 16 and not any(bias.any() for bias in biases)
