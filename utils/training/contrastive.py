"""Contrastive pre-training with ``fit``: an encoder, a projection that is thrown away, and a loss over views.

Khosla et al. 2020, "Supervised Contrastive Learning", arXiv 2004.11362; Chen et al. 2020 (SimCLR), arXiv
2002.05709::

    network, loss = ContrastiveNetwork(encoder, features=512), ContrastiveLoss(temperature=0.07)
    fit(network, train, epochs=100, augment=simclr_views(), loss=loss, hits=loss.hits, drop_last=True)
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils.training.losses import supervised_contrastive_loss


class ContrastiveNetwork(nn.Module):
    """An encoder and a projection of its features to length 1: ``[B, C, H, W]`` → ``[B, projection]``.

    The projection is two linear layers with batch norm and ReLU between. The loss looks at the projection;
    what is used later is the encoder (Chen et al.: its features are better).
    """

    def __init__(self, encoder: nn.Module, features: int, projection: int = 128):
        super().__init__()
        self.encoder = encoder
        self.head = nn.Sequential(
            nn.Linear(features, features),
            nn.BatchNorm1d(features),
            nn.ReLU(),
            nn.Linear(features, projection, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(self.head(self.encoder(x)), dim=1)


class ContrastiveLoss:
    """For ``fit``: the supervised contrastive loss of outputs ``[V · B, D]`` with labels ``[B]``.

    V is the number of views that the augmentation has made (1 in validation). ``supervised=False`` does not
    look at the labels, as SimCLR; with a single view, in validation, it has no positives, so labels are then
    used. A validation batch in which no label occurs twice has nothing to compare: its loss is 0.
    """

    def __init__(self, temperature: float = 0.07, supervised: bool = True):
        self.temperature, self.supervised = temperature, supervised

    def __call__(self, outputs: Tensor, labels: Tensor) -> Tensor:
        views = self._by_view(outputs, labels)
        single = views.shape[1] == 1
        if single and len(labels.unique()) == len(labels):
            return 0.0 * outputs.sum()
        use = labels if self.supervised or single else None
        return supervised_contrastive_loss(views, use, self.temperature)

    def hits(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """For how many of the V · B outputs the most similar one of *another* image has the same label."""
        V = self._by_view(outputs, labels).shape[1]
        image = torch.arange(len(labels), device=labels.device).repeat(V)
        similarity = (outputs @ outputs.T).masked_fill(image[:, None] == image[None, :], -torch.inf)
        largest, nearest = similarity.max(dim=1)
        # a batch of one image has no other: nothing is found
        return ((labels[image[nearest]] == labels[image]) & largest.isfinite()).sum()

    def _by_view(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """``[B, V, D]``."""
        if outputs.ndim != 2 or len(outputs) % len(labels):
            raise ValueError(f"outputs must be [V · {len(labels)}, D], got {list(outputs.shape)}")
        return outputs.view(-1, len(labels), outputs.shape[1]).transpose(0, 1)

    def __repr__(self) -> str:
        return f"ContrastiveLoss(temperature={self.temperature}, supervised={self.supervised})"
