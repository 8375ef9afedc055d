"""What batch normalization knows of the images, measured without training.

In evaluation mode a batch norm divides by a mean and a variance that it has collected in training mode. In a
network that was never trained these are 0 and 1: the layer does nothing, and what is measured then is a
network without normalization. Compared with a trained one, it differs by its weights *and* by that.
"""

from __future__ import annotations

import math
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from utils.analysis.modules import evaluation_mode

Model = TypeVar("Model", bound=nn.Module)


@torch.no_grad()
def measure_batch_statistics(
    model: Model, images: Tensor, batch_size: int = 250, *, only_fresh: bool = False
) -> Model:
    """Let the batch norms of a network measure their mean and variance on images, and return the network.

    One pass over ``images`` ``[N, …]``, normalized and on the device of the network, in batches of at most
    ``batch_size`` whose sizes differ by one at most. Means and variances become averages over the batches,
    each of the same weight. No step is taken; only the batch norms are in training mode, so that dropout is
    off and no random number is drawn. ``only_fresh`` leaves those as they are that have seen a batch before.

    Momentum and training flags are put back; if the pass fails, the statistics too. ``ValueError`` without
    images or for a batch size below 1.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    if not len(images):
        raise ValueError(f"there are no images to measure, got a tensor of shape {list(images.shape)}")
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.running_mean is not None]
    if only_fresh:
        norms = [norm for norm in norms if norm.num_batches_tracked == 0]
    if not norms:
        return model
    before = [(norm, norm.momentum, [buffer.clone() for buffer in norm.buffers()]) for norm in norms]
    try:
        with evaluation_mode(model):
            for norm in norms:
                norm.reset_running_stats()
                norm.training, norm.momentum = True, None  # None: the average over all batches
            for batch in images.tensor_split(math.ceil(len(images) / batch_size)):
                model(batch)
    except BaseException:
        for norm, _, buffers in before:
            for buffer, old in zip(norm.buffers(), buffers, strict=True):
                buffer.copy_(old)
        raise
    finally:
        for norm, momentum, _ in before:
            norm.momentum = momentum
    return model
