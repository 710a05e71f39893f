"""What runs a backbone: torch or OpenVINO, in several precisions, chosen by a check.

All of them work in batches of one fixed size: OpenVINO compiles the graph for it, and a vector
cannot depend on how many pictures happened to come with it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from mmkrl.data.pictures import Pixels
from mmkrl.encoders.config import EncoderName, EngineName, ExtractConfig
from mmkrl.encoders.crops import WithMirror, WithTenCrops
from mmkrl.encoders.image_encoder import ImageEncoder, WithPlaces, image_encoder
from mmkrl.errors import UserError

Vectors: TypeAlias = npt.NDArray[np.float32]
Forward: TypeAlias = Callable[[Pixels], Vectors]

BEST_FIRST: dict[str, tuple[EngineName, ...]] = {
    "cpu": ("openvino_bf16", "openvino", "torch_bf16", "torch"),
    "cuda": ("cuda_fp16", "cuda"),
}
CPU_BATCH, GPU_BATCH = 16, 256


@dataclass(frozen=True)
class Source:
    """What is to be run.

    Attributes:
        encoder: The network.
        weights: Where its weights are; see ``extract.weights``.
        size: Side of the pictures in pixels.
        places: Whether the vectors tell places too; see ``extract.places``.
        crops: Parts of a picture whose vectors are averaged; see ``extract.crops``.
    """

    encoder: ImageEncoder
    weights: str | None
    size: int
    places: bool
    crops: int

    @classmethod
    def configured(cls, config: ExtractConfig, name: EncoderName) -> Source:
        """One of the configured backbones."""
        weights = config.weights.get(name)
        return cls(image_encoder(name), weights, config.image_size, config.places, config.crops)

    @property
    def length(self) -> int:
        """Length of the vectors."""
        return self.encoder.length(places=self.places)


class FromPixels(nn.Module):
    """A backbone that takes RGB pixels, uint8 of shape (B, H, W, 3), normalising them itself."""

    scale_C11: Tensor
    shift_C11: Tensor

    def __init__(self, source: Source) -> None:
        super().__init__()
        encoder = source.encoder
        self.network = encoder.build(source.weights)
        if source.places:
            self.network = WithPlaces(self.network, list(encoder.places), source.size)
        if source.crops == 2:
            self.network = WithMirror(self.network)
        elif source.crops == 10:
            self.network = WithTenCrops(self.network, source.size)
        deviation_C11 = 255 * torch.tensor(encoder.deviation).view(3, 1, 1)
        mean_C11 = 255 * torch.tensor(encoder.mean).view(3, 1, 1)
        self.register_buffer("scale_C11", 1 / deviation_C11)
        self.register_buffer("shift_C11", -mean_C11 / deviation_C11)
        self.eval().requires_grad_(False)

    def forward(self, pixel_BHWC: Tensor) -> Tensor:
        """Vectors of shape (B, dimension)."""
        image_BCHW = pixel_BHWC.permute(0, 3, 1, 2).to(self.shift_C11.dtype)
        vector_BD: Tensor = self.network(image_BCHW * self.scale_C11 + self.shift_C11)
        return vector_BD


def available(engine: EngineName) -> bool:
    """Whether an engine's library and device are there."""
    if engine.startswith("cuda"):
        return torch.cuda.is_available()
    if engine.startswith("openvino"):
        return all(importlib.util.find_spec(name) for name in ("openvino", "onnx"))
    return True


def make_forward(engine: EngineName, source: Source, batch: int) -> Forward:
    """A network's forward pass: vectors of any number of pictures.

    Args:
        engine: What runs it.
        source: The network.
        batch: Pictures in one pass; fewer are filled up with black ones.

    Raises:
        UserError: the engine is not installed, or has no device here.
    """
    if not available(engine):
        need = "a GPU" if engine.startswith("cuda") else "pip install 'mmkrl[openvino]'"
        raise UserError(f"extract.engine {engine!r} is not available here: it needs {need}")
    length = source.length
    network = FromPixels(source)
    if engine.startswith("openvino"):
        one = _openvino(network, batch, source.size, "bf16" if engine.endswith("bf16") else "f32")
    elif engine.startswith("cuda"):
        one = _cuda(network, half=engine.endswith("fp16"))
    else:
        one = _torch(network, half=engine.endswith("bf16"))

    def forward(pixel_NHWC: Pixels) -> Vectors:
        vector_ND = np.zeros((len(pixel_NHWC), length), np.float32)
        for start in range(0, len(pixel_NHWC), batch):
            part = pixel_NHWC[start : start + batch]
            vector_ND[start : start + batch] = one(_filled(part, batch))[: len(part)]
        return vector_ND

    return forward


def _filled(pixel_BHWC: Pixels, batch: int) -> Pixels:
    """A writable batch of exactly the size the networks are compiled for."""
    missing = batch - len(pixel_BHWC)
    if not missing:
        return np.require(pixel_BHWC, requirements=["C", "W"])
    return np.pad(pixel_BHWC, ((0, missing), (0, 0), (0, 0), (0, 0)))


def _torch(network: FromPixels, *, half: bool) -> Forward:
    laid_out = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.inference_mode()
    def forward(pixel_BHWC: Pixels) -> Vectors:
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            vector_BD = laid_out(torch.from_numpy(pixel_BHWC))
        result: Vectors = vector_BD.float().numpy()
        return result

    return forward


def _cuda(network: FromPixels, *, half: bool) -> Forward:
    there = network.to("cuda", torch.float16 if half else torch.float32)
    laid_out = there.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.inference_mode()
    def forward(pixel_BHWC: Pixels) -> Vectors:
        pixels = torch.from_numpy(pixel_BHWC).pin_memory().to("cuda", non_blocking=True)
        result: Vectors = laid_out(pixels).float().cpu().numpy()
        return result

    return forward


def _openvino(network: FromPixels, batch: int, size: int, precision: str) -> Forward:
    import openvino

    graph = openvino.Core().read_model(_onnx(network, batch, size))
    compiled = openvino.compile_model(
        graph,
        "CPU",
        {
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "NUM_STREAMS": 1,
            "INFERENCE_PRECISION_HINT": precision,
        },
    )

    def forward(pixel_BHWC: Pixels) -> Vectors:
        result: Vectors = compiled(pixel_BHWC)[0]
        return result

    return forward


def _onnx(network: FromPixels, batch: int, size: int) -> io.BytesIO:
    """The network as an ONNX graph; the way from torch into OpenVINO that takes seconds."""
    file: Any = io.BytesIO()
    example: Any = torch.zeros(batch, size, size, 3, dtype=torch.uint8)
    with warnings.catch_warnings(), _quiet("torch.onnx"):
        warnings.simplefilter("ignore")
        torch.onnx.export(network, (example,), file, dynamo=False, opset_version=17)
    file.seek(0)
    return file  # type: ignore[no-any-return]


@contextlib.contextmanager
def _quiet(name: str) -> Iterator[None]:
    noisy = logging.getLogger(name)
    level = noisy.level
    noisy.setLevel(logging.ERROR)
    yield
    noisy.setLevel(level)
