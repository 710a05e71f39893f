"""A small world: parts with word vectors, relationships of them, images that show them."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from mmkrl.data.splits.zero_shot import SplitConfig, Triple, split_pairs
from mmkrl.data.views.knowledge import Images, Knowledge, Relationships
from mmkrl.models.bcdnn.config import BCDNNConfig
from mmkrl.models.bcdnn.learner import BCDNNLearner
from mmkrl.train.config import LoopConfig

RELATIONSHIPS, IMAGES_EACH, WORDS, FEATURES = 40, 6, 12, 16


@pytest.fixture(scope="session")
def knowledge() -> Knowledge:
    generator = np.random.default_rng(7)
    parts = [f"{kind}{i}" for kind, count in (("o", 8), ("p", 3), ("s", 8)) for i in range(count)]
    word_PW = generator.normal(size=(len(parts), WORDS)).astype(np.float32)
    code_R = np.sort(generator.choice(8 * 3 * 8, RELATIONSHIPS, replace=False))
    part_R3 = np.stack([11 + code_R // 24, 8 + code_R // 8 % 3, code_R % 8], axis=1)
    texts = [tuple(parts[i] for i in row) for row in part_R3]
    triples = [Triple(s, p, o, f"{s}|{o}") for s, p, o in texts]
    pairs = split_pairs(triples, SplitConfig(test=0.15, validation=0.2, seed=1))
    split = np.array([pairs[triple.pair] for triple in triples])
    word_R3W = torch.from_numpy(word_PW[part_R3])
    relationships = Relationships(
        [f"r{i:02}" for i in range(RELATIONSHIPS)], texts, split, part_R3, parts, word_R3W
    )
    label_N = np.repeat(np.arange(RELATIONSHIPS), IMAGES_EACH)
    map_WF = generator.normal(size=(3 * WORDS, FEATURES)) / 6
    shown_NF = word_R3W.reshape(RELATIONSHIPS, -1).numpy()[label_N] @ map_WF
    feature_NF = (shown_NF + generator.normal(size=shown_NF.shape) * 0.3).astype(np.float16)
    count = len(label_N)
    images = Images(
        ids=[f"i{i:03}" for i in range(count)],
        label_N=label_N,
        split=split[label_N],
        source=np.full(count, "made"),
        row_N=np.arange(count)[::-1].copy(),
        feature_MD=feature_NF[::-1].copy(),
    )
    return Knowledge(relationships, images)


@pytest.fixture(scope="session")
def small() -> Callable[..., BCDNNConfig]:
    """A configuration that trains in a second, with some fields replaced."""

    def make(**fields) -> BCDNNConfig:
        sizes = {"dimension": 16, "hidden": 24, "dropout": 0.2, "pool": 20, "top_k": 4}
        steps = {"rounds": 2, "text_steps": 12, "image_steps": 20, "cross_modal_weight": 1.0}
        return BCDNNConfig(**(sizes | steps | fields))

    return make


@pytest.fixture(scope="session")
def loop_config() -> LoopConfig:
    """The norm limit is low enough that clipping is at work in every step."""
    return LoopConfig(clip_norm=0.05, checkpoint_steps=5, log_steps=1)


@pytest.fixture(scope="session")
def make_learner(knowledge, small) -> Callable[..., BCDNNLearner]:
    """A learner with freshly drawn weights, the same at every call of the same seed."""

    def make(variant="full", *, seed=0, batch_size=16, **fields) -> BCDNNLearner:
        torch.manual_seed(seed)
        return BCDNNLearner(knowledge, small(variant=variant, batch_size=batch_size, **fields))

    return make
