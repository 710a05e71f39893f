"""Rows of the corpus as pixels; needs no torch, so decoding workers start fast and stay small."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from mmkrl.data.pictures import Pixels, UnusablePicture, decode
from mmkrl.features.config import ExtractConfig


@dataclass(frozen=True)
class Decoded:
    """A piece of the corpus, decoded.

    Attributes:
        image_ids: Ids of the usable pictures.
        pixel_NHWC: Their pixels, uint8.
        dead: Dead-letter rows of the others.
    """

    image_ids: list[str]
    pixel_NHWC: Pixels
    dead: list[dict[str, str]]


def decode_rows(rows: pa.Table, config: ExtractConfig) -> Decoded:
    """Decode rows of the table ``images`` (image_id, uri, image)."""
    ids, pixels, dead = [], [], []
    for row in rows.to_pylist():
        try:
            pixels.append(decode(row["image"], config.limits, size=config.image_size))
            ids.append(row["image_id"])
        except UnusablePicture as fault:
            dead.append(
                {
                    "stage": "extract",
                    "record": row["uri"],
                    "reason": fault.reason,
                    "detail": fault.detail,
                }
            )
    shape = (0, config.image_size, config.image_size, 3)
    return Decoded(ids, np.stack(pixels) if pixels else np.zeros(shape, np.uint8), dead)
