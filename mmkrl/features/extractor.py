"""Pixels in, vectors out: a backbone's forward pass, and the tables it fills.

It needs torch alone; :mod:`cluster.extraction` runs it on many machines.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from mmkrl.data.pictures import Pixels
from mmkrl.data.schemas import DEAD_LETTERS, features
from mmkrl.features.backbones import BACKBONES
from mmkrl.features.config import ExtractConfig


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
        self._network = network.to(self._device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
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
