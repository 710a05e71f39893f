"""Which engine runs each backbone: the fastest whose vectors agree with float32 torch.

The order of preference is fixed (measured once, see ``benchmarks/extract.py``) and only the
agreement is measured here, so the same pictures on the same machine lead to the same engine.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mmkrl.data.pictures import Pixels
from mmkrl.encoders.config import EncoderName, EngineName, ExtractConfig
from mmkrl.encoders.engines import BEST_FIRST, CPU_BATCH, Source, Vectors, available, make_forward

logger = logging.getLogger(__name__)

LEAST_COSINE = 0.999
SAMPLE = 48  # pictures compared


@dataclass(frozen=True)
class Choice:
    """An engine, and how well it agrees with float32 torch.

    Attributes:
        engine: The engine.
        cosine: Smallest cosine between its vector and the reference's over the sample; 1 for
            the reference itself and where no sample was there to compare.
    """

    engine: EngineName
    cosine: float


def choose_engines(
    config: ExtractConfig, device: Literal["cpu", "cuda"], sample_NHWC: Pixels
) -> dict[EncoderName, Choice]:
    """An engine for every backbone of a configuration.

    An engine that the configuration names is taken as it is, and its cosine told.

    Args:
        config: Backbones, weights and, perhaps, the engine.
        device: Where they will run.
        sample_NHWC: Pictures to compare on, uint8.

    Raises:
        UserError: the engine that the configuration names is not available here.
    """
    return {name: _choose(config, name, device, sample_NHWC) for name in config.backbones}


def _choose(
    config: ExtractConfig, name: EncoderName, device: Literal["cpu", "cuda"], sample_NHWC: Pixels
) -> Choice:
    candidates = BEST_FIRST[device] if config.engine == "auto" else (config.engine,)
    installed = [e for e in candidates if available(e)] or list(candidates)
    reference_ND: Vectors | None = None
    for engine in installed:
        if engine == "torch" or not len(sample_NHWC):
            return Choice(engine, 1.0)
        if reference_ND is None:
            reference_ND = _vectors("torch", name, config, sample_NHWC)
        found_ND = _vectors(engine, name, config, sample_NHWC)
        choice = Choice(engine, _least_cosine(found_ND, reference_ND))
        logger.info("%s by %s: cosine to float32 at least %.5f", name, engine, choice.cosine)
        # Half precision and other kernels move vectors a little; an engine that computes something
        # else (another layout of the input) moves them much.
        if choice.cosine >= LEAST_COSINE:
            break
    return choice


def _vectors(
    engine: EngineName, name: EncoderName, config: ExtractConfig, sample_NHWC: Pixels
) -> Vectors:
    run = make_forward(engine, Source.configured(config, name), CPU_BATCH)
    return run(sample_NHWC)


def _least_cosine(left_ND: Vectors, right_ND: Vectors) -> float:
    lengths_N = np.linalg.norm(left_ND, axis=1) * np.linalg.norm(right_ND, axis=1)
    cosine_N = (left_ND * right_ND).sum(axis=1) / np.maximum(lengths_N, 1e-12)
    return float(cosine_N.min())
