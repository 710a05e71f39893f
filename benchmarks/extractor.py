"""Images per second of the extractor's forward pass, beside the plain loop one would write.

The limit is the same network on a batch that is already normalised and laid out: nothing but the
forward pass.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import torch

from mmkrl.features.backbones import BACKBONES
from mmkrl.features.config import ExtractConfig
from mmkrl.features.extractor import Extractor


def rate(work: Callable[[], object], images: int, repeats: int) -> float:
    """Median images per second."""
    work()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return images / statistics.median(seconds)


def main(quick: bool) -> None:
    """Measure EfficientNet-Lite0 on one thread."""
    torch.set_num_threads(1)
    images, repeats = (32, 3) if quick else (128, 5)
    config = ExtractConfig()
    pixels = np.random.default_rng(0).integers(
        0, 256, (images, config.image_size, config.image_size, 3), np.uint8
    )
    ours = Extractor(config)
    plain = BACKBONES[config.backbone].build(None).eval()
    batch = ((torch.from_numpy(pixels).permute(0, 3, 1, 2).float() - 127) / 128).contiguous()
    fast = BACKBONES[config.backbone].build(None).eval().to(memory_format=torch.channels_last)
    ready = batch.to(memory_format=torch.channels_last)
    with torch.inference_mode():
        figures = {
            "ours": rate(lambda: ours(pixels), images, repeats),
            "peer": rate(lambda: [plain(b) for b in batch.split(32)], images, repeats),
            "limit": rate(lambda: [fast(b) for b in ready.split(32)], images, repeats),
        }
    line = {
        "bench": "extractor",
        "case": config.backbone,
        "unit": "images/s",
        "ours": figures["ours"],
        "peer_name": "plain torch, NCHW float32",
        "peer": figures["peer"],
        "ratio_to_peer": figures["ours"] / figures["peer"],
        "limit": figures["limit"],
        "ratio_to_limit": figures["ours"] / figures["limit"],
        "threads": 1,
        "note": f"{images} images of {config.image_size} px, median of {repeats}",
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main("--quick" in sys.argv)
