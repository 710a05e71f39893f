"""Pictures of every format decode to what they show; everything else has a reason."""

from __future__ import annotations

import contextlib
import io
import random
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from mmkrl.data.pictures import Limits, UnusablePicture, decode, inspect

LIMITS = Limits()
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def quarters(mode: str = "RGB") -> Image.Image:
    """Red and green above, blue and white below."""
    image = Image.new("RGB", (64, 32), WHITE)
    image.paste(RED, (0, 0, 32, 16))
    image.paste(GREEN, (32, 0, 64, 16))
    image.paste(BLUE, (0, 16, 32, 32))
    return image.convert(mode)


def corners(pixels: np.ndarray) -> list[tuple[int, ...]]:
    """The middle of each quarter: upper left, upper right, lower left, lower right."""
    near, far = len(pixels) // 4, len(pixels) * 3 // 4
    return [tuple(pixels[y, x].tolist()) for y in (near, far) for x in (near, far)]


def assert_close(found, expected, tolerance=0):
    assert np.abs(np.array(found, int) - np.array(expected, int)).max() <= tolerance


@pytest.mark.parametrize(
    ("kind", "options", "tolerance"),
    [
        ("JPEG", {"quality": 95, "subsampling": 0}, 8),
        ("PNG", {}, 0),
        ("GIF", {}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("BMP", {}, 0),
        ("TIFF", {}, 0),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
    ],
)
def test_every_format_decodes_to_its_colours(kind, options, tolerance):
    data = encoded(quarters(), kind, **options)
    header = inspect(data, LIMITS)
    assert (header.format, header.width, header.height) == (kind, 64, 32)
    pixels = decode(data, LIMITS, size=16)
    assert (pixels.shape, pixels.dtype) == ((16, 16, 3), np.uint8)
    assert_close(corners(pixels), [RED, GREEN, BLUE, WHITE], tolerance)


@pytest.mark.parametrize(
    ("mode", "kind", "expected"),
    [
        ("CMYK", "JPEG", [RED, GREEN, BLUE, WHITE]),
        ("CMYK", "TIFF", [RED, GREEN, BLUE, WHITE]),
        ("P", "PNG", [RED, GREEN, BLUE, WHITE]),
        ("L", "PNG", [(76,) * 3, (149,) * 3, (29,) * 3, WHITE]),
        ("1", "PNG", None),
    ],
)
def test_other_colour_modes(mode, kind, expected):
    pixels = decode(encoded(quarters(mode), kind), LIMITS, size=32)
    assert pixels.shape == (32, 32, 3)
    if expected:
        assert_close(corners(pixels), expected, 12)


def test_a_turned_photo_is_set_upright():
    """Orientation 6: the sensor's left edge is the picture's top."""
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(quarters(), "JPEG", exif=exif, quality=95, subsampling=0)
    assert_close(corners(decode(data, LIMITS, size=16)), [BLUE, RED, WHITE, GREEN], 8)


def test_alpha_is_put_on_white():
    image = quarters("RGBA")
    image.putalpha(0)
    assert_close(corners(decode(encoded(image, "PNG"), LIMITS, size=16)), [WHITE] * 4)
    image.putalpha(128)
    found = corners(decode(encoded(image, "WEBP", lossless=True), LIMITS, size=16))
    assert_close(found, [(255, 127, 127), (127, 255, 127), (127, 127, 255), WHITE], 1)


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_a_transparent_palette_colour_is_put_on_white(kind):
    image = quarters().quantize(4)
    red = image.getpixel((0, 0))
    data = encoded(image, kind, transparency=red)
    assert_close(corners(decode(data, LIMITS, size=16)), [WHITE, GREEN, BLUE, WHITE])


def test_a_transparent_rgb_colour_is_put_on_white():
    data = encoded(quarters(), "PNG", transparency=RED)
    assert_close(corners(decode(data, LIMITS, size=16)), [WHITE, GREEN, BLUE, WHITE])


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_keep_their_brightness(kind):
    image = Image.fromarray(np.full((32, 32), 0x8000, np.uint16))
    assert_close(decode(encoded(image, kind), LIMITS, size=8), 128)


def test_the_first_frame_of_an_animation():
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, GREEN)]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert_close(corners(decode(data, LIMITS, size=8)), [RED] * 4)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_truncated_picture_passes_inspection_and_fails_decoding(kind, share):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    data = encoded(Image.fromarray(noise), kind)
    cut = data[: int(len(data) * share)]
    assert inspect(cut, LIMITS).width == 64
    assert reason(cut) == "truncated"


def reason(data: bytes, limits: Limits = LIMITS) -> str:
    with pytest.raises(UnusablePicture) as caught:
        decode(data, limits, size=16)
    return caught.value.reason


def bomb(side: int) -> bytes:
    """A one-bit PNG that claims side x side pixels in a few bytes."""

    def chunk(name: bytes, data: bytes) -> bytes:
        body = name + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"")), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("side", [9_000, 20_000, 2_000_000_000])
def test_a_bomb_is_refused_by_its_header(side):
    with pytest.raises(UnusablePicture) as caught:
        inspect(bomb(side), LIMITS)
    assert caught.value.reason == "too_many_pixels"


def test_limits_are_inclusive():
    data = encoded(quarters(), "PNG")
    assert inspect(data, Limits(bytes=len(data), pixels=64 * 32)).width == 64
    assert reason(data, Limits(bytes=len(data) - 1)) == "too_many_bytes"
    assert reason(data, Limits(pixels=64 * 32 - 1)) == "too_many_pixels"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "empty"),
        (b"<html>404 not found</html>", "not_an_image"),
        (b"\x89PNG\r\n\x1a\n", "not_an_image"),
        (b"%PDF-1.4", "not_an_image"),
        (b"P6 2 2 255 " + bytes(12), "not_an_image"),  # a format that is not read
        (struct.pack("<6sHHBBB", b"GIF89a", 0, 0, 0, 0, 0) + b";", "not_an_image"),
    ],
)
def test_what_is_no_picture_has_a_reason(data, expected):
    assert reason(data) == expected


def test_mutated_files_raise_nothing_else():
    """Bytes from outside may be anything: only UnusablePicture leaves the module."""
    source = random.Random(5)
    tried = 0
    kinds = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF")
    originals = [encoded(quarters(), kind) for kind in kinds]
    originals.append(encoded(quarters("P"), "TIFF", compression="tiff_lzw"))
    for _ in range(60):
        for original in originals:
            data = bytearray(original)
            for _ in range(source.randint(1, 6)):
                data[source.randrange(min(len(data), 400))] = source.randrange(256)
            if source.random() < 0.3:
                del data[source.randrange(len(data)) :]
            tried += 1
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with contextlib.suppress(UnusablePicture):
                    assert decode(bytes(data), Limits(pixels=4_000_000), size=8).shape == (8, 8, 3)
    assert tried == 420
