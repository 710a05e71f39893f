"""The zero-shot tasks: how well a space represents relationships it was never shown.

All pools are held-out relationships and their images unless a task says otherwise. A method is
seen here as two tables of vectors; where they come from does not matter.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mmkrl.data.knowledge import Knowledge
from mmkrl.data.splits import TEST, TRAIN, UNSEEN_SOURCE
from mmkrl.evaluate.ranking import ndcg, retrieval_metrics
from mmkrl.evaluate.recognition import recognition
from mmkrl.evaluate.relevance import SameLabel, SharedSlots
from mmkrl.evaluate.tasks import TaskValues, Values


@dataclass(frozen=True)
class Space:
    """Vectors of one method.

    Attributes:
        text_RD: Unit vector of every relationship.
        image_ND: Unit vector of every image (rows of training images may be anything).
    """

    text_RD: Tensor
    image_ND: Tensor


def zero_shot_tasks(knowledge: Knowledge, space: Space) -> dict[str, TaskValues]:
    """Every task's values for a space, by task name."""
    return dict(_tasks(knowledge, space))


def _tasks(knowledge: Knowledge, space: Space) -> Iterator[tuple[str, TaskValues]]:
    pool = _pool(knowledge, TEST)
    yield "text-image", _text_image(space, pool)
    yield "image-text", _image_text(space, pool)
    yield "image-image", _image_image(space, pool)
    yield "text-text", _text_text(knowledge, space, pool)
    yield "recognition", _recognition(space, pool, pool.label_R, "unseen relationships")
    unseen = _pool(knowledge, UNSEEN_SOURCE, relationships=TEST)
    if not len(unseen.label_N):
        return
    # A relationship may have images of the unseen source alone; it is a candidate all the same.
    held_C = torch.cat([pool.label_R, unseen.label_R]).unique()
    yield "text-image, unseen source", _text_image(space, unseen)
    yield (
        "recognition, unseen source",
        _recognition(space, unseen, held_C, "unseen relationships"),
    )
    seen = _pool(knowledge, UNSEEN_SOURCE, relationships=TRAIN)
    if not len(seen.label_N):
        return
    every_C = torch.cat([seen.label_R, held_C]).unique()
    among = "seen and unseen relationships"
    yield "generalised, unseen", _recognition(space, unseen, every_C, among)
    yield "generalised, seen", _recognition(space, seen, every_C, among)


@dataclass(frozen=True)
class _Pool:
    """Images and the relationships they show."""

    image_N: Tensor  # positions
    label_N: Tensor
    label_R: Tensor  # distinct labels, sorted


def _pool(knowledge: Knowledge, split: str, relationships: str | None = None) -> _Pool:
    images = knowledge.images
    index = images.index(split)
    if relationships is not None:
        index = index[knowledge.relationships.split[images.label_N[index]] == relationships]
    label_N = torch.from_numpy(images.label_N[index])
    return _Pool(torch.from_numpy(index), label_N, label_N.unique())


def _text_image(space: Space, pool: _Pool) -> TaskValues:
    metrics = retrieval_metrics(
        space.text_RD[pool.label_R],
        space.image_ND[pool.image_N],
        relevance=SameLabel(pool.label_R, pool.label_N),
    )
    groups = pool.label_R.numpy()[metrics.query_index]
    definition = "an image of the query's relationship"
    sizes = len(pool.label_R), len(pool.label_N)
    return TaskValues(_named(metrics.per_query()), groups, definition, *sizes)


def _image_text(space: Space, pool: _Pool) -> TaskValues:
    metrics = retrieval_metrics(
        space.image_ND[pool.image_N],
        space.text_RD[pool.label_R],
        relevance=SameLabel(pool.label_N, pool.label_R),
    )
    groups = pool.label_N.numpy()[metrics.query_index]
    definition = "the relationship the query image shows"
    sizes = len(pool.label_N), len(pool.label_R)
    return TaskValues(_named(metrics.per_query()), groups, definition, *sizes)


def _image_image(space: Space, pool: _Pool) -> TaskValues:
    image_ND = space.image_ND[pool.image_N]
    metrics = retrieval_metrics(
        image_ND,
        image_ND,
        relevance=SameLabel(pool.label_N, pool.label_N),
        exclude_self=torch.arange(len(image_ND)),
    )
    groups = pool.label_N.numpy()[metrics.query_index]
    definition = "another image of the same relationship"
    sizes = len(pool.label_N), len(pool.label_N) - 1
    return TaskValues(_named(metrics.per_query()), groups, definition, *sizes)


def _text_text(knowledge: Knowledge, space: Space, pool: _Pool) -> TaskValues:
    text_RD = space.text_RD[pool.label_R]
    slot_R3 = torch.from_numpy(knowledge.relationships.part_R3)[pool.label_R]
    relevance = SharedSlots(slot_R3, slot_R3)
    itself = torch.arange(len(text_RD))
    metrics = retrieval_metrics(text_RD, text_RD, relevance=relevance, exclude_self=itself)
    graded = ndcg(text_RD, text_RD, relevance=relevance, exclude_self=itself)
    gains = np.full(len(text_RD), np.nan)
    gains[graded.query_index] = graded.ndcg
    values = _named(metrics.per_query()) | {"NDCG@10": gains[metrics.query_index]}
    groups = pool.label_R.numpy()[metrics.query_index]
    definition = "a relationship that shares two of the three slots (NDCG: gain is shared slots)"
    return TaskValues(values, groups, definition, len(text_RD), len(text_RD) - 1)


def _recognition(space: Space, pool: _Pool, candidate_C: Tensor, among: str) -> TaskValues:
    target_Q = torch.searchsorted(candidate_C, pool.label_N)
    hits = recognition(space.image_ND[pool.image_N], space.text_RD[candidate_C], target_Q=target_Q)
    values = {f"top-{k}": hit for k, hit in hits.hit_at.items()}
    return TaskValues(
        values,
        pool.label_N.numpy(),
        f"the image's relationship among {len(candidate_C)} {among}; averaged over images",
        len(pool.label_N),
        len(candidate_C),
    )


_NAMES = {
    "average_precision": "mAP",
    "first_rank": "median rank",
    "precision_at_10": "P@10",
    "recall_at_1": "R@1",
    "recall_at_5": "R@5",
    "recall_at_10": "R@10",
}


def _named(values: Values) -> dict[str, npt.NDArray[np.float64]]:
    """The field's usual names for what is reported."""
    return {_NAMES[name]: array for name, array in values.items() if name in _NAMES}
