"""Occlusion: how much the score falls when a patch of the picture is covered."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from utils.analysis.attribution.running import Target, checked_images, chosen, plain, run_to, score
from utils.analysis.modules import frozen


def occlusion(
    model: nn.Module,
    x: Tensor,
    target: Target,
    layer: str | None = None,
    *,
    window: int = 8,
    stride: int = 4,
    fill: float = 0.0,
    batch_size: int = 256,
) -> Tensor:
    """The fall of a score when a part of the input is covered.

    s(x) − s(x with a square covered), for each pixel the mean over the squares that cover it:
    ``[B, H, W]``, signed.

    Squares of ``window`` pixels a side, ``stride`` apart, in all channels at once, get the value ``fill``: in
    normalized images 0 is the mean color of the data. Squares at the right and lower edge are cut off
    there. ``batch_size``: images per forward pass, about. Zeiler, Fergus, arXiv 1311.2901, section 4.2;
    computed by ``captum.attr.Occlusion``.

    Raises ``ValueError`` as :func:`~utils.analysis.attribution.gradient`, and unless 1 ≤ stride ≤ window ≤
    the sides of the image.
    """
    from captum.attr import Occlusion  # takes seconds to import, and nothing else here needs it

    model, x = plain(model), checked_images(x)
    B, C, H, W = x.shape
    for name, value, most in (("window", window, min(H, W)), ("stride", stride, window)):
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
            raise ValueError(f"{name} must be a whole number from 1 to {most}, got {value!r}")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    # as a tensor, captum repeats it along with the images
    index = None if isinstance(target, tuple) else chosen(target, B).to(x.device)

    def scores(pictures: Tensor, index: Tensor | None = None) -> Tensor:
        value, _ = run_to(model, pictures, layer)
        return score(value, target if index is None else index, layer)[:, None]

    with frozen(model), torch.no_grad():
        maps = Occlusion(scores).attribute(
            x.detach(),
            target=0,
            sliding_window_shapes=(C, window, window),
            strides=(C, stride, stride),
            baselines=float(fill),
            additional_forward_args=index,
            perturbations_per_eval=max(1, batch_size // B),
        )
    return maps[:, 0]  # the same in all channels, as they are covered together
