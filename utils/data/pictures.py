"""From encoded pictures to uint8 arrays, and the size they are brought to."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, UnidentifiedImageError, features

from utils.data.errors import UnsupportedFile

PICTURE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm"),
    *((".avif",) if features.check("avif") else ()),
)
# what PIL raises on damaged input, depending on the format
DECODING_ERRORS = (
    *(OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError, OverflowError),
    Image.DecompressionBombError,
)
ORIENTATION = 0x0112  # the EXIF tag that says how the camera was held
TURNS = {  # what brings a picture of that orientation upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
BITS_PER_SAMPLE, PHOTOMETRIC, WHITE_IS_ZERO = 258, 262, 0  # of TIFF
SIXTEEN = 16
UNSUPPORTED = {
    "I": "32-bit whole numbers",
    "F": "floating-point numbers",
}


def is_picture(name: str) -> bool:
    """Whether a file name ends as a picture that can be decoded here."""
    return name.lower().endswith(PICTURE_SUFFIXES)


def decode_picture(content: bytes, size: int | None) -> np.ndarray:
    """RGB uint8 ``[3, H, W]`` of an encoded picture, upright, on white, brought to ``size``.

    The orientation that a camera noted (EXIF) is applied, transparent parts show white, and 16-bit gray is
    scaled to 8 bits. Raises ``UnsupportedFile`` for pixels without a stated range (32-bit whole numbers,
    floating-point numbers), ``DECODING_ERRORS`` for damaged content.
    """
    with Image.open(io.BytesIO(content)) as picture:
        picture.load()
        turn = TURNS.get(_orientation(picture))
        rgb = _rgb(picture)
        if turn is not None:
            rgb = rgb.transpose(turn)
    if size is not None:
        rgb = fit(rgb, size)
    return np.ascontiguousarray(np.asarray(rgb).transpose(2, 0, 1))


def picture_size(content: bytes) -> tuple[int, int]:
    """Width and height that the header of an encoded picture names; nothing is decoded."""
    with Image.open(io.BytesIO(content)) as picture:
        return picture.size


def why_not(error: Exception, content: bytes) -> str:
    """In a few words, why a picture could not be decoded."""
    if not content:
        return "the file is empty"
    if isinstance(error, UnidentifiedImageError):
        return "its content is of no picture format known here"
    return str(error) or type(error).__name__


def _orientation(picture: Image.Image) -> int:
    try:
        return picture.getexif().get(ORIENTATION, 1)
    except Exception:  # notes of the camera that are damaged do not damage the picture
        return 1


def _rgb(picture: Image.Image) -> Image.Image:
    """The picture in 8-bit RGB, its transparent parts on white."""
    if picture.mode.startswith("I;16") or (picture.mode == "I" and picture.format in ("PNG", "PPM")):
        return _from_sixteen_bits(picture)
    if picture.mode in UNSUPPORTED:
        raise UnsupportedFile(
            f"its pixels are {UNSUPPORTED[picture.mode]} (PIL's mode {picture.mode!r}), of which nobody says "
            "what is black and what is white; convert it to 8 or 16 bits"
        )
    if picture.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in picture.info:
        rgba = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _from_sixteen_bits(picture: Image.Image) -> Image.Image:
    """Gray of up to 16 bits (``I;16``; some versions of PIL say ``I``), scaled so that white becomes 255."""
    values = np.asarray(picture).astype(np.int64)
    tags = getattr(picture, "tag_v2", {})
    bits = min(int(np.max(tags.get(BITS_PER_SAMPLE, SIXTEEN))), SIXTEEN)
    white = 2**bits - 1
    gray = (values * 255 + white // 2) // white
    if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO:
        gray = 255 - gray
    hidden = picture.info.get("transparency")
    if isinstance(hidden, int):
        gray[values == hidden] = 255
    return Image.fromarray(gray.clip(0, 255).astype(np.uint8)).convert("RGB")


def fit(picture: Image.Image, size: int) -> Image.Image:
    """Scale the shorter side to ``size`` (bilinear, with antialiasing) and keep the square in the middle."""
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
