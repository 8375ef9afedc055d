"""A small vision transformer for 32×32 images.

Dosovitskiy et al., "An Image Is Worth 16×16 Words: Transformers for Image Recognition at Scale", ICLR 2021,
arXiv 2010.11929, with the transformer of Vaswani et al., "Attention Is All You Need", arXiv 1706.03762: the
image is cut into patches, each becomes a vector (token), a learned class token and learned positions are
added, and the class token of the last layer is classified.

``vit-cifar`` has the sizes of a student report on CIFAR-100: patches of 4×4 pixels, 64 tokens and the class
token, 256 features, 6 layers, 8 heads, 1024 hidden units, 4,794,212 parameters for 100 classes, 4,771,082
for 10.

Deviations from the paper: the sizes; no dropout by default (the paper has 0.1 in most of its training); the
weights of the linear layers start from a truncated normal distribution of standard deviation 0.02, as in
most implementations.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from utils.models.input_check import check_input
from utils.models.options import checked_probability
from utils.models.registry import register

EPSILON = 1e-6  # of layer norm, as in the authors' code
START = 0.02  # standard deviation of weights, positions and class token at the start


class Attention(nn.Module):
    """Every token looks at all tokens: softmax(Q Kᵀ / √d) V in ``heads`` parts of d = features / heads.

    ``[B, N, features]`` -> the same shape. The output of ``softmax`` are the weights ``[B, heads, N, N]``,
    rows of sum 1: a forward hook there can read who looks at whom.
    """

    def __init__(self, features: int, heads: int):
        super().__init__()
        if features % heads:
            raise ValueError(f"features must be a multiple of heads, got {features} and {heads}")
        self.heads, self.depth = heads, features // heads
        self.query_key_value = nn.Linear(features, 3 * features)
        self.softmax = nn.Softmax(dim=-1)
        self.out = nn.Linear(features, features)

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.query_key_value(x).unflatten(-1, (3, self.heads, self.depth))  # [B, N, 3, heads, d]
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # each [B, heads, N, d]
        weights = self.softmax(query @ key.transpose(-2, -1) / self.depth**0.5)  # [B, heads, N, N]
        return self.out((weights @ value).transpose(1, 2).flatten(2))  # [B, N, heads, d] -> [B, N, features]


class TransformerLayer(nn.Module):
    """Layer norm and attention, layer norm and two linear layers with GELU; each time the input is added.

    ``[B, N, features]`` -> the same shape.
    """

    def __init__(self, features: int, heads: int, hidden: int, dropout: float):
        super().__init__()
        self.norm1 = nn.LayerNorm(features, eps=EPSILON)
        self.attention = Attention(features, heads)
        self.dropout1 = nn.Dropout(dropout)
        self.norm2 = nn.LayerNorm(features, eps=EPSILON)
        self.fc1 = nn.Linear(features, hidden)
        self.gelu = nn.GELU()
        self.fc2 = nn.Linear(hidden, features)
        self.dropout2 = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.dropout1(self.attention(self.norm1(x)))
        return x + self.dropout2(self.fc2(self.gelu(self.fc1(self.norm2(x)))))


class VisionTransformer(nn.Module):
    """``[B, in_channels, input_size, input_size]`` -> logits ``[B, num_classes]``."""

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        input_size: int,
        patch: int,
        features: int,
        depth: int,
        heads: int,
        hidden: int,
        dropout: float,
    ):
        super().__init__()
        if input_size % patch:
            raise ValueError(f"input_size must be a multiple of patch, got {input_size} and {patch}")
        checked_probability("dropout", dropout)
        self.in_channels, self.input_size = in_channels, (input_size, input_size)
        self.patches = nn.Conv2d(in_channels, features, patch, stride=patch)
        self.class_token = nn.Parameter(torch.empty(1, 1, features))
        self.positions = nn.Parameter(torch.empty(1, (input_size // patch) ** 2 + 1, features))
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.Sequential(
            *(TransformerLayer(features, heads, hidden, dropout) for _ in range(depth))
        )
        self.norm = nn.LayerNorm(features, eps=EPSILON)
        self.fc = nn.Linear(features, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.trunc_normal_(module.weight, std=START)
                nn.init.zeros_(module.bias)
        nn.init.trunc_normal_(self.class_token, std=START)
        nn.init.trunc_normal_(self.positions, std=START)

    def forward(self, x: Tensor) -> Tensor:
        check_input("vit-cifar", x, self.in_channels, self.input_size)
        tokens = self.patches(x).flatten(2).transpose(1, 2)  # [B, features, h, w] -> [B, N, features]
        first = self.class_token.expand(x.shape[0], -1, -1)
        tokens = self.dropout(torch.cat([first, tokens], dim=1) + self.positions)
        return self.fc(self.norm(self.layers(tokens))[:, 0])


@register("vit-cifar")
def vit_cifar(
    num_classes: int = 10,
    in_channels: int = 3,
    *,
    input_size: int = 32,
    patch: int = 4,
    features: int = 256,
    depth: int = 6,
    heads: int = 8,
    hidden: int = 1024,
    dropout: float = 0.0,
) -> VisionTransformer:
    """A vision transformer (Dosovitskiy et al., arXiv 2010.11929) of the sizes above; ``patch`` in pixels."""
    return VisionTransformer(
        num_classes, in_channels, input_size, patch, features, depth, heads, hidden, dropout
    )
