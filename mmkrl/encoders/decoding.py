"""Rows of the corpus as pixels, by a process that hostile bytes cannot hurt."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from mmkrl.data.dead_letters import dead_letter
from mmkrl.data.digest import content_id
from mmkrl.data.isolation.parent import shared
from mmkrl.data.pictures import Pixels, UnusablePicture
from mmkrl.encoders.config import ExtractConfig
from mmkrl.errors import UserError

COLUMNS = ("image_id", "uri", "image")


@dataclass(frozen=True)
class Decoded:
    """A unit of the corpus, decoded.

    Attributes:
        image_ids: Ids of the usable pictures.
        pixel_NHWC: Their pixels, uint8.
        dead: Dead-letter rows of the others, by their position among the rows.
    """

    image_ids: list[str]
    pixel_NHWC: Pixels
    dead: dict[int, dict[str, str]]


class Decoder:
    """Decodes rows of the corpus as a configuration says; one process has one child for it."""

    def __init__(self, config: ExtractConfig) -> None:
        self._size = config.image_size
        self._isolated = shared(
            "mmkrl.data.pictures:decoder",
            seconds=config.decode_seconds,
            memory_mb=config.decode_mb,
            max_bytes=config.max_bytes,
            max_pixels=config.max_pixels,
            size=config.image_size,
            fit=config.fit,
        )

    def __call__(self, rows: pa.Table) -> Decoded:
        """Decode rows of the table ``images`` (image_id, uri, image).

        Raises:
            UserError: a picture's bytes are not those its id was made from.
        """
        ids, uris, images = (rows.column(name).to_pylist() for name in COLUMNS)
        _check_content(ids, uris, images)
        kept: list[str] = []
        dead: dict[int, dict[str, str]] = {}
        shape = (len(images), self._size, self._size, 3)
        pixel_NHWC = np.empty(shape, np.uint8)
        for i, result in enumerate(self._isolated.map(images)):
            if isinstance(result, UnusablePicture):
                dead[i] = dead_letter("extract", uris[i], result.reason, result.detail)
            else:
                pixel_NHWC[len(kept)] = np.frombuffer(result, np.uint8).reshape(shape[1:])
                kept.append(ids[i])
        return Decoded(kept, pixel_NHWC[: len(kept)], dead)


def _check_content(ids: Iterable[str], uris: Iterable[str], images: Iterable[bytes]) -> None:
    for key, uri, image in zip(ids, uris, images, strict=True):
        if content_id(image) != key:
            raise UserError(
                f"image {key} ({uri}) changed after it was ingested: its bytes have another "
                "hash; ingest again with --force"
            )
