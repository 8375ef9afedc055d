"""Grad-CAM: where in a layer's map a class finds what speaks for it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from utils.analysis.attribution.running import Target, checked_images, plain, run_model, score
from utils.analysis.modules import frozen


def grad_cam(
    model: nn.Module, x: Tensor, target: Target, layer: str | None = None, *, upsample: bool = False
) -> Tensor:
    """The map L = ReLU(Σₖ αₖ Aᵏ) of class ``target``: ``[B, h, w]`` at the size of the layer, ≥ 0.

    Aᵏ are the maps of ``layer``, αₖ = mean over places of ∂s/∂Aᵏ, with s the network's output for the class:
    logits, before any softmax. ``upsample=True`` enlarges L to the input's ``[B, H, W]``, bilinearly.
    Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization",
    arXiv 1610.02391, equations 1 and 2; they take the last layer with maps. The map of an image is all 0
    where nothing speaks for the class.

    Raises ``ValueError`` without a layer, for an unknown one (with the nearest paths), one that runs more
    than once or has no maps ``[B, K, h, w]``, one on which the output does not depend, and for a target out
    of range.
    """
    model, x = plain(model), checked_images(x)
    if layer is None:
        raise ValueError(f"Grad-CAM needs a layer with maps{_suggestion(model)}")
    with frozen(model), torch.enable_grad():
        # a graph is needed from the layer on, and where parameters are frozen only x can start it
        output, values = run_model(model, x.detach().clone().requires_grad_(), (layer,))
        maps = values[layer]
        if maps.ndim != 4:
            raise ValueError(
                f"Grad-CAM needs a layer with maps [B, K, h, w]; the output of {layer} has the shape "
                f"{list(maps.shape)}{_suggestion(model)}"
            )
        if not isinstance(output, Tensor):
            raise ValueError(f"{type(model).__name__} returns a {type(output).__name__}, not a tensor")
        scores = score(output, target)
        slopes = None
        if scores.requires_grad and maps.requires_grad:
            (slopes,) = torch.autograd.grad(scores.sum(), maps, allow_unused=True)
        if slopes is None:
            raise ValueError(f"the network's output does not depend on {layer} by a gradient")
    weights = slopes.mean(dim=(2, 3), keepdim=True)
    cam = (weights * maps.detach()).sum(dim=1, keepdim=True).clamp(min=0)
    if upsample:
        cam = F.interpolate(cam, size=x.shape[2:], mode="bilinear", align_corners=False)
    return cam[:, 0]


def _suggestion(model: nn.Module) -> str:
    convolutions = [name for name, module in model.named_modules() if isinstance(module, nn.Conv2d)]
    return f"; its last convolution is {convolutions[-1]!r}" if convolutions else ""
