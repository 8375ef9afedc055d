"""The receptive field of every layer of a network: which pixels of the input a unit can see.

``receptive_field`` runs the network once on tensors that have shapes and no values, follows every operation,
and keeps for each unit the interval of input pixels that it depends on. So it works for any network of which
the operations have a rule (:mod:`utils.analysis.receptive_field.rules`), whatever way its paths branch and
meet, and needs neither weights nor images. Choices in the ``forward`` that depend on shapes are followed;
those that depend on values are refused.

For a chain of layers with kernel k, stride s, padding p and dilation d, the result is the recursion
size ← size + d·(k − 1)·jump, start ← start + (d·(k − 1)/2 − p)·jump, jump ← jump·s, from size = jump = 1 and
start = 0 (Araujo, Norris, Sim, "Computing Receptive Fields of Convolutional Neural Networks", Distill 2019,
https://distill.pub/2019/computing-receptive-fields). Where paths meet, a unit sees the hull of what they see.

Conventions:

- The field is the extent, first to last pixel; a dilated convolution does not see every pixel in between.
- ``size`` is unclipped: it counts as if the input went on for ever. It is infinite as soon as an operation
  mixes the whole map: global pooling, a linear layer after flattening (unless the map has one unit left),
  attention over all places, normalization by the map's own statistics, squeeze and excitation. Attention in
  windows sees its window; where a shift brings round the other end of the map, ``clipped`` counts that.
- Where places are folded into the channels (pixel unshuffle, patches as tokens), a unit is all of a block.
- Units of a transposed convolution or of an interpolation see different numbers of pixels, by their place
  in the period; the row gives the largest. Then ``jump`` is a fraction of a pixel.
- A maximum or a gate is counted as seeing everything that could decide it.
- Everything is as in evaluation mode.
"""

from __future__ import annotations

from utils.analysis.receptive_field.effective import EffectiveField, effective_receptive_field
from utils.analysis.receptive_field.layer_field import LayerField
from utils.analysis.receptive_field.rules import field_rule
from utils.analysis.receptive_field.theoretical import ReceptiveFields, receptive_field

__all__ = [
    "EffectiveField",
    "ReceptiveFields",
    "LayerField",
    "effective_receptive_field",
    "field_rule",
    "receptive_field",
]
