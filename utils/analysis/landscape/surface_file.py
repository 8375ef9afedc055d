"""The file that a loss surface is built up in, portion by portion.

It is whole or not at all, and refused by
another surface."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

FORMAT = 1


@dataclass(frozen=True)
class SurfaceFile:
    """``path``, the fingerprint of the surface that it belongs to, and how many points that has."""

    path: Path
    belongs: str
    points: int

    def read(self, points_at_once: int | None) -> tuple[np.ndarray, int | None]:
        """The points that are done, float64 [done, 2], and how many were evaluated at once.

        That number changes the last bits of a result, so a surface is finished with the one it was begun
        with. Raises ``ValueError`` for a file that cannot be used.
        """
        if not self.path.exists():
            return np.zeros((0, 2)), points_at_once
        remedy = "delete it or give another path"
        try:
            with np.load(self.path, allow_pickle=False) as file:
                form, belongs, begun = int(file["format"]), str(file["belongs"]), int(file["points_at_once"])
                done = file["done"]
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(
                f"{self.path} is damaged or not the file of a loss surface ({error}); {remedy}"
            ) from error
        if form != FORMAT or belongs != self.belongs or done.shape[1:] != (2,) or len(done) > self.points:
            raise ValueError(
                f"{self.path} belongs to another loss surface: "
                f"weights, directions, data, grid or settings differ; {remedy}"
            )
        if points_at_once is not None and points_at_once != begun:
            raise ValueError(
                f"{self.path} was begun with points_at_once={begun}, got {points_at_once}; {remedy}"
            )
        return done, begun

    def require_first(self, kept: np.ndarray, now: np.ndarray) -> None:
        """Raise ``ValueError`` unless loss and accuracy of the first point are what they were.

        A fingerprint of the weights cannot tell networks that compute something else from them, or losses.
        """
        if not np.allclose(kept, now, rtol=1e-4, atol=1e-6, equal_nan=True):
            raise ValueError(
                f"{self.path} belongs to another loss surface: at the first point the loss there is "
                f"{kept[0]:.6g}, and {now[0]:.6g} with this network and loss function; delete it or give "
                "another path"
            )

    def write(self, done: np.ndarray, points_at_once: int) -> None:
        """Put the points that are done in the place of the old file, in one go.

        Two processes may do so at once: each writes a file of its own before.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_name(f".{self.path.name}.{os.getpid()}.unfinished")
        try:
            with open(partial, "wb") as file:
                np.savez(file, format=FORMAT, belongs=self.belongs, points_at_once=points_at_once, done=done)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, self.path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


def fingerprint(
    model: nn.Module,
    directions: Sequence[Mapping[str, Tensor]],
    batches: Sequence[tuple[Tensor, Tensor]],
    alphas: np.ndarray,
    betas: np.ndarray | None,
    settings: Mapping[str, Any],
) -> str:
    """A digest of all that a surface depends on."""
    digest = hashlib.sha256(repr(sorted(settings.items())).encode())
    for tensors in (model.state_dict(), *directions):
        for name, tensor in sorted(tensors.items()):
            _add(digest, name, tensor)
    for x, y in batches:
        _add(digest, "x", x)
        _add(digest, "y", y)
    for values in (alphas, betas):
        digest.update(b"none" if values is None else np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


def _add(digest: Any, name: str, tensor: Tensor) -> None:
    digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
    flat = tensor.detach().cpu().contiguous().flatten()
    digest.update(flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b"")
