"""The vision transformer: attention and layers against torch's own, the class token, the totals."""

import pytest
import torch
from torch import nn

from tests.models import zoo
from utils.models import build_model
from utils.models.vit import Attention, TransformerLayer

ZOO = {
    "vit-cifar": zoo.small(4_771_082, fixed_size=True),
}


def total(model):
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(("classes", "params"), [(10, 4_771_082), (100, 4_794_212)])
def test_totals(classes, params):
    with torch.device("meta"):
        assert total(build_model("vit-cifar", classes)) == params


def test_attention_is_torchs():
    torch.manual_seed(0)
    ours, theirs = Attention(12, 3), nn.MultiheadAttention(12, 3, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(ours.query_key_value.weight)
        theirs.in_proj_bias.copy_(ours.query_key_value.bias)
        theirs.out_proj.load_state_dict(ours.out.state_dict())
    x = torch.randn(2, 5, 12)
    read = []
    ours.softmax.register_forward_hook(lambda module, args, weights: read.append(weights))
    expected, weights = theirs(x, x, x, average_attn_weights=False)
    torch.testing.assert_close(ours(x), expected)
    torch.testing.assert_close(read[0], weights)


def test_a_layer_is_torchs_with_the_norm_first():
    torch.manual_seed(0)
    ours = TransformerLayer(12, 3, 20, dropout=0.0)
    theirs = nn.TransformerEncoderLayer(
        12, 3, 20, dropout=0.0, activation="gelu", layer_norm_eps=1e-6, batch_first=True, norm_first=True
    )
    for norm in (ours.norm1, ours.norm2):
        nn.init.uniform_(norm.weight)
    with torch.no_grad():
        theirs.self_attn.in_proj_weight.copy_(ours.attention.query_key_value.weight)
        theirs.self_attn.in_proj_bias.copy_(ours.attention.query_key_value.bias)
    for mine, other in (
        (ours.attention.out, theirs.self_attn.out_proj),
        (ours.fc1, theirs.linear1),
        (ours.fc2, theirs.linear2),
        (ours.norm1, theirs.norm1),
        (ours.norm2, theirs.norm2),
    ):
        other.load_state_dict(mine.state_dict())
    x = torch.randn(2, 5, 12)
    torch.testing.assert_close(ours(x), theirs(x))


def test_without_positions_the_order_of_patches_does_not_matter():
    torch.manual_seed(0)
    model = build_model("vit-cifar", depth=2, features=16, heads=2, hidden=32, input_size=16).eval()
    x = torch.randn(1, 3, 16, 16)
    patches = x.unflatten(3, (4, 4)).unflatten(2, (4, 4))  # [1, 3, 4, 4 pixels, 4, 4 pixels]
    mixed = patches[:, :, [2, 0, 3, 1]].flatten(2, 3).flatten(3)
    assert not torch.allclose(model(x), model(mixed))
    nn.init.zeros_(model.positions)
    torch.testing.assert_close(model(x), model(mixed))


def test_it_learns_from_the_default_start():
    torch.manual_seed(0)
    x, y = torch.randn(32, 3, 16, 16), torch.arange(32) % 4
    x[:, 0] += y[:, None, None] * 0.5
    model = build_model("vit-cifar", 4, depth=2, features=32, heads=2, hidden=64, input_size=16)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(40):
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0], losses


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patch": 5}, "input_size must be a multiple of patch, got 32 and 5"),
        ({"heads": 7}, "features must be a multiple of heads, got 256 and 7"),
        ({"dropout": 1.5}, r"in \[0, 1\), got 1.5"),
    ],
)
def test_impossible_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        build_model("vit-cifar", **options)
