"""Pictures in, vectors and reasons out: extraction as a pure function of bytes.

It needs torch alone; :mod:`cluster.extraction` runs it on many machines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from pydantic import Field, field_validator

from mmkrl.config import Section
from mmkrl.data.pictures import Limits, Pixels, UnusablePicture, decode
from mmkrl.data.schemas import DEAD_LETTERS, features
from mmkrl.features.backbones import BACKBONES


class ExtractConfig(Section):
    """Which features to extract, and how."""

    backbone: str = "efficientnet_lite0"
    """Pretrained network: efficientnet_lite0 (ships with its package), alexnet, vgg19, resnet50."""
    weights: str | None = None
    """Path of a state dict, local or ``s3://``; none means the backbone's published weights,
    ``random`` means untrained ones (the report says so)."""
    image_size: int = Field(default=224, ge=32, le=1024)
    """Side of the square every picture is resized to, in pixels; cost grows with its square."""
    batch_size: int = Field(default=32, ge=1)
    """Pictures in one forward pass."""
    max_bytes: int = Field(default=32 << 20, ge=1)
    """Largest encoded picture, in bytes."""
    max_pixels: int = Field(default=64_000_000, ge=1)
    """Largest picture, width times height."""
    unit_rows: int = Field(default=256, ge=1)
    """Pictures in one piece of work: what a kill can lose, and what travels between workers."""
    workers: int | None = Field(default=None, ge=1)
    """Inference workers; none means one a GPU, or one a core where there is no GPU."""

    @field_validator("backbone")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in BACKBONES:
            raise ValueError(f"unknown backbone; expected one of {', '.join(BACKBONES)}")
        return name

    @property
    def limits(self) -> Limits:
        """The limits for one picture."""
        return Limits(self.max_bytes, self.max_pixels)


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


class Extractor:
    """A backbone ready to turn pixels into vectors.

    Args:
        config: Which backbone, and how.
        device: Where to run it.
    """

    def __init__(self, config: ExtractConfig, device: Literal["cpu", "cuda"] = "cpu") -> None:
        backbone = BACKBONES[config.backbone]
        network = backbone.build(config.weights).eval().requires_grad_(False)
        self.dimension = backbone.dimension
        self._batch_size = config.batch_size
        self._device = torch.device(device)
        self._network = network.to(self._device, memory_format=torch.channels_last)
        self._mean_C11 = torch.tensor(backbone.mean, device=self._device).view(3, 1, 1)
        self._deviation_C11 = torch.tensor(backbone.deviation, device=self._device).view(3, 1, 1)

    @torch.inference_mode()
    def __call__(self, pixel_NHWC: Pixels) -> npt.NDArray[np.float16]:
        """Vectors of pictures.

        Args:
            pixel_NHWC: RGB pixels, uint8.

        Returns:
            Array of shape (N, dimension), float16.
        """
        starts = range(0, len(pixel_NHWC), self._batch_size)
        vectors = [self._forward(pixel_NHWC[i : i + self._batch_size]) for i in starts]
        return np.concatenate(vectors) if vectors else np.zeros((0, self.dimension), np.float16)

    def _forward(self, pixel_BHWC: Pixels) -> npt.NDArray[np.float16]:
        image_BCHW = torch.from_numpy(pixel_BHWC.copy()).to(self._device).permute(0, 3, 1, 2)
        normal_BCHW = (image_BCHW.float() / 255 - self._mean_C11) / self._deviation_C11
        vector_BD = self._network(normal_BCHW.contiguous(memory_format=torch.channels_last))
        result: npt.NDArray[np.float16] = vector_BD.to(torch.float16).cpu().numpy()
        return result


def feature_tables(
    image_ids: Sequence[str], vector_ND: npt.NDArray[np.float16], dead: list[dict[str, str]]
) -> dict[str, pa.Table]:
    """The tables of one piece: features and dead letters."""
    schema = features(vector_ND.shape[1]).arrow
    vectors = pa.FixedSizeListArray.from_arrays(
        pa.array(vector_ND.ravel(), pa.float16()), type=schema.field("vector").type
    )
    return {
        "features": pa.table([pa.array(image_ids, pa.string()), vectors], schema=schema),
        "dead_letters": pa.Table.from_pylist(dead, DEAD_LETTERS.arrow),
    }
