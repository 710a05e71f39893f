"""What a dual encoder must beat: chance, and a linear map to the words of captions.

Each places images and texts in one space, as the encoders do, over the same features and split.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmkrl.arrays import IntArray
from mmkrl.data.splits.names import TRAIN, VALIDATION
from mmkrl.data.views.captions import Captions
from mmkrl.data.views.knowledge import chunks
from mmkrl.data.views.words import WordVectors
from mmkrl.evaluate.baselines.ridge import Ridge
from mmkrl.evaluate.config import EvaluateConfig
from mmkrl.evaluate.tasks.caption_retrieval import CaptionSpace, caption_tasks, recall_sum

_RANDOM_DIMENSION = 64


@dataclass(frozen=True)
class CaptionBaseline:
    """Images and captions in a common space, and how any text gets there.

    Attributes:
        captions: Images and captions.
        image_ID: Unit vectors of the images.
        text_CD: Unit vectors of the captions.
        vectors_of: Unit vectors of any texts, shape (N, D).
    """

    captions: Captions
    image_ID: Tensor
    text_CD: Tensor
    vectors_of: Callable[[Sequence[str]], Tensor]

    def space(self, split: str) -> CaptionSpace:
        """The images and captions of a split."""
        captions = self.captions
        return CaptionSpace(
            self.image_ID[captions.images(split)],
            self.text_CD[captions.captions(split)],
            captions.within(split),
            "cosine",
        )


def random_baseline(
    captions: Captions,
    words: WordVectors,  # noqa: ARG001 - a baseline's signature
    config: EvaluateConfig,
) -> CaptionBaseline:
    """Random unit vectors: the level of chance."""
    generator = torch.Generator().manual_seed(config.seed)

    def drawn(count: int) -> Tensor:
        return F.normalize(torch.randn(count, _RANDOM_DIMENSION, generator=generator), dim=1)

    image_ID, text_CD = drawn(len(captions.ids)), drawn(len(captions.texts))
    return CaptionBaseline(captions, image_ID, text_CD, lambda texts: drawn(len(texts)))


def ridge_baseline(
    captions: Captions, words: WordVectors, config: EvaluateConfig
) -> CaptionBaseline:
    """Ridge regression from an image's features to the mean of its captions' vectors.

    A caption's vector is the mean of its words' vectors, or the one it comes as; either is centred
    on the training captions. The penalty is the one with the best sum of recalls on validation.
    """
    raw_CW = _raw(captions, words)
    centre_W = raw_CW[captions.captions(TRAIN)].mean(dim=0)
    text_CD = F.normalize(raw_CW - centre_W, dim=1)
    target_ID = _mean_of_captions(captions, text_CD)
    train_N = captions.images(TRAIN)

    def pairs() -> Iterator[tuple[Tensor, Tensor]]:
        return ((captions.features(part), target_ID[part]) for part in chunks(train_N))

    ridge = Ridge.fitted(pairs)

    def placed(index_N: IntArray, weight_FD: Tensor) -> Tensor:
        parts = (captions.features(part) for part in chunks(index_N))
        return torch.cat([ridge.vectors(feature_BF, weight_FD) for feature_BF in parts])

    validation_N, within = captions.images(VALIDATION), captions.within(VALIDATION)
    heard_CD = text_CD[captions.captions(VALIDATION)]

    def value(weight_FD: Tensor) -> float:
        space = CaptionSpace(placed(validation_N, weight_FD), heard_CD, within, "cosine")
        return recall_sum(caption_tasks(space))

    weight_FD = ridge.best(config.ridge_strengths, value)

    def vectors_of(texts: Sequence[str]) -> Tensor:
        return F.normalize(_means(texts, words) - centre_W, dim=1)

    image_ID = placed(np.arange(len(captions.ids)), weight_FD)
    return CaptionBaseline(captions, image_ID, text_CD, vectors_of)


CAPTION_BASELINES: dict[str, Callable[[Captions, WordVectors, EvaluateConfig], CaptionBaseline]] = {
    "random": random_baseline,
    "ridge to texts": ridge_baseline,
}


def _raw(captions: Captions, words: WordVectors) -> Tensor:
    """The captions' vectors as they come, or the means of their words'."""
    if captions.text_CF is not None:
        return torch.from_numpy(captions.text_CF)
    return _means(captions.texts, words)


def _means(texts: Sequence[str], words: WordVectors) -> Tensor:
    return torch.from_numpy(np.stack([words.phrase(text) for text in texts]))


def _mean_of_captions(captions: Captions, text_CD: Tensor) -> Tensor:
    """The mean of the vectors of each image's captions."""
    image_C = torch.tensor(captions.image_C)
    total_ID = text_CD.new_zeros(len(captions.ids), text_CD.shape[1])
    total_ID.index_add_(0, image_C, text_CD)
    return total_ID / torch.bincount(image_C, minlength=len(captions.ids))[:, None]
