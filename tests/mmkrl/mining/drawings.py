"""Pictures that look like something, made from a seed."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image


def drawing(seed: int = 0, size: int = 64, kind: str = "PNG", **options) -> bytes:
    """Blobs of many sizes, as a photo has, in a picture of any size."""
    grid = np.random.default_rng(seed).integers(0, 256, (24, 24, 3), np.uint8)
    file = io.BytesIO()
    picture = Image.fromarray(grid).resize((size, size), Image.Resampling.BICUBIC)
    picture.save(file, kind, **options)
    return file.getvalue()
