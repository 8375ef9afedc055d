"""Pictures as cameras, scanners and microscopes save them: right levels, upright, on white, or refused."""

import io

import numpy as np
import pytest
from PIL import Image

from tests import tiny_datasets as tiny
from utils.data import CorruptFile, load_dataset
from utils.data.class_folders import NAMED
from utils.data.errors import UnsupportedFile
from utils.data.pictures import PICTURE_SUFFIXES, decode_picture

LOSSLESS = {"WEBP": {"lossless": True, "exact": True}}


def encoded(picture, kind="PNG", **options):
    stream = io.BytesIO()
    picture.save(stream, kind, **LOSSLESS.get(kind, {}), **options)
    return stream.getvalue()


def decoded(picture, kind="PNG", **options):
    return decode_picture(encoded(picture, kind, **options), None)


def gray16(*values):
    return Image.fromarray(np.array([values], np.uint16))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_are_scaled_and_not_clipped(kind):
    # 65535 / 255 = 257: 1000 / 257 = 3.89, 32896 / 257 = 128, 128 / 257 = 0.498, 129 / 257 = 0.502
    levels = decoded(gray16(0, 128, 129, 1000, 32896, 65535), kind)
    assert levels.dtype == np.uint8 and (levels == levels[:1]).all()
    assert levels[0, 0].tolist() == [0, 0, 1, 4, 128, 255]


def test_sixteen_bits_of_every_level_are_within_half_a_level():
    values = np.arange(2**16, dtype=np.uint16).reshape(256, 256)
    assert np.abs(decoded(Image.fromarray(values))[0] - values / 257).max() <= 0.5


def test_sixteen_bits_where_zero_is_white_are_turned_round():
    assert decoded(gray16(0, 1000, 65535), "TIFF", tiffinfo={262: 0})[0, 0].tolist() == [255, 251, 0]


def test_sixteen_bits_whose_transparent_level_is_named_show_white_there():
    assert decoded(gray16(0, 1000, 2000), transparency=1000)[0, 0].tolist() == [0, 255, 8]


def test_gray_of_ten_bits_fills_the_range_too():
    content = b"P5 3 1 1023\n" + np.array([0, 512, 1023], ">u2").tobytes()
    assert decode_picture(content, None)[0, 0].tolist() == [0, 128, 255]


@pytest.mark.parametrize(
    ("dtype", "mode"), [(np.int32, "whole numbers.*'I'"), (np.float32, "floating-point numbers.*'F'")]
)
@pytest.mark.parametrize("value", [0, 0.5, 1, 1000, -1])
def test_thirty_two_bits_are_refused_by_name(tmp_path, dtype, mode, value):
    content = encoded(Image.fromarray(np.full((8, 8), value, dtype)), "TIFF")
    with pytest.raises(UnsupportedFile, match=f"{mode}.*convert it to 8 or 16 bits"):
        decode_picture(content, None)
    members = {**tiny.class_members(), "train/ant/cell.tif": content}
    with pytest.raises(UnsupportedFile, match=f"'train/ant/cell.tif' cannot be decoded .*{mode}"):
        load_dataset(f"folder:{tiny.write_files(tmp_path / 'tree', members)}")


# what a camera held like this writes, and how the picture is brought upright: EXIF 2.3, table 6
UPRIGHT = np.arange(1, 7, dtype=np.uint8).reshape(2, 3) * 40
AS_HELD = {
    1: UPRIGHT,
    2: UPRIGHT[:, ::-1],
    3: UPRIGHT[::-1, ::-1],
    4: UPRIGHT[::-1],
    5: UPRIGHT.T,
    6: np.rot90(UPRIGHT, 1),
    7: np.rot90(UPRIGHT, 2).T,
    8: np.rot90(UPRIGHT, -1),
}


@pytest.mark.parametrize("orientation", AS_HELD)
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_every_orientation_comes_out_upright(orientation, kind, mode):
    exif = Image.Exif()
    exif[0x0112] = orientation
    held = Image.fromarray(np.ascontiguousarray(AS_HELD[orientation])).convert(mode)
    assert decoded(held, kind, exif=exif)[0].tolist() == UPRIGHT.tolist()


def test_a_rotated_photograph_is_cropped_as_it_is_seen():
    exif = Image.Exif()
    exif[0x0112] = 6
    tall = Image.new("RGB", (32, 16), "black")
    tall.paste("white", (0, 0, 8, 16))  # the left end of the sensor is the upper end of the picture
    pixels = decode_picture(encoded(tall, "JPEG", exif=exif, quality=100), 16)
    assert pixels[0].mean() < 20, "the square in the middle has none of the upper quarter"
    assert decode_picture(encoded(tall, "JPEG", exif=exif, quality=100), None)[0, 0].mean() > 230


@pytest.mark.parametrize("orientation", [0, 9, 255])
def test_an_orientation_that_there_is_not_changes_nothing(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert decoded(Image.fromarray(UPRIGHT), exif=exif)[0].tolist() == UPRIGHT.tolist()


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("alpha", [0, 64, 128, 200, 255])
def test_transparent_colors_are_seen_on_white(kind, alpha):
    shown = decoded(Image.new("RGBA", (4, 4), (200, 10, 0, alpha)), kind)[:, 0, 0]
    right = [level * alpha / 255 + 255 * (1 - alpha / 255) for level in (200, 10, 0)]
    assert np.abs(shown - right).max() <= 1


def transparent_palette(kind):
    picture = Image.new("P", (4, 4), 1)
    picture.putpalette([0, 0, 0, 255, 0, 0])
    return encoded(picture, kind, transparency=1)


@pytest.mark.parametrize(
    "content",
    [
        encoded(Image.new("LA", (4, 4), (10, 0))),
        transparent_palette("PNG"),
        transparent_palette("GIF"),
        encoded(Image.new("RGB", (4, 4), (255, 0, 0)), transparency=(255, 0, 0)),
        encoded(Image.new("L", (4, 4), 7), transparency=7),
        encoded(Image.new("1", (4, 4), 0), transparency=0),
    ],
    ids=["gray with alpha", "PNG palette", "GIF", "named color", "named gray", "named bit"],
)
def test_every_way_to_be_transparent_shows_white(content):
    assert (decode_picture(content, None) == 255).all()


def test_opaque_pictures_keep_their_levels():
    gray = np.arange(256, dtype=np.uint8).reshape(16, 16)
    for mode in ("L", "LA", "RGB", "RGBA", "P"):
        assert (decoded(Image.fromarray(gray).convert(mode)) == gray).all(), mode


@pytest.mark.parametrize("suffix", [".jfif", ".jpe", ".JPG", ".pnm", ".tiff"])
def test_rarer_suffixes_are_pictures_too(tmp_path, suffix):
    kind = {".pnm": "PPM", ".tiff": "TIFF"}.get(suffix, "JPEG")
    members = {f"{s}/a/1{suffix}": tiny.picture((1, 2, 3), kind=kind) for s in ("train", "test")}
    dataset = load_dataset(f"folder:{tiny.write_files(tmp_path / 'tree', members)}", valid=0)
    assert len(dataset.train) == 1 and "left out" not in dataset.provenance.note


LEFT_OUT = {
    (".heic",): "1 file is left out, of kinds that are not read here (.heic 1)",
    (".heic", ".HEIC", ".svg"): "3 files are left out, of kinds that are not read here (.heic 2, .svg 1)",
    ("",): "(no suffix 1)",
    (".jpg~", ".psd"): "(.jpg~ 1, .psd 1)",
    (".txt",) * 3: "3 files are left out",
}


@pytest.mark.parametrize("suffixes", LEFT_OUT, ids=" ".join)
@pytest.mark.parametrize("kind", ["folder", ".zip"])
def test_what_is_left_out_is_counted_and_named(tmp_path, suffixes, kind, capsys):
    members = {**tiny.class_members(), **{f"train/ant/{i}x{s}": b"?" for i, s in enumerate(suffixes)}}
    members |= {"README.md": b"-", "train/ant/Thumbs.db": b"-", "train/bee/._1.png": b"-"}  # not counted
    path = tmp_path / ("tree" if kind == "folder" else f"tree{kind}")
    (tiny.write_files if kind == "folder" else tiny.write_archive)(path, members)
    dataset = load_dataset(f"folder:{path}", valid=0)
    assert len(dataset.train) == 8 and LEFT_OUT[suffixes] in dataset.provenance.note
    assert LEFT_OUT[suffixes] in capsys.readouterr().err


@pytest.mark.parametrize("suffix", [".heic", "", ".svg", ".jpg.part", ".raw"])
@pytest.mark.parametrize("kind", ["folder", ".zip"])
def test_a_class_without_any_readable_picture_says_what_it_has_instead(tmp_path, suffix, kind):
    pictures = tiny.class_members()
    members = {n.replace(".png", suffix) if "/bee/" in n else n: c for n, c in pictures.items()}
    path = tmp_path / ("tree" if kind == "folder" else f"tree{kind}")
    (tiny.write_files if kind == "folder" else tiny.write_archive)(path, members)
    with pytest.raises(
        ValueError, match="train/bee has no pictures in it, only files of kinds that are not"
    ) as e:
        load_dataset(f"folder:{path}")
    assert f"({suffix.removeprefix('.jpg') or 'no suffix'} 4)" in str(e.value)
    assert all(known in str(e.value) for known in PICTURE_SUFFIXES)


DAMAGED = {
    "empty.png": (b"", "the file is empty"),
    "text.png": (b"not a picture", "its content is of no picture format known here"),
    "page.jpg": (b"<html>Please log in</html>", "of no picture format known here"),
    "cut.png": (tiny.picture((1, 2, 3))[:60], ""),
    "cut.jpg": (tiny.picture((1, 2, 3), (64, 64), "JPEG")[:300], "runcated"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_picture_is_named_with_the_reason(tmp_path, name):
    content, why = DAMAGED[name]
    members = {**tiny.class_members(), f"train/ant/{name}": content}
    with pytest.raises(CorruptFile, match=f"the picture 'train/ant/{name}' cannot be decoded") as caught:
        load_dataset(f"folder:{tiny.write_files(tmp_path / 'tree', members)}")
    assert why in str(caught.value) and "object at 0x" not in str(caught.value)


@pytest.mark.parametrize("number", [2, 3, NAMED + 5])
def test_several_damaged_pictures_are_told_at_once(tmp_path, number):
    members = {**tiny.class_members(per_class=20), **{f"train/ant/{i:04}.png": b"?" for i in range(number)}}
    with pytest.raises(CorruptFile) as caught:
        load_dataset(f"folder:{tiny.write_files(tmp_path / 'tree', members)}")
    count = str(number) if number < NAMED else f"{NAMED} or more"
    assert f"{count} pictures cannot be decoded: 'train/ant/0000.png' (" in str(caught.value)
    assert str(caught.value).count("train/ant/") == min(number, NAMED)


@pytest.mark.parametrize(
    ("color", "told"),
    [
        ((None, None, 0), "channel 2 is constant"),
        ((None, 9, 9), "channels 1, 2 are constant"),
        ((0, 0, 0), "channels 0, 1, 2 are constant"),
        ((255, 255, 255), "channels 0, 1, 2 are constant"),
        ((7, None, None), "channel 0 is constant"),
    ],
)
def test_a_constant_channel_is_said(tmp_path, color, told, capsys):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    for channel, level in enumerate(color):
        if level is not None:
            pixels[..., channel] = level
    content = encoded(Image.fromarray(pixels))
    members = {f"{s}/a/{i}.png": content for s in ("train", "test") for i in range(3)}
    dataset = load_dataset(f"folder:{tiny.write_files(tmp_path / 'tree', members)}")
    assert f"{told} (standard deviation 0)" in dataset.provenance.note
    assert told in capsys.readouterr().err
