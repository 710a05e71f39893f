"""From a trained member to a space that can be asked."""

from __future__ import annotations

import numpy as np

from mmkrl.data.views.knowledge import Knowledge
from mmkrl.data.views.words import WordVectors
from mmkrl.encoders.config import ExtractConfig
from mmkrl.models.bcdnn.learner import BCDNNLearner
from mmkrl.spaces.space import KnowledgeSpace

_FREQUENT_WORDS = 50_000  # kept so that queries may use words no relationship has


def build_space(
    learner: BCDNNLearner, knowledge: Knowledge, words: WordVectors, extract: ExtractConfig
) -> KnowledgeSpace:
    """The space of a trained learner, with every image of the knowledge as its gallery.

    Args:
        learner: Trained.
        knowledge: What it was trained on.
        words: The word vectors it was trained with.
        extract: How its features were made.
    """
    texts = knowledge.relationships.texts
    every = np.arange(len(knowledge.images.ids))
    _, first = np.unique(knowledge.images.row_N, return_index=True)  # an image once
    image_ND = learner.image_vectors(every[np.sort(first)]).cpu()
    return KnowledgeSpace(
        learner.module.cpu(),
        words.restricted((part for text in texts for part in text), _FREQUENT_WORDS),
        texts,
        ([knowledge.images.ids[i] for i in np.sort(first)], image_ND),
        extract,
    )
