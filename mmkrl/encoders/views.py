"""Pictures for a backbone that learns: decoded by threads, each step another part of them.

These are pictures that an extraction has decoded before, within its limits and away from us
(:mod:`mmkrl.data.isolation.parent`); whoever could hurt a process is a dead letter since. So they
are decoded here, in this process, in the same way.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mmkrl.arrays import IntArray
from mmkrl.data.pictures import Limits, Pixels, UnusablePicture, decode
from mmkrl.data.views.mapped_pictures import MappedPictures
from mmkrl.encoders.config import ExtractConfig
from mmkrl.encoders.engines import Source
from mmkrl.errors import UserError


@dataclass(frozen=True)
class Views:
    """Where the parts lie that a step sees of its pictures.

    Attributes:
        offset_B2: Of each part, how far down and across, between the first position and the last.
        mirrored_B: Whether it is seen as its mirror image.
    """

    offset_B2: npt.NDArray[np.float64]
    mirrored_B: npt.NDArray[np.bool_]

    @classmethod
    def drawn(cls, count: int, seed: int, *, mirror: bool) -> Views:
        """Those of a step: a function of its seed and of a row's index in the global batch."""
        draw_B3 = np.random.default_rng(seed).random((count, 3))
        return cls(draw_B3[:, :2], (draw_B3[:, 2] < 0.5) & mirror)

    def __getitem__(self, part: slice) -> Views:
        return Views(self.offset_B2[part], self.mirrored_B[part])


class Pictures:
    """Pictures as a backbone sees them.

    Args:
        encoded: The pictures by number.
        extract: How their features were extracted.
        source: The backbone, and the size of what it sees.
    """

    def __init__(self, encoded: MappedPictures, extract: ExtractConfig, source: Source) -> None:
        self.source = source
        self._encoded, self._fit = encoded, extract.fit
        self._limits = Limits(extract.max_bytes, extract.max_pixels)
        self._threads = ThreadPoolExecutor(torch.get_num_threads())

    def whole(self, index_B: IntArray) -> Tensor:
        """Pictures as the extraction saw them.

        Args:
            index_B: Numbers of the pictures.

        Returns:
            RGB pixels, uint8, shape (B, size, size, 3).

        Raises:
            UserError: one cannot be decoded.
        """
        return _stacked(self._decoded(index_B, self.source.size))

    def parts(self, index_B: IntArray, views: Views, crop: float) -> Tensor:
        """A part of each picture, in the same size.

        Args:
            index_B: Numbers of the pictures.
            views: Which parts.
            crop: Their side as a share of the picture's.

        Raises:
            UserError: a picture cannot be decoded.
        """
        size = self.source.size
        side = round(size / crop)
        start_B2 = np.floor(views.offset_B2 * (side - size + 1)).astype(np.int64)
        squares = self._decoded(index_B, side)
        where = zip(squares, start_B2, views.mirrored_B, strict=True)
        return _stacked(
            square[top : top + size, left : left + size][:, :: -1 if mirrored else 1]
            for square, (top, left), mirrored in where
        )

    def _decoded(self, index_B: IntArray, side: int) -> Iterable[Pixels]:
        return self._threads.map(lambda number: self._square(number, side), index_B.tolist())

    def _square(self, number: int, side: int) -> Pixels:
        try:
            return decode(self._encoded[number], self._limits, size=side, fit=self._fit)
        except UnusablePicture as fault:
            raise UserError(
                f"image {self._encoded.ids[number]} was decoded when features were extracted, and "
                f"cannot be now: {fault}; extract again with --force"
            ) from fault


def _stacked(squares: Iterable[Pixels]) -> Tensor:
    return torch.from_numpy(np.stack(list(squares)))
