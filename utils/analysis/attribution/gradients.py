"""Maps of the size of the input by a backward pass: the gradient, and two that treat ReLUs otherwise."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from utils.analysis.attribution.relu_rules import Rule, apply_rule, noting_modules
from utils.analysis.attribution.running import Target, checked_images, plain, run_to, score
from utils.analysis.modules import frozen


def gradient(model: nn.Module, x: Tensor, target: Target, layer: str | None = None) -> Tensor:
    """∂s/∂x, the gradient of the score s that ``target`` chooses: ``[B, C, H, W]``, signed.

    ReLU: R = g · [x > 0]. Simonyan, Vedaldi, Zisserman, "Deep Inside Convolutional Networks", arXiv
    1312.6034, who show the largest absolute value over the channels. The score is the network's output as it
    is, which should be logits: after a softmax it is a gradient of other classes as well.

    Raises ``ValueError`` for an unknown layer (with the nearest paths), a target out of range, an input that
    is not float ``[B, C, H, W]``, and a score that does not depend on the input by a gradient.
    """
    model, x = plain(model), checked_images(x)
    with frozen(model), torch.enable_grad():
        leaf = x.detach().clone().requires_grad_()
        value, _ = run_to(model, leaf, layer)
        return _backward(score(value, target, layer), leaf)


def deconvnet(model: nn.Module, x: Tensor, target: Target, layer: str | None = None) -> Tensor:
    """The signal of ``target`` led back through a "deconvnet": ``[B, C, H, W]``, signed.

    ReLU: R = g · [g > 0], so what the ReLU let through on the way up does not count. Zeiler, Fergus,
    "Visualizing and Understanding Convolutional Networks", arXiv 1311.2901; seen as a rule for the backward
    pass by Simonyan et al., arXiv 1312.6034. The "switches" of max pooling are the places of the maxima,
    which autograd uses too. The signal starts with 1 at the score; the paper starts it with the activation
    itself, which changes each map by one factor.

    Raises ``ValueError`` as :func:`gradient`, for other rectifiers (leaky ReLU, GELU, SiLU, ReLU6 …) with
    the place where they are, and for a network without a ReLU, for which the rule says nothing.
    """
    return _by_rule("deconvnet", _deconvnet, model, x, target, layer)


def guided_backprop(model: nn.Module, x: Tensor, target: Target, layer: str | None = None) -> Tensor:
    """The gradient with only positive signals let back through ReLUs: ``[B, C, H, W]``, signed.

    ReLU: R = g · [x > 0] · [g > 0], the rules of gradient and deconvnet together. Springenberg, Dosovitskiy,
    Brox, Riedmiller, "Striving for Simplicity: The All Convolutional Net", arXiv 1412.6806, section 4.

    Raises ``ValueError`` as :func:`deconvnet`.
    """
    return _by_rule("guided backpropagation", _guided, model, x, target, layer)


def _deconvnet(outgoing: Tensor, arriving: Tensor) -> Tensor:
    return arriving.clamp(min=0)


def _guided(outgoing: Tensor, arriving: Tensor) -> Tensor:
    return outgoing.clamp(min=0)


def _by_rule(name: str, rule: Rule, model: nn.Module, x: Tensor, target: Target, layer: str | None) -> Tensor:
    model, x = plain(model), checked_images(x)
    with frozen(model), torch.enable_grad():
        leaf = x.detach().clone().requires_grad_()
        with noting_modules(model) as modules:
            value, output = run_to(model, leaf, layer)
        scores = score(value, target, layer)
        apply_rule(name, rule, scores, output, modules)
        return _backward(scores, leaf)


def _backward(scores: Tensor, leaf: Tensor) -> Tensor:
    """In evaluation mode images do not depend on each other: one pass backwards gives all their maps."""
    if not scores.requires_grad:
        raise ValueError("the target does not depend on the input by a gradient")
    (result,) = torch.autograd.grad(scores.sum(), leaf)
    return result
