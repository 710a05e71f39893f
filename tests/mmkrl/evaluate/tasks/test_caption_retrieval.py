"""Caption retrieval against plain loops: ties, many captions an image, images without captions."""

from __future__ import annotations

import itertools
from statistics import fmean

import numpy as np
import pytest
import torch

from mmkrl.errors import UserError
from mmkrl.evaluate.metrics.ranking import retrieval_metrics
from mmkrl.evaluate.metrics.registry import metrics
from mmkrl.evaluate.metrics.relevance import SameLabel
from mmkrl.evaluate.tasks.caption_retrieval import (
    IMAGE_TEXT,
    TEXT_IMAGE,
    CaptionSpace,
    caption_tasks,
    recall_sum,
)
from tests.mmkrl.evaluate.plain_triples import plain_score

METRICS = {"cosine": "dot", "order": "order"}
NAMES = ("R@1", "R@5", "R@10", "median rank", "mean rank", "mAP")


def random_space(*, captions, images, width, measure="cosine", whole=True, seed=0):
    """Image and caption vectors; whole numbers tie often. Captions lie in no order."""
    generator = np.random.default_rng(seed)
    image_C = generator.permutation(np.repeat(np.arange(images), captions))
    shape = images + len(image_C), width
    rows = generator.integers(-1, 2, shape) if whole else generator.normal(size=shape)
    vector_ND = torch.from_numpy(rows.astype(np.float32))
    return CaptionSpace(vector_ND[:images], vector_ND[images:], image_C, measure)


def score(space, image, caption):
    """A caption lies below its image: it is the candidate, in both directions."""
    vectors = space.image_ID[image].tolist(), space.text_CD[caption].tolist()
    return plain_score(METRICS[space.measure], *vectors)


def plain_values(scores, right):
    """Means over all orders of the gallery, of which equal scores keep theirs."""
    found = []
    for order in itertools.permutations(range(len(scores))):
        ranked = sorted(order, key=lambda item: -scores[item])
        ranks = [rank for rank, item in enumerate(ranked, start=1) if item in right]
        precisions = [n / rank for n, rank in enumerate(ranks, start=1)]
        found.append([ranks[0], ranks[0] <= 1, ranks[0] <= 5, fmean(precisions)])
    return [fmean(column) for column in zip(*found, strict=True)]


def as_rows(task):
    return np.stack([task.values[name] for name in ("mean rank", "R@1", "R@5", "mAP")], axis=1)


@pytest.mark.parametrize("measure", METRICS)
@pytest.mark.parametrize("captions", [[1, 1, 1], [3, 2, 1], [7], [0, 4, 2], [2, 0, 0, 1, 3]])
def test_values_equal_plain_loops(measure, captions):
    space = random_space(captions=captions, images=len(captions), width=3, measure=measure)
    tasks = caption_tasks(space, chunk=2)
    images, texts = range(len(captions)), range(len(space.image_C))
    rows = [
        plain_values([score(space, i, c) for c in texts], np.flatnonzero(space.image_C == i))
        for i in images
        if captions[i]
    ]
    np.testing.assert_allclose(as_rows(tasks[IMAGE_TEXT]), rows, rtol=1e-12)
    rows = [plain_values([score(space, i, c) for i in images], [space.image_C[c]]) for c in texts]
    np.testing.assert_allclose(as_rows(tasks[TEXT_IMAGE]), rows, rtol=1e-12)


def test_images_without_captions_are_counted_and_have_no_rank():
    tasks = caption_tasks(random_space(captions=[2, 0, 1, 0], images=4, width=3))
    annotation, search = tasks[IMAGE_TEXT], tasks[TEXT_IMAGE]
    assert annotation.groups.tolist() == [0, 2]
    assert (annotation.queries, annotation.gallery) == (4, 3)
    assert (search.queries, search.gallery) == (3, 4)
    assert sorted(search.groups) == [0, 0, 2]


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_values_equal_those_of_the_general_ranking(whole, chunk):
    captions = np.random.default_rng(3).integers(0, 8, 60)
    space = random_space(captions=captions, images=60, width=8, whole=whole)
    tasks = caption_tasks(space, chunk=chunk)
    label_C, label_I = torch.from_numpy(space.image_C), torch.arange(60)
    vectors = [(space.image_ID, label_I), (space.text_CD, label_C)]
    for task, sides in ((IMAGE_TEXT, vectors), (TEXT_IMAGE, vectors[::-1])):
        (query_QD, label_Q), (gallery_GD, label_G) = sides
        relevance = SameLabel(label_Q, label_G)
        expected = retrieval_metrics(
            query_QD, gallery_GD, relevance=relevance, metrics=metrics(*NAMES)
        ).values
        found = tasks[task].values
        assert found.keys() == expected.keys()
        np.testing.assert_allclose(found["mean rank"], expected["mean rank"], rtol=1e-12)
        np.testing.assert_allclose(found["median rank"], expected["mean rank"], rtol=1e-12)
        np.testing.assert_allclose(found["mAP"], expected["mAP"], rtol=1e-9)
        for k in (1, 5, 10):
            np.testing.assert_allclose(found[f"R@{k}"], expected[f"R@{k}"], atol=1e-12)


def test_equal_captions_tie_wherever_they_stand():
    """Two images that have the same captions: no direction can tell them apart."""
    space = random_space(captions=[3] * 40, images=40, width=33, whole=False)
    order_C = np.argsort(space.image_C)
    text_CD = torch.cat([space.text_CD[order_C], space.text_CD[order_C]])
    image_ID = torch.cat([space.image_ID, space.image_ID])
    image_C = np.repeat(np.arange(80), 3)
    once = caption_tasks(CaptionSpace(space.image_ID, space.text_CD[order_C], image_C[:120]))
    twice = caption_tasks(CaptionSpace(image_ID, text_CD, image_C))
    rank_C = once[TEXT_IMAGE].values["mean rank"]
    expected_C = 2 * (rank_C - 1) + 1.5
    np.testing.assert_array_equal(
        twice[TEXT_IMAGE].values["mean rank"], np.concatenate([expected_C, expected_C])
    )


def test_the_sum_of_recalls():
    space = random_space(captions=[5] * 30, images=30, width=2)
    tasks = caption_tasks(space)
    expected = sum(
        float(np.mean(tasks[name].values[f"R@{k}"])) for name in tasks for k in (1, 5, 10)
    )
    assert recall_sum(tasks) == pytest.approx(100 * expected)
    eye = torch.eye(30)
    assert recall_sum(caption_tasks(CaptionSpace(eye, eye, np.arange(30)))) == 600


VECTORS = torch.ones(2, 3)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((VECTORS, torch.ones(2, 4), np.array([0, 1])), "images have 3 dimensions, captions 4"),
        ((VECTORS, VECTORS, np.array([0, 2])), "caption 1 is of image 2: there are 2 images"),
        ((VECTORS, VECTORS, np.array([-1, 0])), "caption 0 is of image -1"),
        ((VECTORS, VECTORS, np.array([0])), r"2 captions, but the images of \(1,\)"),
        ((VECTORS, VECTORS * torch.nan, np.array([0, 1])), "captions: 2 of 2 vectors hold NaN"),
        ((VECTORS[:0], VECTORS, np.array([0, 1])), "images: none"),
        ((VECTORS[0], VECTORS, np.array([0, 1])), "images: shape"),
    ],
)
def test_what_cannot_be_ranked_is_said_in_one_line(arguments, said):
    with pytest.raises(UserError, match=said):
        CaptionSpace(*arguments)
