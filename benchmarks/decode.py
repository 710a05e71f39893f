"""Decoding a large JPEG at a fraction of its size: how much faster, and how near in features.

``python -m benchmarks.decode FOLDER`` takes photos of 2,688 pixels and more on the shorter side,
such as desktop backgrounds: at 224 pixels, what is left of a smaller one would not be six times
the network's square. The figures are decoded photos per second beside full decoding, and the least
cosine of EfficientNet-Lite0's float32 vectors to those of full decoding and of an exact resize.
"""

import io
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.line import Line
from mmkrl.data.pictures import Limits, Pixels, decode
from mmkrl.encoders.config import ExtractConfig
from mmkrl.encoders.engines import Source, make_forward

SIZE = 224
LEAST_SIDE = 2 * 6 * SIZE
ROUNDS = 3
_NETWORK = "efficientnet_lite0"


def main(folder: Path) -> None:
    """Measure the large photos of a folder."""
    torch.set_num_threads(1)
    files = sorted(path for path in folder.rglob("*.jp*g") if path.is_file())
    distinct = dict.fromkeys(path.read_bytes() for path in files)
    photos = [data for data in distinct if shorter_side(data) >= LEAST_SIDE]
    note = f"{len(photos)} photos to {SIZE} px; {ROUNDS} rounds, alternating"
    rounds = [[rate(way, photos) for way in (shrunk, full)] for _ in range(ROUNDS)]
    ours, peer = (statistics.median(found) for found in zip(*rounds, strict=True))
    Line("decode", "shrunk", "images/s", ours, "full decoding", peer, None, 1, note).show()
    vectors = {way: embed([way(photo) for photo in photos]) for way in (shrunk, full, exact)}
    for way, reference in ((shrunk, full), (shrunk, exact), (full, exact)):
        cosine_N = (vectors[way] * vectors[reference]).sum(axis=1)
        case = f"{way.__name__} to {reference.__name__}"
        told = f"{note}; mean {cosine_N.mean():.6f}"
        least = float(cosine_N.min())
        Line("decode", case, "least cosine", least, None, None, None, 1, told).show()


def shorter_side(data: bytes) -> int:
    """Of a picture, in pixels, from its header."""
    with Image.open(io.BytesIO(data)) as image:
        return min(image.size)


def shrunk(photo: bytes) -> Pixels:
    """As extraction decodes."""
    return decode(photo, Limits(), size=SIZE)


def full(photo: bytes) -> Pixels:
    """The same at full size."""
    return decode(photo, Limits(), size=SIZE, shrink=False)


def exact(photo: bytes) -> Pixels:
    """Pillow's decoder, and the same resize in float64, rounded once."""
    with Image.open(io.BytesIO(photo)) as image:
        pixels = torch.from_numpy(np.array(image.convert("RGB")))
    square = torch.nn.functional.interpolate(
        pixels.permute(2, 0, 1)[None].double(), (SIZE, SIZE), mode="bilinear", antialias=True
    )
    result: Pixels = square[0].permute(1, 2, 0).round().clamp(0, 255).byte().numpy()
    return result


def rate(way: Callable[[bytes], Pixels], photos: Sequence[bytes]) -> float:
    """Photos per second."""
    started = time.perf_counter()
    for photo in photos:
        way(photo)
    return len(photos) / (time.perf_counter() - started)


def embed(pictures: Sequence[Pixels]) -> np.ndarray:
    """Unit vectors, float32."""
    config = ExtractConfig(backbones=(_NETWORK,), image_size=SIZE)
    vector_ND = make_forward("torch", Source.configured(config, _NETWORK), 16)(np.stack(pictures))
    return vector_ND / np.linalg.norm(vector_ND, axis=1, keepdims=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
