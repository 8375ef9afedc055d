"""From encoded pictures to uint8 arrays, and the size they are brought to."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".ppm", ".pgm", ".tif", ".tiff")
# what PIL raises on damaged input, depending on the format
DECODING_ERRORS = (OSError, ValueError, SyntaxError, EOFError, IndexError, Image.DecompressionBombError)


def is_picture(name: str) -> bool:
    """Whether a file name ends as a picture that can be decoded here."""
    return name.lower().endswith(PICTURE_SUFFIXES)


def decode_picture(content: bytes, size: int | None) -> np.ndarray:
    """RGB uint8 ``[3, H, W]`` of an encoded picture, brought to ``size``; raises ``DECODING_ERRORS``."""
    with Image.open(io.BytesIO(content)) as picture:
        rgb = picture if picture.mode == "RGB" else picture.convert("RGB")
        rgb.load()
    if size is not None:
        rgb = fit(rgb, size)
    return np.ascontiguousarray(np.asarray(rgb).transpose(2, 0, 1))


def fit(picture: Image.Image, size: int) -> Image.Image:
    """Scale the shorter side to ``size`` (bilinear, with antialiasing) and keep the ``size`` × ``size``
    square in the middle.
    """
    width, height = picture.size
    if (width, height) == (size, size):
        return picture
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    return picture.resize((size, size), Image.Resampling.BILINEAR, box=(left, top, left + side, top + side))


def resize_images(images: np.ndarray, size: int) -> np.ndarray:
    """Arrays uint8 ``[N, C, H, W]`` brought to ``[N, C, size, size]`` as ``fit`` does."""
    if images.shape[2:] == (size, size):
        return images
    planes = (np.asarray(fit(Image.fromarray(plane), size)) for image in images for plane in image)
    return np.stack(list(planes)).reshape(*images.shape[:2], size, size)
