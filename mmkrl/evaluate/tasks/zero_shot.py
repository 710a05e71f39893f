"""The zero-shot tasks: how well a space represents relationships it was never shown.

All pools are held-out relationships and their images unless a task says otherwise. A method is
seen here as two tables of vectors; where they come from does not matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mmkrl.data.splits.names import TEST, TRAIN, UNSEEN_SOURCE
from mmkrl.data.splits.shared_images import SEEN
from mmkrl.data.views.knowledge import Knowledge
from mmkrl.evaluate.metrics.metric import Metric, measure
from mmkrl.evaluate.metrics.ranking import ndcg, retrieval_metrics
from mmkrl.evaluate.metrics.recognition import recognition
from mmkrl.evaluate.metrics.registry import metrics
from mmkrl.evaluate.metrics.relevance import SharedSlots
from mmkrl.evaluate.tasks.pools import Pool
from mmkrl.evaluate.tasks.values import TaskValues

RETRIEVAL = ("mAP", "median rank", "P@10", "R@1", "R@5", "R@10")
"""Metrics of the tasks that retrieve."""
RECOGNITION = ("top-1", "top-5", "top-10")
"""Metrics of the tasks that recognise."""
GRADED = "NDCG@10"
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


def zero_shot_tasks(
    knowledge: Knowledge, space: Space, split: str = TEST, further: Sequence[Metric] = ()
) -> dict[str, TaskValues]:
    """Every task's values for a space, by task name.

    Queries that are texts are asked at the position of their relationship, those that are images
    at the position of their row.

    Args:
        knowledge: Relationships and images.
        space: Vectors of the method.
        split: Whose images and relationships; of any other than the test, those tasks alone that
            need nothing but them.
        further: Metrics that every task measures besides its own.
    """
    method = _Method(knowledge, space, tuple(further))
    pool = Pool.of(knowledge, split)
    tasks = dict(_held_out(method, pool))
    if split == TEST:
        tasks |= dict(_of_unseen_source(method, pool))
        tasks |= dict(_of_shared_images(method))
    return tasks


@dataclass(frozen=True)
class _Method:
    """What is measured, on which data, by which further metrics."""

    knowledge: Knowledge
    space: Space
    further: tuple[Metric, ...]

    @property
    def retrieval(self) -> tuple[Metric, ...]:
        return (*metrics(*RETRIEVAL), *self.further)

    @property
    def recognition(self) -> tuple[Metric, ...]:
        return (*metrics(*RECOGNITION), *self.further)


def _held_out(method: _Method, pool: Pool) -> Iterator[tuple[str, TaskValues]]:
    yield "text-image", _text_image(method, pool)
    yield "image-text", _image_text(method, pool)
    yield "image-image", _image_image(method, pool)
    yield "text-text", _text_text(method, pool)
    yield "recognition", _recognition(method, pool, pool.label_R, "unseen relationships")


def _of_unseen_source(method: _Method, pool: Pool) -> Iterator[tuple[str, TaskValues]]:
    knowledge = method.knowledge
    unseen = Pool.of(knowledge, UNSEEN_SOURCE, relationships=TEST)
    if not len(unseen.label_N):
        return
    # A relationship may have images of the unseen source alone; it is a candidate all the same.
    held_C = torch.cat([pool.label_R, unseen.label_R]).unique()
    yield "text-image, unseen source", _text_image(method, unseen)
    recognised = _recognition(method, unseen, held_C, "unseen relationships")
    yield "recognition, unseen source", recognised
    seen = Pool.of(knowledge, UNSEEN_SOURCE, relationships=TRAIN)
    if not len(seen.label_N):
        return
    every_C = torch.cat([seen.label_R, held_C]).unique()
    yield "generalised, unseen", _recognition(method, unseen, every_C, _EVERY)
    yield "generalised, seen", _recognition(method, seen, every_C, _EVERY)


def _of_shared_images(method: _Method) -> Iterator[tuple[str, TaskValues]]:
    """The generalised tasks where held-out images show training relationships as well."""
    knowledge = method.knowledge
    both = Pool.of(knowledge, TEST, TEST + SEEN)
    unseen_N = torch.from_numpy(knowledge.relationships.split == TEST)[both.label_N]
    if unseen_N.all():
        return
    candidate = np.isin(knowledge.relationships.split, [TRAIN, TEST])
    every_C = torch.from_numpy(np.flatnonzero(candidate))
    every = _recognition(method, both, every_C, _EVERY)
    yield "generalised, unseen", _subset(every, unseen_N.numpy())
    yield "generalised, seen", _subset(every, ~unseen_N.numpy())


def _subset(task: TaskValues, kept_Q: npt.NDArray[np.bool_]) -> TaskValues:
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


def _text_image(method: _Method, pool: Pool) -> TaskValues:
    found = retrieval_metrics(
        method.space.text_RD[pool.label_R],
        method.space.image_ND[pool.image_U],
        relevance=pool.images_of_texts,
        metrics=method.retrieval,
    )
    groups = pool.label_R.numpy()[found.query_index]
    definition = "an image of the query's relationship"
    sizes = len(pool.label_R), len(pool.image_U)
    return TaskValues(found.values, groups, definition, *sizes, asked=groups)


def _image_text(method: _Method, pool: Pool) -> TaskValues:
    found = retrieval_metrics(
        method.space.image_ND[pool.image_U],
        method.space.text_RD[pool.label_R],
        relevance=pool.texts_of_images,
        metrics=method.retrieval,
    )
    groups, asked = (own_U.numpy()[found.query_index] for own_U in (pool.label_U, pool.image_U))
    definition = "a relationship the query image shows"
    sizes = len(pool.image_U), len(pool.label_R)
    return TaskValues(found.values, groups, definition, *sizes, asked=asked)


def _image_image(method: _Method, pool: Pool) -> TaskValues:
    image_UD = method.space.image_ND[pool.image_U]
    found = retrieval_metrics(
        image_UD,
        image_UD,
        relevance=pool.images_of_images,
        metrics=method.retrieval,
        exclude_self=torch.arange(len(image_UD)),
    )
    groups, asked = (own_U.numpy()[found.query_index] for own_U in (pool.label_U, pool.image_U))
    definition = "another image that shows one of its relationships"
    sizes = len(pool.image_U), len(pool.image_U) - 1
    return TaskValues(found.values, groups, definition, *sizes, asked=asked)


def _text_text(method: _Method, pool: Pool) -> TaskValues:
    text_RD = method.space.text_RD[pool.label_R]
    slot_R3 = torch.from_numpy(method.knowledge.relationships.part_R3)[pool.label_R]
    relevance = SharedSlots(slot_R3, slot_R3)
    itself = torch.arange(len(text_RD))
    found = retrieval_metrics(
        text_RD, text_RD, relevance=relevance, metrics=method.retrieval, exclude_self=itself
    )
    graded = ndcg(text_RD, text_RD, relevance=relevance, exclude_self=itself)
    gains = np.full(len(text_RD), np.nan)
    gains[graded.query_index] = graded.ndcg
    values = found.values | {GRADED: gains[found.query_index]}
    groups = pool.label_R.numpy()[found.query_index]
    definition = "a relationship that shares two of the three slots (NDCG: gain is shared slots)"
    return TaskValues(values, groups, definition, len(text_RD), len(text_RD) - 1, asked=groups)


def _recognition(method: _Method, pool: Pool, candidate_C: Tensor, among: str) -> TaskValues:
    """Recognition of what each image of a pool shows; its other right answers are left out."""
    ranking = recognition(
        method.space.image_ND[pool.image_U[pool.place_N]],
        method.space.text_RD[candidate_C],
        target_Q=torch.searchsorted(candidate_C, pool.label_N),
        right=pool.right(candidate_C),
    )
    return TaskValues(
        measure(ranking, method.recognition),
        pool.label_N.numpy(),
        f"the image's relationship among {len(candidate_C)} {among}; averaged over images",
        len(pool.label_N),
        len(candidate_C),
        asked=pool.image_U[pool.place_N].numpy(),
    )
