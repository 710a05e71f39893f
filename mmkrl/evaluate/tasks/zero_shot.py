"""The zero-shot tasks: how well a space represents relationships it was never shown.

All pools are held-out relationships and their images unless a task says otherwise. A method is
seen here as two tables of vectors; where they come from does not matter.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mmkrl.data.splits.names import TEST, TRAIN, UNSEEN_SOURCE
from mmkrl.data.splits.shared_images import SEEN
from mmkrl.data.views.knowledge import Knowledge
from mmkrl.evaluate.metrics.ranking import ndcg, retrieval_metrics
from mmkrl.evaluate.metrics.recognition import recognition
from mmkrl.evaluate.metrics.relevance import SharedSlots
from mmkrl.evaluate.tasks.pools import Pool
from mmkrl.evaluate.tasks.values import TaskValues, Values

_EVERY = "seen and unseen relationships"


@dataclass(frozen=True)
class Space:
    """Vectors of one method.

    Attributes:
        text_RD: Unit vector of every relationship.
        image_ND: Unit vector of every image (rows of training images may be anything).
    """

    text_RD: Tensor
    image_ND: Tensor


def zero_shot_tasks(knowledge: Knowledge, space: Space, split: str = TEST) -> dict[str, TaskValues]:
    """Every task's values for a space, by task name.

    Queries that are texts are asked at the position of their relationship, those that are images
    at the position of their row.

    Args:
        knowledge: Relationships and images.
        space: Vectors of the method.
        split: Whose images and relationships; of any other than the test, those tasks alone that
            need nothing but them.
    """
    pool = Pool.of(knowledge, split)
    tasks = dict(_held_out(knowledge, space, pool))
    if split == TEST:
        tasks |= dict(_of_unseen_source(knowledge, space, pool))
        tasks |= dict(_of_shared_images(knowledge, space))
    return tasks


def _held_out(knowledge: Knowledge, space: Space, pool: Pool) -> Iterator[tuple[str, TaskValues]]:
    yield "text-image", _text_image(space, pool)
    yield "image-text", _image_text(space, pool)
    yield "image-image", _image_image(space, pool)
    yield "text-text", _text_text(knowledge, space, pool)
    yield "recognition", _recognition(space, pool, pool.label_R, "unseen relationships")


def _of_unseen_source(
    knowledge: Knowledge, space: Space, pool: Pool
) -> Iterator[tuple[str, TaskValues]]:
    unseen = Pool.of(knowledge, UNSEEN_SOURCE, relationships=TEST)
    if not len(unseen.label_N):
        return
    # A relationship may have images of the unseen source alone; it is a candidate all the same.
    held_C = torch.cat([pool.label_R, unseen.label_R]).unique()
    yield "text-image, unseen source", _text_image(space, unseen)
    yield (
        "recognition, unseen source",
        _recognition(space, unseen, held_C, "unseen relationships"),
    )
    seen = Pool.of(knowledge, UNSEEN_SOURCE, relationships=TRAIN)
    if not len(seen.label_N):
        return
    every_C = torch.cat([seen.label_R, held_C]).unique()
    yield "generalised, unseen", _recognition(space, unseen, every_C, _EVERY)
    yield "generalised, seen", _recognition(space, seen, every_C, _EVERY)


def _of_shared_images(knowledge: Knowledge, space: Space) -> Iterator[tuple[str, TaskValues]]:
    """The generalised tasks where held-out images show training relationships as well."""
    both = Pool.of(knowledge, TEST, TEST + SEEN)
    unseen_N = torch.from_numpy(knowledge.relationships.split == TEST)[both.label_N]
    if unseen_N.all():
        return
    candidate = np.isin(knowledge.relationships.split, [TRAIN, TEST])
    every_C = torch.from_numpy(np.flatnonzero(candidate))
    every = _recognition(space, both, every_C, _EVERY)
    yield "generalised, unseen", _some(every, unseen_N.numpy())
    yield "generalised, seen", _some(every, ~unseen_N.numpy())


def _some(task: TaskValues, kept_Q: npt.NDArray[np.bool_]) -> TaskValues:
    """A task with some of its queries."""
    values = {name: value[kept_Q] for name, value in task.values.items()}
    assert task.asked is not None
    return replace(
        task,
        values=values,
        groups=task.groups[kept_Q],
        asked=task.asked[kept_Q],
        queries=int(kept_Q.sum()),
    )


def _text_image(space: Space, pool: Pool) -> TaskValues:
    metrics = retrieval_metrics(
        space.text_RD[pool.label_R],
        space.image_ND[pool.image_U],
        relevance=pool.images_of_texts,
    )
    groups = pool.label_R.numpy()[metrics.query_index]
    definition = "an image of the query's relationship"
    sizes = len(pool.label_R), len(pool.image_U)
    return TaskValues(_named(metrics.per_query()), groups, definition, *sizes, asked=groups)


def _image_text(space: Space, pool: Pool) -> TaskValues:
    metrics = retrieval_metrics(
        space.image_ND[pool.image_U],
        space.text_RD[pool.label_R],
        relevance=pool.texts_of_images,
    )
    groups, asked = (own_U.numpy()[metrics.query_index] for own_U in (pool.label_U, pool.image_U))
    definition = "a relationship the query image shows"
    sizes = len(pool.image_U), len(pool.label_R)
    return TaskValues(_named(metrics.per_query()), groups, definition, *sizes, asked=asked)


def _image_image(space: Space, pool: Pool) -> TaskValues:
    image_UD = space.image_ND[pool.image_U]
    metrics = retrieval_metrics(
        image_UD,
        image_UD,
        relevance=pool.images_of_images,
        exclude_self=torch.arange(len(image_UD)),
    )
    groups, asked = (own_U.numpy()[metrics.query_index] for own_U in (pool.label_U, pool.image_U))
    definition = "another image that shows one of its relationships"
    sizes = len(pool.image_U), len(pool.image_U) - 1
    return TaskValues(_named(metrics.per_query()), groups, definition, *sizes, asked=asked)


def _text_text(knowledge: Knowledge, space: Space, pool: Pool) -> TaskValues:
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
    return TaskValues(values, groups, definition, len(text_RD), len(text_RD) - 1, asked=groups)


def _recognition(space: Space, pool: Pool, candidate_C: Tensor, among: str) -> TaskValues:
    """Recognition of what each image of a pool shows; its other right answers are left out."""
    hits = recognition(
        space.image_ND[pool.image_U[pool.place_N]],
        space.text_RD[candidate_C],
        target_Q=torch.searchsorted(candidate_C, pool.label_N),
        right=pool.right(candidate_C),
    )
    values = {f"top-{k}": hit for k, hit in hits.hit_at.items()}
    return TaskValues(
        values,
        pool.label_N.numpy(),
        f"the image's relationship among {len(candidate_C)} {among}; averaged over images",
        len(pool.label_N),
        len(candidate_C),
        asked=pool.image_U[pool.place_N].numpy(),
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
