"""What ``fit`` asks of its arguments before it begins."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from utils.data.batches import Batches
from utils.data.dataset import Split
from utils.training.precision import quiet_generators


def require_counts(**values: int | None) -> None:
    """Raise ``ValueError`` for what is neither None nor a whole number of at least 1."""
    for name, value in values.items():
        if value is not None and (not isinstance(value, int) or value < 1):
            raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")


def require_splits(train: Split, valid: Split | None) -> None:
    """Raise ``ValueError`` for splits that are empty or whose images differ in size."""
    for part, split in (("train", train), ("valid", valid)):
        if split is not None and len(split) == 0:
            raise ValueError(f"the {part} split is empty")
    if valid is not None and valid.images.shape[1:] != train.images.shape[1:]:
        raise ValueError(
            f"images of train and valid differ: {tuple(train.images.shape[1:])} "
            f"and {tuple(valid.images.shape[1:])}"
        )


def count_outputs(model: nn.Module, train: Split, device: torch.device) -> int:
    """The number of outputs K of the model, which is moved to ``device``, from a pass over one image."""
    name = type(model).__name__
    x, _ = next(iter(Batches(train.subset(1), 1, shuffle=False, device=device)))
    was_training = model.training
    try:
        with quiet_generators(device), torch.no_grad():
            logits = model.to(device).eval()(x)
    except RuntimeError as error:
        raise ValueError(
            f"{name} does not take images of {tuple(x.shape[1:])} (channels, height, width): {error}"
        ) from error
    finally:
        model.train(was_training)
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != 1:
        shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ValueError(
            f"{name} must return one row of outputs per image, [B, K]; for B = 1 it gave {shape}"
        )
    return logits.shape[1]


def require_labels(model: nn.Module, outputs: int, train: Split, valid: Split | None) -> None:
    """Raise ``ValueError`` for labels that are not numbers of the model's outputs."""
    for part, split in (("train", train), ("valid", valid)):
        if split is None:
            continue
        low, high = int(split.labels.min()), int(split.labels.max())
        if low < 0 or high >= outputs:
            raise ValueError(
                f"labels of {part} go from {low} to {high}, "
                f"but {type(model).__name__} has {outputs} outputs (0 to {outputs - 1})"
            )
