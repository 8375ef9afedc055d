"""The patches of real pictures to which a unit answers most strongly."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from utils.analysis.attribution.running import chosen, plain, run_to
from utils.analysis.modules import frozen
from utils.analysis.receptive_field import receptive_field
from utils.data.batches import Batches
from utils.data.dataset import Split


@dataclass(frozen=True, eq=False)
class Patch:
    """A piece of an image and the answer to it.

    ``image``, ``label``: number in the split and class. ``activation``: of the unit. ``place``: its row and
    column in the layer's map; empty for a layer without maps. ``box``: (top, bottom, left, right) of the
    pixels that the unit sees, bottom and right exclusive, cut off at the edge of the image. ``pixels``: what
    it sees, uint8 ``[C, bottom − top, right − left]``.
    """

    image: int
    label: int
    activation: float
    place: tuple[int, ...]
    box: tuple[int, int, int, int]
    pixels: Tensor


def nearest_patches(
    model: nn.Module, split: Split, layer: str, unit: int, n: int = 9, *, batch_size: int = 256
) -> list[Patch]:
    """The images of a split that a unit answers to most strongly.

    The ``n`` images of ``split`` that channel ``unit`` of ``layer`` answers to most strongly, strongest
    first, each cut to the receptive field of the unit of the map that did (one patch for an image).

    The images are normalized with the split's mean and standard deviation. Zeiler, Fergus, arXiv 1311.2901,
    figure 2, show such patches beside the deconvnet's pictures.

    Raises ``ValueError`` for an unknown layer (with the nearest paths), a unit out of range, n outside 1 to
    the number of images, and where the receptive field cannot be followed.
    """
    model = plain(model)
    if isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= len(split):
        raise ValueError(f"n must be a whole number from 1 to the {len(split)} images, got {n!r}")
    strongest, places, sizes = _answers(model, split, layer, unit, batch_size)
    row = receptive_field(model, tuple(split.images.shape[1:]))[layer] if sizes else None
    patches = []
    for number in strongest.argsort(descending=True, stable=True)[:n].tolist():
        height, width = split.images.shape[2:]
        top, bottom, left, right = 0, height, 0, width
        place: tuple[int, ...] = ()
        if row is not None:
            place = divmod(int(places[number]), sizes[1])
            (first, last), (start, end) = row.region(*place)
            top, bottom, left, right = int(first), int(last) + 1, int(start), int(end) + 1
        patches.append(
            Patch(
                image=number,
                label=int(split.labels[number]),
                activation=float(strongest[number]),
                place=place,
                box=(top, bottom, left, right),
                pixels=split.images[number, :, top:bottom, left:right].clone(),
            )
        )
    return patches


def _answers(
    model: nn.Module, split: Split, layer: str, unit: int, batch_size: int
) -> tuple[Tensor, Tensor, tuple[int, ...]]:
    """For each image the largest activation of the channel, and its place in the flattened map.

    Also the map's sides, none for a layer ``[B, K]``.
    """
    chosen(unit, 1)
    device = next(model.parameters(), torch.zeros(())).device
    values, places = [], []
    sizes: tuple[int, ...] = ()
    with frozen(model), torch.no_grad():
        for x, _ in Batches(split, batch_size, shuffle=False):
            output, _ = run_to(model, x.to(device), layer)
            if output.ndim not in (2, 4):
                raise ValueError(
                    f"{layer} has an output of shape {list(output.shape)}, not [B, K] or [B, K, h, w]"
                )
            if not 0 <= unit < output.shape[1]:
                raise ValueError(f"unit {unit} is out of range: {layer} has {output.shape[1]}, from 0")
            sizes = tuple(output.shape[2:])
            value, place = output[:, unit].reshape(len(x), -1).max(dim=1)
            values.append(value.cpu())
            places.append(place.cpu())
    return torch.cat(values), torch.cat(places), sizes
