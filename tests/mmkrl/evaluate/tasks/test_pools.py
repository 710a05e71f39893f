"""Images that show several relationships are right for each of them, as plain loops say."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmkrl.data.splits.names import TEST, TRAIN
from mmkrl.data.views.knowledge import Images, Knowledge, Relationships
from mmkrl.evaluate.tasks.pools import Pool
from mmkrl.evaluate.tasks.zero_shot import Space, zero_shot_tasks

TEST_SEEN = "test_seen"
SPLITS = [TRAIN, TEST, TEST, TRAIN, TEST, TRAIN]


@pytest.fixture(scope="module")
def knowledge() -> Knowledge:
    """Thirty images show one to three of six relationships; the later ones are held out."""
    source = random.Random(3)
    pairs = []
    for image in range(30):
        for label in sorted(source.sample(range(6), source.randint(1, 3))):
            own = SPLITS[label]
            if image < 8 and own == TRAIN:
                pairs.append((label, f"i{image:02}", TRAIN))
            elif image >= 8:
                pairs.append((label, f"i{image:02}", TEST if own == TEST else TEST_SEEN))
    pairs = [p for p in pairs if p[2] == TRAIN or any(q[1:] == (p[1], TEST) for q in pairs)]
    pairs.sort()
    slots = np.array([[n % 2, 2 + n % 2, 4 + n] for n in range(6)])
    parts = ["s0", "s1", "p0", "p1", *(f"o{n}" for n in range(6))]
    texts = [tuple(parts[part] for part in row) for row in slots]
    ids = [f"r{n}" for n in range(6)]
    relationships = Relationships(ids, texts, np.array(SPLITS), slots, parts, torch.zeros(6, 3, 2))
    images = Images(
        ids=[image for _, image, _ in pairs],
        label_N=np.array([label for label, _, _ in pairs]),
        split=np.array([split for _, _, split in pairs]),
        source=np.full(len(pairs), "web"),
        row_N=np.arange(len(pairs)),
        feature_MD=np.zeros((len(pairs), 2), np.float16),
    )
    return Knowledge(relationships, images)


@pytest.fixture(scope="module")
def space(knowledge) -> Space:
    """Random vectors, the same for all rows of an image."""
    generator = torch.Generator().manual_seed(0)
    vector = {
        image: torch.randn(4, generator=generator) for image in sorted(set(knowledge.images.ids))
    }
    image_ND = torch.stack([vector[image] for image in knowledge.images.ids])
    text_RD = torch.randn(6, 4, generator=generator)
    return Space(F.normalize(text_RD, dim=1), F.normalize(image_ND, dim=1))


def shown(knowledge, *splits) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    images = knowledge.images
    for image, label, split in zip(images.ids, images.label_N, images.split, strict=True):
        if split in splits:
            found.setdefault(image, set()).add(int(label))
    return found


def vector(knowledge, space, image):
    return space.image_ND[knowledge.images.ids.index(image)]


def average_precision(scores, right) -> float:
    order = np.argsort([-score for score in scores])
    hits = [right[n] for n in order]
    return float(np.mean([sum(hits[: n + 1]) / (n + 1) for n, hit in enumerate(hits) if hit]))


def test_a_pool_has_each_image_once(knowledge):
    pool, expected = Pool.of(knowledge, TEST), shown(knowledge, TEST)
    ids = [knowledge.images.ids[n] for n in pool.image_U.tolist()]
    assert sorted(ids) == sorted(expected)
    assert max(map(len, expected.values())) > 1
    shows_UR = pool.shows().toarray()
    for image, row in zip(ids, shows_UR, strict=True):
        assert {int(pool.label_R[n]) for n in np.flatnonzero(row)} == expected[image]


def test_retrieval_equals_a_loop(knowledge, space):
    tasks, expected = zero_shot_tasks(knowledge, space), shown(knowledge, TEST)
    ids = list(dict.fromkeys(i for i in knowledge.images.ids if i in expected))
    labels = sorted(set.union(*expected.values()))
    image_UD = torch.stack([vector(knowledge, space, image) for image in ids])
    score_RU = (space.text_RD[labels] @ image_UD.T).tolist()
    found = sorted(tasks["text-image"].values["mAP"].tolist())
    loop = [
        average_precision(row, [label in expected[image] for image in ids])
        for label, row in zip(labels, score_RU, strict=True)
    ]
    np.testing.assert_allclose(found, sorted(loop), rtol=1e-6)
    score_UR = np.array(score_RU).T
    loop = [
        average_precision(row, [label in expected[image] for label in labels])
        for image, row in zip(ids, score_UR, strict=True)
    ]
    np.testing.assert_allclose(sorted(tasks["image-text"].values["mAP"]), sorted(loop), rtol=1e-6)
    score_UU = (image_UD @ image_UD.T).tolist()
    loop = []
    for query, row in zip(ids, score_UU, strict=True):
        others = [n for n, image in enumerate(ids) if image != query]
        right = [bool(expected[ids[n]] & expected[query]) for n in others]
        loop += [average_precision([row[n] for n in others], right)] if any(right) else []
    np.testing.assert_allclose(sorted(tasks["image-image"].values["mAP"]), sorted(loop), rtol=1e-6)


@pytest.mark.parametrize(
    ("task", "asked", "candidates"),
    [
        ("recognition", (TEST,), [1, 2, 4]),
        ("generalised, unseen", (TEST,), range(6)),
        ("generalised, seen", (TEST_SEEN,), range(6)),
    ],
)
def test_recognition_leaves_other_right_answers_out(knowledge, space, task, asked, candidates):
    right = shown(knowledge, *((TEST,) if task == "recognition" else (TEST, TEST_SEEN)))
    loop = []
    for image, labels in shown(knowledge, *asked).items():
        score_R = (space.text_RD @ vector(knowledge, space, image)).tolist()
        for label in labels:
            wrong = set(candidates) - right[image]
            loop.append(float(all(score_R[label] > score_R[other] for other in wrong)))
    values = zero_shot_tasks(knowledge, space)[task].values["top-1"]
    np.testing.assert_allclose(sorted(values), sorted(loop))
    assert 0 < np.mean(loop) < 1
