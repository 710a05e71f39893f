"""Measuring an extraction on a few pictures before paying for all of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import ray

from cluster.decoding import CorpusUnit
from cluster.session import gpus
from mmkrl.data.dataset import read_rows
from mmkrl.encoders import torch_setup
from mmkrl.encoders.choice import choose_engines
from mmkrl.encoders.config import ExtractConfig
from mmkrl.encoders.decoding import COLUMNS, Decoder
from mmkrl.encoders.estimate import Sample
from mmkrl.encoders.extractor import Extractor

_SAMPLED_UNITS = 8
_ROWS_A_UNIT = 32


def sample_extraction(units: Sequence[CorpusUnit], config: ExtractConfig) -> Sample:
    """Decode and infer a few rows of units spread over the corpus, on one worker.

    Args:
        units: The corpus.
        config: Backbones and sizes.
    """
    spread = np.unique(np.linspace(0, len(units) - 1, _SAMPLED_UNITS).astype(int))
    task: Any = ray.remote(num_cpus=1, num_gpus=1 if gpus() else 0)(_measure)
    sample: Sample = ray.get(task.remote([units[i] for i in spread], config, gpus() > 0))
    return sample


def _measure(units: Sequence[CorpusUnit], config: ExtractConfig, gpu: bool) -> Sample:
    torch_setup.use_threads(1)
    rows = pa.concat_tables(
        read_rows(
            unit.location,
            unit.entry,
            unit.start,
            min(unit.stop, unit.start + _ROWS_A_UNIT),
            COLUMNS,
        )
        for unit in units
    )
    decoder = Decoder(config)
    decoder(rows.slice(0, 1))  # starts its process
    started = time.perf_counter()
    decoded = decoder(rows)
    decode_s = time.perf_counter() - started
    choices = choose_engines(config, "cuda" if gpu else "cpu", decoded.pixel_NHWC)
    extractor = Extractor(config, {name: choice.engine for name, choice in choices.items()})
    extractor(decoded.pixel_NHWC[:1])  # the first pass allocates
    started = time.perf_counter()
    vectors = extractor(decoded.pixel_NHWC)
    return Sample(
        images=rows.num_rows,
        read_bytes=rows.nbytes,
        decode_s=decode_s,
        infer_s=time.perf_counter() - started,
        dead=len(decoded.dead),
        dimension=sum(vector_ND.shape[1] for vector_ND in vectors.values()),
    )
