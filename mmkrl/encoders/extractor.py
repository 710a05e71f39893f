"""Pixels in, vectors out: one forward pass a backbone, and the tables it fills.

It needs torch alone; :mod:`cluster.extraction` runs it on many machines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mmkrl.data.pictures import Pixels
from mmkrl.data.schemas import DEAD_LETTERS, features
from mmkrl.encoders.config import EncoderName, EngineName, ExtractConfig
from mmkrl.encoders.engines import CPU_BATCH, GPU_BATCH, Source, make_forward

Engines: TypeAlias = Mapping[EncoderName, EngineName]
FeatureColumns: TypeAlias = dict[EncoderName, npt.NDArray[np.float16]]


class Extractor:
    """Backbones ready to turn pixels into vectors.

    Args:
        config: Which backbones, and how.
        engines: What runs each of them; see :func:`mmkrl.encoders.choice.choose_engines`.
    """

    def __init__(self, config: ExtractConfig, engines: Engines) -> None:
        gpu = any(engine.startswith("cuda") for engine in engines.values())
        batch = config.batch_size or (GPU_BATCH if gpu else CPU_BATCH)
        self._forward = {
            name: make_forward(engines[name], Source.configured(config, name), batch)
            for name in config.backbones
        }

    def __call__(self, pixel_NHWC: Pixels) -> FeatureColumns:
        """Vectors of pictures.

        Args:
            pixel_NHWC: RGB pixels, uint8.

        Returns:
            An array of shape (N, dimension) a backbone, float16.
        """
        return {name: run(pixel_NHWC).astype(np.float16) for name, run in self._forward.items()}


def feature_tables(
    image_ids: Sequence[str],
    vectors: FeatureColumns,
    dead: list[dict[str, str]],
) -> dict[str, pa.Table]:
    """The tables of one unit: features and dead letters."""
    schema = features({name: vector_ND.shape[1] for name, vector_ND in vectors.items()}).arrow
    columns = [
        pa.FixedSizeListArray.from_arrays(
            pa.array(vector_ND.ravel(), pa.float16()), type=schema.field(name).type
        )
        for name, vector_ND in vectors.items()
    ]
    return {
        "features": pa.table([pa.array(image_ids, pa.string()), *columns], schema=schema),
        "dead_letters": pa.Table.from_pylist(dead, DEAD_LETTERS.arrow),
    }
