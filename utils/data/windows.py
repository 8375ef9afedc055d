"""Flips, crops and shifts of a batch as one copy: each image seen through a window of its own size.

Along a row of pixels, a window of the width of the image is a run of neighboring bytes. So the rows are first
extended (by their mirror image or by black) and laid beside their mirrored selves; then each row of the
result is one run out of that line, copied in one piece.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor


@dataclass(frozen=True)
class Window:
    """What each image of a batch is seen through.

    First the image is mirrored left and right where ``mirrored`` (bool [B], ``None`` for nowhere) says so;
    then the window's top left corner is put at row ``top`` and column ``left`` (int64 [B], 0 for "as it was",
    at most ``reach`` = (rows, columns) either way). Outside the image there is its mirror image ("reflect":
    the edge pixel is not repeated) or black ("zeros").
    """

    top: Tensor
    left: Tensor
    mirrored: Tensor | None = None
    reach: tuple[int, int] = (0, 0)
    mode: str = "reflect"

    def then(self, other: Window) -> Window | None:
        """This window and after it the other one, as a single window; ``None`` if both move."""
        if self.reach != (0, 0) and other.reach != (0, 0):
            return None
        moving = other if self.reach == (0, 0) else self
        left = moving.left
        if moving is self and other.mirrored is not None:  # what lay to the left now lies to the right
            left = torch.where(other.mirrored, -left, left)
        return Window(moving.top, left, _either(self.mirrored, other.mirrored), moving.reach, moving.mode)

    def look(self, x: Tensor) -> Tensor:
        """The images [B, C, H, W] through the window, in the memory layout (channels first or last) of x."""
        B, C, H, W = x.shape
        channels_last = C > 1 and x.is_contiguous(memory_format=torch.channels_last)
        lines = x.permute(0, 2, 3, 1) if channels_last else x.reshape(B, C * H, W, 1)
        _, L, _, E = lines.shape  # lines per image, elements per pixel of a line
        lines, plain, mirrored = _extended(lines, self.reach[1], self.mode, self.mirrored is not None)
        start = self.left + plain
        if self.mirrored is not None:
            start = torch.where(self.mirrored, self.left + mirrored, start)
        rows = _windows(H, self.reach[0], self.mode, x.device).index_select(0, self.top + self.reach[0])
        outside = rows < 0 if self.mode == "zeros" else None
        if outside is not None:
            rows = rows.clamp(min=0)
        first_line = torch.arange(0, B * L, H, device=x.device).view(B, -1, 1)
        begin = ((first_line + rows[:, None]) * lines.shape[2] + start[:, None, None]) * E  # [B, L / H, H]
        pixels, run = lines.reshape(-1), W * E
        runs = pixels.as_strided((pixels.numel() - run + 1, run), (1, 1))  # every run of a row's length
        seen = runs.index_select(0, begin.view(-1)).view(B, -1, H, run)
        if outside is not None:
            seen.masked_fill_(outside[:, None, :, None], 0)
        return seen.view(B, H, W, C).permute(0, 3, 1, 2) if channels_last else seen.view(B, C, H, W)


def _either(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    if first is None or second is None:
        return second if first is None else first
    return first ^ second


def _extended(lines: Tensor, far: int, mode: str, mirror: bool) -> tuple[Tensor, int, int]:
    """Lines [B, L, W, E] with ``far`` more pixels at both ends and, if asked for, beside their mirror image.

    Returns the long lines and where in them the line itself and its mirror image begin.
    """
    B, L, W, E = lines.shape
    if far == 0 and not mirror:
        return lines, 0, 0
    if mode == "zeros":
        border = lines.new_zeros(B, L, far, E)
        twin = [lines.flip(2), border] if mirror else []
        return torch.cat([border, lines, border, *twin], 2), far, 2 * far + W
    backwards = lines.flip(2)
    left, right = lines[:, :, W - 1 - far : W - 1], backwards[:, :, 1 : far + 1]
    if not mirror:
        return torch.cat([backwards[:, :, W - 1 - far : W - 1], lines, right], 2), far, far
    # a mirror image goes over into the line itself: its last pixel is the line's first
    return torch.cat([left, backwards, lines[:, :, 1:], right], 2), far + W - 1, far


@lru_cache(maxsize=64)  # a few small tables that every batch needs again
def _windows(size: int, far: int, mode: str, device: torch.device) -> Tensor:
    """Which of ``size`` rows are seen when the window moves by -far…far, int64 [2 · far + 1, size].

    -1 stands for a black one.
    """
    rows = [_inside(row, size, mode) for row in range(-far, size + far)]
    return torch.tensor(rows, device=device).unfold(0, size, 1)


def _inside(row: int, size: int, mode: str) -> int:
    """The row 0…size-1 that is seen at any row of the extended image; -1 for a black one."""
    if mode == "zeros":
        return row if 0 <= row < size else -1
    # mirrored at the first and the last row: -1 becomes 1, and size becomes size - 2
    return (size - 1) - abs(size - 1 - abs(row))
