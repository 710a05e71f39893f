"""What a method must beat: chance, no learning, and a linear map.

Each gives a :class:`~mmkrl.evaluate.tasks.zero_shot.Space` over the same features and split.
Anything chosen is chosen on validation relationships.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmkrl.arrays import IntArray
from mmkrl.data.splits.names import TRAIN, VALIDATION
from mmkrl.data.views.knowledge import Knowledge, chunks
from mmkrl.evaluate.baselines.ridge import Ridge
from mmkrl.evaluate.config import EvaluateConfig
from mmkrl.evaluate.metrics.ranking import retrieval_metrics
from mmkrl.evaluate.metrics.registry import metrics
from mmkrl.evaluate.tasks.pools import Pool
from mmkrl.evaluate.tasks.zero_shot import Space

_RANDOM_DIMENSION = 64


def random_space(knowledge: Knowledge, config: EvaluateConfig) -> Space:
    """Random unit vectors: the level of chance."""
    generator = torch.Generator().manual_seed(config.seed)
    relationships, images = len(knowledge.relationships.ids), len(knowledge.images.ids)
    text_RD = torch.randn(relationships, _RANDOM_DIMENSION, generator=generator)
    image_ND = torch.randn(images, _RANDOM_DIMENSION, generator=generator)
    return Space(F.normalize(text_RD, dim=1), F.normalize(image_ND, dim=1))


def word_mean_space(knowledge: Knowledge, config: EvaluateConfig) -> Space:  # noqa: ARG001 - a baseline's signature
    """Mean word vectors, nothing learned: an image gets the vector of its nearest training image.

    The nearest neighbour (cosine of features) stands where ConSE (Norouzi et al., ICLR 2014) puts
    a classifier's word.
    """
    text_RD = centred_texts(knowledge, slots=False)
    images = knowledge.images
    train = images.index(TRAIN)
    reference_MF = F.normalize(images.features(train), dim=1)
    label_N = torch.cat(
        [
            torch.from_numpy(images.label_N[train])[
                (F.normalize(feature_BF, dim=1) @ reference_MF.T).argmax(dim=1)
            ]
            for feature_BF in _feature_chunks(knowledge)
        ]
    )
    return Space(text_RD, text_RD[label_N])


def ridge_mean_space(knowledge: Knowledge, config: EvaluateConfig) -> Space:
    """Ridge regression from image features to the mean word vector of the relationship."""
    return _ridge(knowledge, centred_texts(knowledge, slots=False), config.ridge_strengths)


def ridge_slots_space(knowledge: Knowledge, config: EvaluateConfig) -> Space:
    """Ridge regression to the word vectors of subject, predicate and object, side by side.

    Like DeViSE (Frome et al., NIPS 2013) with a squared loss, and with the order of the slots kept.
    """
    return _ridge(knowledge, centred_texts(knowledge, slots=True), config.ridge_strengths)


BASELINES: dict[str, Callable[[Knowledge, EvaluateConfig], Space]] = {
    "random": random_space,
    "word mean": word_mean_space,
    "ridge to word mean": ridge_mean_space,
    "ridge to word slots": ridge_slots_space,
}


def centred_texts(knowledge: Knowledge, *, slots: bool) -> Tensor:
    """Word vectors of relationships, centred on training relationships, unit length.

    Centring helps these baselines greatly (mean word vectors lie in a narrow cone), so they get it.

    Args:
        knowledge: Relationships with word vectors.
        slots: Side by side (R, 3W) instead of their mean (R, W).
    """
    word_R3W = knowledge.relationships.word_R3W
    text_RD = word_R3W.flatten(start_dim=1) if slots else word_R3W.mean(dim=1)
    train = torch.from_numpy(knowledge.relationships.index(TRAIN))
    return F.normalize(text_RD - text_RD[train].mean(dim=0), dim=1)


def ridge_images(knowledge: Knowledge, text_RD: Tensor, strengths: Sequence[float]) -> Tensor:
    """Image vectors by ridge regression to given text vectors, shape (N, D).

    Args:
        knowledge: Images with features.
        text_RD: Unit vector of each relationship.
        strengths: Penalties to try; the one with the best validation text-to-image mAP is used.
    """
    images = knowledge.images
    train, pool = images.index(TRAIN), Pool.of(knowledge, VALIDATION)

    def pairs() -> Iterator[tuple[Tensor, Tensor]]:
        for part in chunks(train):
            yield images.features(part), text_RD[torch.from_numpy(images.label_N[part])]

    ridge = Ridge.fitted(pairs)

    def placed(index_N: IntArray, weight_FD: Tensor) -> Tensor:
        parts = (images.features(part) for part in chunks(index_N))
        return torch.cat([ridge.vectors(feature_BF, weight_FD) for feature_BF in parts])

    def value(weight_FD: Tensor) -> float:
        found = retrieval_metrics(
            text_RD[pool.label_R],
            placed(pool.image_U.numpy(), weight_FD),
            relevance=pool.images_of_texts,
            metrics=metrics("mAP"),
        )
        return float(found.values["mAP"].mean())

    return placed(np.arange(len(images.ids)), ridge.best(strengths, value))


def _ridge(knowledge: Knowledge, text_RD: Tensor, strengths: Sequence[float]) -> Space:
    return Space(text_RD, ridge_images(knowledge, text_RD, strengths))


def _feature_chunks(knowledge: Knowledge) -> Iterator[Tensor]:
    """The features of all images, a batch at a time."""
    for part in chunks(np.arange(len(knowledge.images.ids))):
        yield knowledge.images.features(part)
