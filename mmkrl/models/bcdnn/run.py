"""One training run from its inputs to its last checkpoint: what every worker does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from mmkrl.data.dataset import Dataset
from mmkrl.data.views.knowledge import load_knowledge
from mmkrl.data.views.words import load_words
from mmkrl.models.bcdnn.learner import BCDNNLearner
from mmkrl.models.config import TrainConfig
from mmkrl.train.context import TrainContext
from mmkrl.train.loop import fit


@dataclass(frozen=True)
class Run:
    """What to train.

    Attributes:
        config: The section ``train``.
        mined: Relationships.
        extracted: Features.
        variant: Which variant of the model.
        seed: Decides initial weights, batches and noise.
        cache: Folder on the worker's disk for mapped features.
    """

    config: TrainConfig
    mined: Dataset
    extracted: Dataset
    variant: str
    seed: int
    cache: Path


def train(run: Run, context: TrainContext) -> None:
    """Train, or go on from the context's last checkpoint."""
    config = run.config
    words = load_words(config.words)
    knowledge = load_knowledge(run.mined, run.extracted, words, run.cache, config.features)
    torch.manual_seed(run.seed)
    learner = BCDNNLearner(
        knowledge, config.bcdnn, variant=run.variant, batch_size=config.batch_size
    )
    fit(learner, config.loop, context, seed=run.seed)
