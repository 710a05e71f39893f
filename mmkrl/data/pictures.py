"""Pictures from outside: looking at headers, decoding within limits, never trusting a byte.

Everything here works on one picture at a time and turns every fault into an
:class:`UnusablePicture` with a short reason.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
Pixels: TypeAlias = npt.NDArray[np.uint8]


class UnusablePicture(Exception):  # noqa: N818 - it names the row, not a fault of the program
    """A picture that cannot be used.

    Attributes:
        reason: A short code: empty, not_an_image, too_many_pixels, too_many_bytes, truncated.
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


def decode(data: bytes, limits: Limits, *, size: int) -> Pixels:
    """The whole picture squeezed into a square, transparency on white.

    Args:
        data: Encoded bytes.
        limits: Size limits.
        size: Side of the square in pixels.

    Returns:
        Array of shape (size, size, 3), RGB.

    Raises:
        UnusablePicture: it cannot be decoded, or is too large.
    """
    with _open(data, limits) as image:
        try:
            if image.format == "JPEG":
                image.draft("RGB", (size, size))
            square = _on_white(ImageOps.exif_transpose(image)).resize(
                (size, size), Image.Resampling.BILINEAR, reducing_gap=3.0
            )
        except Exception as error:  # whatever a decoder raises, the bytes are at fault
            raise UnusablePicture("truncated", str(error) or type(error).__name__) from error
    return np.asarray(square)


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
    except Exception as error:  # whatever a decoder raises, the bytes are at fault
        raise UnusablePicture("not_an_image", f"no {', '.join(FORMATS)} header") from error
    if image.width * image.height > limits.pixels:
        raise UnusablePicture(
            "too_many_pixels", f"{image.width} x {image.height}, the limit is {limits.pixels}"
        )
    return image


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        colour = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", colour.size, "white"), colour).convert("RGB")
    return image.convert("RGB")
