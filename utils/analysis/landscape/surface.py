"""The loss on a line or a plane through the weights of a network."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm.auto import tqdm

from utils.analysis.landscape.points import Loss, Points, tensors_of
from utils.analysis.landscape.surface_file import SurfaceFile, fingerprint
from utils.analysis.modules import followable
from utils.data.batches import Batches
from utils.data.dataset import Split

BATCH_SIZE = 250
QUIET = 2.0  # seconds before a progress bar shows


@dataclass(frozen=True, eq=False)
class LossSurface:
    """Loss and accuracy at the weights w + α·d₁ (a line) or w + α·d₁ + β·d₂ (a plane).

    ``alphas``: ``[A]``. ``betas``: ``[B]``, None for a line. ``loss``, ``accuracy``: float64 ``[A]``, or
    ``[B, A]`` as matplotlib's ``contour(alphas, betas, loss)`` takes them: means over ``n`` examples;
    accuracy is a fraction in [0, 1], nan where the targets are no classes. Far from w the loss may be inf or
    nan. ``settings``: model, device, batch size and how the points were evaluated.
    """

    alphas: np.ndarray
    betas: np.ndarray | None
    loss: np.ndarray
    accuracy: np.ndarray
    n: int
    settings: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain lists, numbers and strings, as JSON takes them (inf and nan as Python's json writes them)."""
        values = asdict(self)
        return {name: v.tolist() if isinstance(v, np.ndarray) else v for name, v in values.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LossSurface:
        """The inverse of :meth:`as_dict`."""
        arrays = {
            name: None if values[name] is None else np.array(values[name], dtype=np.float64)
            for name in ("alphas", "betas", "loss", "accuracy")
        }
        return cls(n=int(values["n"]), settings=dict(values["settings"]), **arrays)


def loss_surface(
    model: nn.Module,
    data: Split | Batches | tuple[Tensor, Tensor],
    directions: Sequence[Mapping[str, Tensor]],
    alphas: Sequence[float],
    betas: Sequence[float] | None = None,
    *,
    loss_function: Loss = F.cross_entropy,
    batch_size: int = BATCH_SIZE,
    points_at_once: int | None = None,
    batch_statistics: bool = False,
    device: str | torch.device | None = None,
    path: str | os.PathLike | None = None,
    progress: bool = True,
) -> LossSurface:
    """Loss and accuracy at ``alphas`` along one direction, or on the grid ``alphas`` × ``betas`` along two.

    model: the weights w in the middle. All work is done on a copy; the model, its mode and the random
    generators stay as they are, whatever happens.
    data: a split (cut into ``batch_size``), one pass of ``Batches`` (their own size), or (x, y); moved to the
    device, normalized once, and kept there for all points.
    directions: one or two of name → tensor, as :func:`filter_normalized_directions`,
    :func:`interpolation_direction` and :func:`trajectory_directions` give them; names of parameters or
    buffers; what is not named stays.
    loss_function(logits, y): the mean over a batch.
    points_at_once: how many points are computed in one call by ``torch.func.vmap``; by default 1 on a CPU,
    where more are slower, and on a GPU the faster of 1 and as many as memory allows (``settings`` says
    which).
    batch_statistics: batch normalization normally runs in evaluation mode with the running statistics of w,
    as in Li et al. 2018; these do not fit the weights further out. True takes the statistics of each batch
    instead, so that the batch size matters; running statistics in a direction are then not used.
    device: default where the model is.
    path: an ``.npz`` file that is written after every row of the grid (on a line after every call). If it is
    there, the work goes on from it and ends as it would have without the interruption; one that belongs to
    other weights, directions, data or settings is refused, and so is one whose first point this network and
    loss function do not give.

    Raises ``ValueError`` for arguments that do not fit each other, and for a running variance that would
    become negative.
    """
    alphas, betas = _coordinates(alphas, betas, directions)
    _check_directions(model, directions)
    if not batch_statistics:
        _check_variances(model, directions, alphas, betas)
    for name, count in (("batch_size", batch_size), ("points_at_once", points_at_once)):
        if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
            raise ValueError(f"{name} must be a whole number of at least 1, got {count!r}")
    parameter = next(iter(model.parameters()), None)
    device = torch.device(device or (parameter.device if parameter is not None else "cpu"))
    batches = _batches(data, batch_size, device)
    settings = {
        "model": type(model).__name__,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU",
        "torch": str(torch.__version__),
        "batch_size": max(len(y) for _, y in batches),
        "batch_statistics": batch_statistics,
        "loss": getattr(loss_function, "__name__", type(loss_function).__name__),
    }
    points = Points(model, directions, batches, loss_function, batch_statistics)
    grid = _grid(alphas, betas)
    file, done = None, np.zeros((0, 2))
    if path is not None:
        belongs = fingerprint(model, directions, batches, alphas, betas, settings)
        file = SurfaceFile(Path(path), belongs, len(grid))
        done, points_at_once = file.read(points_at_once)
        if len(done):
            file.require_first(done[0], points.evaluate(grid[:1], 1)[0].cpu().numpy())
    cuda = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        if points_at_once is None:
            points_at_once = points.points_at_once(len(alphas))
        portion = points_at_once if betas is None else len(alphas)  # what is written in one go
        bar = tqdm(
            total=len(grid), initial=len(done), unit="point", leave=False, disable=not progress, delay=QUIET
        )
        with bar:
            while len(done) < len(grid):
                places = grid[len(done) : len(done) + portion]
                done = np.concatenate([done, points.evaluate(places, points_at_once).cpu().numpy()])
                if file is not None:
                    file.write(done, points_at_once)
                bar.update(len(places))
    shape = alphas.shape if betas is None else (len(betas), len(alphas))
    loss, accuracy = (done[:, i].reshape(shape) for i in range(2))
    n = sum(len(y) for _, y in batches)
    return LossSurface(alphas, betas, loss, accuracy, n, settings | {"points_at_once": points_at_once})


def _grid(alphas: np.ndarray, betas: np.ndarray | None) -> list[tuple[float, ...]]:
    """The points in the order of work: β by β."""
    if betas is None:
        return [(alpha,) for alpha in alphas.tolist()]
    return [(alpha, beta) for beta in betas.tolist() for alpha in alphas.tolist()]


def _coordinates(
    alphas: Sequence[float], betas: Sequence[float] | None, directions: Sequence[Mapping[str, Tensor]]
) -> tuple[np.ndarray, np.ndarray | None]:
    if isinstance(directions, Mapping) or len(directions) not in (1, 2):
        count = 1 if isinstance(directions, Mapping) else len(directions)
        raise ValueError(f"directions is a list of one or two of name → tensor, got {count}")
    if (betas is None) != (len(directions) == 1):
        raise ValueError(
            f"{len(directions)} direction{'s' * (len(directions) > 1)} and betas={betas!r}: "
            "a line takes one direction and no betas, a plane takes two and betas"
        )
    found = []
    for name, values in (("alphas", alphas), ("betas", betas)):
        array = None if values is None else np.array(values, dtype=np.float64)
        if array is not None and (array.ndim != 1 or not len(array) or not np.isfinite(array).all()):
            raise ValueError(f"{name} must be a list of finite numbers, got {values!r}")
        found.append(array)
    return found[0], found[1]


def _check_directions(model: nn.Module, directions: Sequence[Mapping[str, Tensor]]) -> None:
    followable(model)  # refuses what cannot be run with other weights than its own
    own = tensors_of(model)
    for number, direction in enumerate(directions):
        for name, tensor in direction.items():
            if name not in own:
                raise ValueError(
                    f"direction {number} moves {name!r}, which {type(model).__name__} does not have"
                )
            if tensor.shape != own[name].shape:
                raise ValueError(
                    f"direction {number} has shape {tuple(tensor.shape)} for {name!r}, "
                    f"the model {tuple(own[name].shape)}"
                )
            if not own[name].is_floating_point():
                raise ValueError(f"direction {number} moves {name!r}, which holds {own[name].dtype}")


def _check_variances(
    model: nn.Module, directions: Sequence[Mapping[str, Tensor]], alphas: np.ndarray, betas: np.ndarray | None
) -> None:
    """A running variance below 0 has no root; it is smallest in a corner of the grid."""
    second = [0.0] if betas is None else [betas.min(), betas.max()]
    for path, module in model.named_modules():
        variance = getattr(module, "running_var", None)
        name = f"{path}.running_var".lstrip(".")
        if not isinstance(variance, Tensor) or not any(name in direction for direction in directions):
            continue
        for corner in ((alpha, beta) for alpha in (alphas.min(), alphas.max()) for beta in second):
            moved = variance.double()
            for coordinate, direction in zip(corner, directions, strict=False):
                if name in direction:
                    moved = moved + float(coordinate) * direction[name].to(moved)
            if moved.min() < -torch.finfo(variance.dtype).eps * variance.abs().max():
                point = tuple(float(coordinate) for coordinate in corner[: len(directions)])
                raise ValueError(
                    f"{name} becomes {moved.min():.3g} at {point}: "
                    "a variance cannot be negative; stay between the solutions or say batch_statistics=True"
                )


def _batches(
    data: Split | Batches | tuple[Tensor, Tensor], batch_size: int, device: torch.device
) -> list[tuple[Tensor, Tensor]]:
    """One pass over the data, on the device."""
    if isinstance(data, Split):
        data = Batches(data, batch_size, shuffle=False, device=device)
    if isinstance(data, Batches):
        epoch = data.epoch
        try:
            pairs = list(data)
        finally:
            data.set_epoch(epoch)
    else:
        if not isinstance(data, list | tuple) or [isinstance(part, Tensor) for part in data] != [True, True]:
            raise ValueError(
                f"data must be a Split, Batches or a pair of tensors (x, y), got {type(data).__name__}: of a "
                "DataLoader, give tuple(map(torch.cat, zip(*loader)))"
            )
        x, y = data
        if len(x) != len(y) or len(x) == 0:
            raise ValueError(f"data must be as many x as y, and at least one, got {len(x)} and {len(y)}")
        pairs = list(zip(x.split(batch_size), y.split(batch_size), strict=True))
    return [(x.to(device), y.to(device)) for x, y in pairs]
