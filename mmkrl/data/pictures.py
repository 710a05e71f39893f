"""Pictures from outside: looking at headers, decoding within limits, never trusting a byte.

Everything here works on one picture at a time and turns every fault into an
:class:`UnusablePicture` with a short reason. What a decoder may still do to its process is kept
away from us by :mod:`mmkrl.data.isolation.parent`, which runs :func:`decoder` and
:func:`inspector`.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image

from mmkrl.data.config import Fit

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
Pixels: TypeAlias = npt.NDArray[np.uint8]
_ORIENTATION = 0x0112  # EXIF tag
_CENTRE = 224 / 256  # ImageNet's evaluation takes this share of the shorter side
# A JPEG is decoded at 1/2, 1/4 or 1/8 as long as what remains is so many times too large. Vectors
# then agree with full decoding: cosine 0.9993 at worst, 0.985 at 2 times (benchmarks/decode.py).
_SHRINK_MARGIN = 6.0


class UnusablePicture(Exception):  # noqa: N818 - it names the row, not a fault of the program
    """A picture that cannot be used.

    Attributes:
        reason: A short code: empty, not_an_image, too_many_pixels, too_many_bytes, truncated,
            out_of_memory, timeout or killed_decoder.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True)
class Limits:
    """How large a picture may be before it is set aside unread.

    Attributes:
        bytes: Encoded size.
        pixels: Width times height, as its header tells.
    """

    bytes: int = 32 << 20
    pixels: int = 64_000_000


@dataclass(frozen=True)
class Header:
    """What a picture says about itself without being decoded."""

    format: str
    width: int
    height: int


def inspect(data: bytes, limits: Limits) -> Header:
    """The header of a picture, if the picture is within the limits.

    Raises:
        UnusablePicture: empty, no known format, or too large.
    """
    with _open(data, limits) as image:
        return Header(str(image.format), image.width, image.height)


def decode(
    data: bytes, limits: Limits, *, size: int, fit: Fit = "squeeze", shrink: bool = True
) -> Pixels:
    """A picture as a square, upright, transparency on white.

    Resizing is bilinear with antialiasing. A JPEG much larger than the square is decoded at a
    fraction of its size, which costs a fraction of the time; what remains is at least six times
    as large as the square.

    Args:
        data: Encoded bytes.
        limits: Size limits.
        size: Side of the square in pixels.
        fit: ``squeeze`` shows the whole picture; ``centre`` its central square, as in the
            evaluation of ImageNet networks (shorter side to size * 256 / 224, central crop).
        shrink: Decode large JPEGs at a fraction of their size.

    Returns:
        Array of shape (size, size, 3), RGB.

    Raises:
        UnusablePicture: it cannot be decoded, or is too large.
    """
    with _open(data, limits) as image:
        try:
            orientation = image.getexif().get(_ORIENTATION, 1)
            pixels = _jpeg(data, size, shrink) if image.format == "JPEG" else None
            if pixels is None:
                pixels = np.asarray(_on_white(image))
            square = _resize(pixels if fit == "squeeze" else _central(pixels), size)
        except MemoryError:
            raise
        except Exception as error:  # whatever a decoder raises, the bytes are at fault
            raise UnusablePicture("truncated", str(error) or type(error).__name__) from error
    return _upright(square, orientation)


def decoder(
    max_bytes: int, max_pixels: int, size: int, fit: Fit = "squeeze"
) -> Callable[[bytes], bytes]:
    """:func:`decode` from bytes to the bytes of the pixels, for an isolated process."""
    _resize(np.zeros((8, 8, 3), np.uint8), 4)  # import what it needs before memory is limited
    limits = Limits(max_bytes, max_pixels)
    return lambda data: decode(data, limits, size=size, fit=fit).tobytes()


def inspector(max_bytes: int, max_pixels: int) -> Callable[[bytes], bytes]:
    """:func:`inspect` from bytes to the JSON of the header, for an isolated process."""
    limits = Limits(max_bytes, max_pixels)
    return lambda data: json.dumps(asdict(inspect(data, limits))).encode()


def _open(data: bytes, limits: Limits) -> Image.Image:
    if not data:
        raise UnusablePicture("empty", "zero bytes")
    if len(data) > limits.bytes:
        raise UnusablePicture("too_many_bytes", f"{len(data)} bytes, the limit is {limits.bytes}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise UnusablePicture("too_many_pixels", str(error)) from error
    except MemoryError:
        raise
    except Exception as error:  # whatever a decoder raises, the bytes are at fault
        raise UnusablePicture("not_an_image", f"no {', '.join(FORMATS)} header") from error
    if image.width * image.height > limits.pixels:
        raise UnusablePicture(
            "too_many_pixels", f"{image.width} x {image.height}, the limit is {limits.pixels}"
        )
    return image


def _jpeg(data: bytes, size: int, shrink: bool) -> Pixels | None:
    """The pixels of a well-formed RGB or grey JPEG; None leaves the others to Pillow."""
    side = round(size * _SHRINK_MARGIN) if shrink else 0
    try:
        pixels: Pixels = simplejpeg.decode_jpeg(
            data, "RGB", min_height=side, min_width=side, min_factor=2 if shrink else 1
        )
    except ValueError:
        return None
    return pixels


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        colour = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", colour.size, "white"), colour).convert("RGB")
    return image.convert("RGB")


def _central(pixels: Pixels) -> Pixels:
    """The central square of ImageNet's evaluation, before resizing."""
    height, width = pixels.shape[:2]
    side = max(1, round(min(height, width) * _CENTRE))
    top, left = (height - side) // 2, (width - side) // 2
    return pixels[top : top + side, left : left + side]


def _resize(pixels: Pixels, size: int) -> Pixels:
    """Bilinear with antialiasing; torch's kernel for bytes is the fastest there is on CPUs."""
    import torch
    from torch.nn import functional

    if pixels.shape[:2] == (size, size):
        return pixels
    image_HWC = torch.from_numpy(np.require(pixels, requirements=["C", "W"]))
    square_1CSS = functional.interpolate(
        image_HWC.permute(2, 0, 1)[None],
        (size, size),
        mode="bilinear",
        antialias=True,
        align_corners=False,
    )
    result: Pixels = square_1CSS[0].permute(1, 2, 0).contiguous().numpy()
    return result


def _upright(square: Pixels, orientation: int) -> Pixels:
    """Undo the rotation and mirroring that EXIF tells; of a square, after resizing, it is cheap."""
    if orientation in (5, 6, 7, 8):
        square = square.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        square = square[:, ::-1]
    if orientation in (3, 4, 7, 8):
        square = square[::-1]
    return np.ascontiguousarray(square)
