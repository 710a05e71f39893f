"""How long an extraction will take, how large its result gets and what it costs, from a sample."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_HOUR_S = 3600.0
_FLOAT16_BYTES = 2


@dataclass(frozen=True)
class Sample:
    """What a few pictures took on one worker.

    Attributes:
        images: How many they were.
        read_bytes: Their encoded size.
        decode_s: Seconds one core decoded them.
        infer_s: Seconds one worker (a core or a GPU) ran the backbones over them.
        dead: How many could not be used.
        dimension: Length of all vectors of a picture together.
    """

    images: int
    read_bytes: int
    decode_s: float
    infer_s: float
    dead: int
    dimension: int


@dataclass(frozen=True)
class Estimate:
    """A whole corpus on some workers.

    Attributes:
        workers: Inference workers: cores or GPUs.
        decode_cores: Cores beside them that keep them busy; with CPU workers they are the same.
        hours: Wall time.
        cost: Price of the workers for that time.
        output_mb: Size of the features, in MB.
    """

    workers: int
    decode_cores: int
    hours: float
    cost: float
    output_mb: float


def estimate(
    sample: Sample, images: int, workers: Sequence[int], *, gpu: bool, hourly_price: float
) -> list[Estimate]:
    """What a corpus takes on several numbers of workers.

    On GPUs, decoding goes on beside inference and is assumed to keep up, given the cores told; on
    CPUs the same cores do both.

    Args:
        sample: What was measured.
        images: Rows of the corpus.
        workers: Numbers of workers to estimate for.
        gpu: Whether the workers of the sample are GPUs.
        hourly_price: Price of one worker for one hour, in any currency.
    """
    infer_s = sample.infer_s / sample.images
    decode_s = sample.decode_s / sample.images
    usable = images * (1 - sample.dead / sample.images)
    output_mb = usable * sample.dimension * _FLOAT16_BYTES / 1e6
    found = []
    for count in workers:
        seconds = images * (infer_s if gpu else infer_s + decode_s) / count
        hours = seconds / _HOUR_S
        cores = math.ceil(count * decode_s / infer_s) if gpu else count
        found.append(Estimate(count, cores, hours, hours * count * hourly_price, output_mb))
    return found
