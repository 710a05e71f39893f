"""A world small enough for plain loops: held-out relationships and an unseen source."""

import numpy as np
import pytest
import torch

from mmkrl.data.splits.names import TEST, TRAIN, UNSEEN_SOURCE, VALIDATION
from mmkrl.data.views.knowledge import Images, Knowledge, Relationships

WORDS, FEATURES = 5, 9
_BY_SPLIT = {
    TEST: ["s0 p0 o0", "s0 p0 o1", "s1 p1 o2", "s1 p1 o3"],
    VALIDATION: ["s2 p0 o0", "s2 p1 o1", "s3 p0 o2"],
    TRAIN: [
        *("s0 p0 o2", "s0 p1 o0", "s1 p0 o1", "s1 p0 o3"),
        *("s2 p0 o1", "s2 p1 o2", "s3 p1 o0", "s3 p0 o3"),
    ],
}
ONLY_UNSEEN = ("s1", "p1", "o3")  # held out, and all its images are of the unseen source


def _relationships(generator) -> Relationships:
    rows = sorted((tuple(t.split()), split) for split, texts in _BY_SPLIT.items() for t in texts)
    texts = [text for text, _ in rows]
    parts = sorted({part for text in texts for part in text})
    part_R3 = np.array([[parts.index(part) for part in text] for text in texts])
    word_PW = generator.normal(size=(len(parts), WORDS)).astype(np.float32) + 1
    split = np.array([split for _, split in rows])
    ids = [f"r{n:02}" for n in range(len(rows))]
    return Relationships(ids, texts, split, part_R3, parts, torch.from_numpy(word_PW[part_R3]))


def _shown(relationships) -> list[tuple[int, str]]:
    """Label and split of every image: three of each, and two of the unseen source."""
    shown = []
    for label, (text, split) in enumerate(
        zip(relationships.texts, relationships.split, strict=True)
    ):
        shown += [(label, split)] * (3 if text != ONLY_UNSEEN else 0) + [(label, UNSEEN_SOURCE)] * 2
    return shown


@pytest.fixture(scope="session")
def knowledge() -> Knowledge:
    """Images of every split lie mixed; the third feature never changes."""
    generator = np.random.default_rng(5)
    relationships = _relationships(generator)
    shown = _shown(relationships)
    shown = [shown[n] for n in generator.permutation(len(shown))]
    label_N = np.array([label for label, _ in shown])
    split = np.array([split for _, split in shown])
    map_WF = generator.normal(size=(3 * WORDS, FEATURES))
    feature_NF = relationships.word_R3W.flatten(1).numpy()[label_N] @ map_WF
    feature_NF += generator.normal(size=feature_NF.shape) * 2
    feature_NF[:, 2] = 0.25
    count = len(shown)
    images = Images(
        ids=[f"i{n:02}" for n in range(count)],
        label_N=label_N,
        split=split,
        source=np.where(split == UNSEEN_SOURCE, "unseen", "web"),
        row_N=np.arange(count)[::-1].copy(),
        feature_MD=feature_NF.astype(np.float16)[::-1].copy(),
    )
    return Knowledge(relationships, images)


@pytest.fixture(scope="session")
def without_unseen(knowledge) -> Knowledge:
    """The same world before anyone set a source aside."""
    images = knowledge.images
    kept = np.flatnonzero(images.split != UNSEEN_SOURCE)
    fewer = Images(
        [images.ids[i] for i in kept],
        images.label_N[kept],
        images.split[kept],
        images.source[kept],
        images.row_N[kept],
        images.feature_MD,
    )
    return Knowledge(knowledge.relationships, fewer)
