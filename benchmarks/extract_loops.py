"""Loops that extraction is measured against, each in processes of one thread of their own.

``python -m benchmarks.extract_loops LOOP BACKBONE FILE`` prints images per second over the
pictures in a Parquet file with a column ``image``.
"""

import io
import itertools
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from PIL import Image

import mmkrl.encoders.torch_setup  # noqa: F401 - must come before torchvision
from mmkrl.data.pictures import Limits, decode
from mmkrl.encoders.choice import choose_engines
from mmkrl.encoders.config import ExtractConfig
from mmkrl.encoders.engines import CPU_BATCH, Source, make_forward
from mmkrl.encoders.image_encoder import image_encoder

SIZE = 224
SECONDS = 8.0  # measured, after a warm-up


def weights_of(backbone: str) -> dict[str, str]:
    """The installed weights, or random ones."""
    return {} if backbone == "efficientnet_lite0" else {backbone: "random"}


def rate(step: Callable[[], int]) -> float:
    """Images per second of a step that says how many it did: median over blocks of a second."""
    step()
    rates = []
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        started, done = time.perf_counter(), 0
        while time.perf_counter() - started < 1:
            done += step()
        rates.append(done / (time.perf_counter() - started))
    return statistics.median(rates)


def batches(images: list[bytes]) -> Iterator[list[bytes]]:
    """The pictures, over and over, a batch at a time."""
    endless = itertools.cycle(images)
    while True:
        yield list(itertools.islice(endless, CPU_BATCH))


def decode_only(_: str, images: list[bytes]) -> Callable[[], int]:
    """The fast decoder alone."""
    source = batches(images)

    def step() -> int:
        for image in next(source):
            decode(image, Limits(), size=SIZE)
        return CPU_BATCH

    return step


def _engine(backbone: str, images: list[bytes]) -> Callable[[np.ndarray], object]:
    config = ExtractConfig(backbones=(backbone,), weights=weights_of(backbone))
    sample = np.stack([decode(i, Limits(), size=SIZE) for i in images[:48]])
    choice = choose_engines(config, "cpu", sample)[backbone]
    return make_forward(choice.engine, Source.configured(config, backbone), CPU_BATCH)


def forward_only(backbone: str, images: list[bytes]) -> Callable[[], int]:
    """The best engine on pixels that are there already."""
    forward = _engine(backbone, images)
    pixels = np.stack([decode(i, Limits(), size=SIZE) for i in images[:CPU_BATCH]])

    def step() -> int:
        forward(pixels)
        return CPU_BATCH

    return step


def tuned(backbone: str, images: list[bytes]) -> Callable[[], int]:
    """Fast decoding and the best engine in one process: a loop an expert would write."""
    forward = _engine(backbone, images)
    source = batches(images)

    def step() -> int:
        forward(np.stack([decode(i, Limits(), size=SIZE) for i in next(source)]))
        return CPU_BATCH

    return step


class _Files(torch.utils.data.Dataset):
    def __init__(self, images: list[bytes]) -> None:
        from torchvision import transforms

        self._images = images
        self._transform = transforms.Compose(
            [
                transforms.Resize((SIZE, SIZE)),
                transforms.ToTensor(),
                transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
            ]
        )

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self._transform(Image.open(io.BytesIO(self._images[index])).convert("RGB"))


def plain(backbone: str, images: list[bytes]) -> Callable[[], int]:
    """The loop everybody writes: a DataLoader with torchvision transforms, float32."""
    network = image_encoder(backbone).build(weights_of(backbone).get(backbone)).eval()
    loader = itertools.cycle(torch.utils.data.DataLoader(_Files(images), batch_size=32))

    @torch.inference_mode()
    def step() -> int:
        batch = next(loader)
        network(batch)
        return len(batch)

    return step


LOOPS = {
    "decode": decode_only,
    "forward": forward_only,
    "tuned": tuned,
    "plain": plain,
}


def measure(loop: str, backbone: str, file: Path, processes: int) -> float:
    """Images per second of some processes together."""
    command = [sys.executable, "-m", "benchmarks.extract_loops", loop, backbone, str(file)]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(processes)
    ]
    return sum(float(process.communicate()[0].split()[-1]) for process in running)


if __name__ == "__main__":
    torch.set_num_threads(1)
    name, network, path = sys.argv[1:]
    pictures = pq.read_table(path, columns=["image"])["image"].to_pylist()
    print(rate(LOOPS[name](network, pictures)))
