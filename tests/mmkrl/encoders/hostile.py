"""Files that look like pictures and are none that can be used."""

import io
import random
import struct
import zlib
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")


def picture(draw: random.Random, kind: str, **options) -> bytes:
    """A good picture that does not compress much."""
    size = draw.randrange(48, 97)
    pixels = np.random.default_rng(draw.randrange(2**32)).integers(
        0, 256, (size, size, 3), np.uint8
    )
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *chunks: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IEND", b"")


def truncated(draw: random.Random) -> bytes:
    data = picture(draw, draw.choice(FORMATS))
    return data[: draw.randrange(len(data) // 20, len(data) * 4 // 5)]


def noise_after_a_signature(draw: random.Random) -> bytes:
    start = picture(draw, draw.choice(FORMATS))[: draw.randrange(4, 12)]
    return start + draw.randbytes(draw.randrange(1, 5000))


def another_type(draw: random.Random) -> bytes:
    texts = (b"<html>", b"%PDF-1.7", b"PK\x03\x04", b"\x7fELF", b"\x1f\x8b\x08", b"<svg/>", b"GIF")
    return draw.choice(texts) + draw.randbytes(draw.randrange(0, 3000))


def empty(_: random.Random) -> bytes:
    return b""


def pixel_bomb(draw: random.Random) -> bytes:
    side = draw.randrange(9_000, 60_000)
    return png(side, side, chunk(b"IDAT", zlib.compress(bytes(1000))))


def header_bomb(draw: random.Random) -> bytes:
    """A bitmap header with sizes beyond all bounds."""
    sizes = struct.pack("<ii", draw.randrange(2**20, 2**31 - 1), draw.randrange(2**10, 2**31 - 1))
    return b"BM" + bytes(8) + struct.pack("<II", 54, 40) + sizes + struct.pack("<HHI", 1, 24, 0)


def text_bomb(_: random.Random) -> bytes:
    """Metadata that unpacks to 400 MB, and no pixels."""
    body = zlib.compress(bytes(400 << 20), 1)
    return png(8, 8, chunk(b"zTXt", b"Comment\0\0" + body))


def circular_tiff(draw: random.Random) -> bytes:
    """Directories that point at each other."""
    count = draw.randrange(2, 40)
    entry = struct.pack("<HHII", 0x8769, 4, 1, 8)  # an EXIF directory: this one
    directory = struct.pack("<H", 1) + entry
    return b"II*\0" + struct.pack("<I", 8) + (directory + struct.pack("<I", 8)) * count


def nested_exif(draw: random.Random) -> bytes:
    """A truncated JPEG whose EXIF directories lie in each other thousands deep."""
    depth = draw.randrange(1000, 3000)
    body = b"Exif\0\0II*\0" + struct.pack("<I", 8)
    for n in range(depth):
        following = 8 + 18 * (n + 1)
        body += struct.pack("<HHHIII", 1, 0x8769, 4, 1, following, 0)
    segment = b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body
    data = picture(draw, "JPEG")
    return data[:2] + segment + data[2 : len(data) // 2]


def broken_data(draw: random.Random) -> bytes:
    """A PNG whose compressed data are noise."""
    return png(64, 64, chunk(b"IDAT", draw.randbytes(draw.randrange(1, 5000))))


KINDS: tuple[Callable[[random.Random], bytes], ...] = (
    truncated,
    noise_after_a_signature,
    another_type,
    empty,
    pixel_bomb,
    header_bomb,
    circular_tiff,
    nested_exif,
    broken_data,
)


def hostile_files(count: int, seed: int = 0) -> Iterator[bytes]:
    """Every kind in turn, and one text bomb, which takes long to make."""
    draw = random.Random(seed)
    yield text_bomb(draw)
    for n in range(count - 1):
        yield KINDS[n % len(KINDS)](draw)
