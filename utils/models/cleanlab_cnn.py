"""The CIFAR network with which Cleanlab and Co-teaching study label noise.

Han et al., "Co-teaching: Robust Training of Deep Neural Networks with Extremely Noisy Labels", NeurIPS 2018,
arXiv 1804.06872, and ``cifar_cnn`` in the examples of the Cleanlab package. 32×32 RGB; nine 3×3 convolutions,
each with batch norm and leaky ReLU (slope 0.01); 128, 256, then 512-256-128 channels without padding, which
takes the maps from 8² over 6² and 4² to 2² pixels; average over them; one linear layer. 4,434,570 parameters.

Two faults of the upstream code are mended here:

- It calls ``F.dropout2d`` without ``training``, so that channels are dropped in evaluation too and two
  evaluations of one image differ. Here dropout is off in evaluation mode.
- Its option ``top_bn=True`` fails for want of a layer. Here it is batch norm on the logits.

``width`` is not in the originals. The weights start as torch sets them, as upstream.
"""

from __future__ import annotations

from torch import nn

from utils.models.options import checked_probability, scaled
from utils.models.registry import register
from utils.models.stacks import NamedLayer, StackedNetwork

# the three blocks: their channels and the padding of their convolutions
BLOCKS: tuple[tuple[tuple[int, ...], int], ...] = (
    ((128, 128, 128), 1),
    ((256, 256, 256), 1),
    ((512, 256, 128), 0),
)
NEGATIVE_SLOPE = 0.01


class CleanlabCNN(StackedNetwork):
    """Layers by their upstream names: convolutions c1 to c9, batch norms bn1 to bn9, linear layer l_c1."""

    def __init__(self, num_classes: int, in_channels: int, dropout: float, top_bn: bool, width: float):
        checked_probability("dropout", dropout)
        features: list[NamedLayer] = []
        source, number = in_channels, 0
        for block, (channels, padding) in enumerate(BLOCKS, start=1):
            for wide in channels:
                number += 1
                wide = scaled(wide, width)
                features += [
                    (f"c{number}", nn.Conv2d(source, wide, 3, padding=padding)),
                    (f"bn{number}", nn.BatchNorm2d(wide)),
                    (f"relu{number}", nn.LeakyReLU(NEGATIVE_SLOPE)),
                ]
                source = wide
            if block < len(BLOCKS):
                features += [(f"pool{block}", nn.MaxPool2d(2)), (f"drop{block}", nn.Dropout2d(dropout))]
        classifier: list[NamedLayer] = [
            ("average", nn.AdaptiveAvgPool2d(1)),
            ("flatten", nn.Flatten()),
            ("l_c1", nn.Linear(source, num_classes)),
        ]
        if top_bn:
            classifier.append(("bn_c1", nn.BatchNorm1d(num_classes)))
        super().__init__("cleanlab-cnn", features, classifier, in_channels, input_size=32)


@register("cleanlab-cnn")
def cleanlab_cnn(
    num_classes: int = 10,
    in_channels: int = 3,
    *,
    dropout: float = 0.25,
    top_bn: bool = False,
    width: float = 1.0,
) -> CleanlabCNN:
    """``dropout``: of whole channels, after the first two blocks. ``width`` multiplies their numbers."""
    return CleanlabCNN(num_classes, in_channels, dropout, top_bn, width)
