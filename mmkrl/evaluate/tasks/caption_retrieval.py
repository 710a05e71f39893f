"""Caption retrieval: images find their captions, and captions their images.

An image's rank is that of the best of its captions; a caption has one image (Kiros et al. 2014,
"Unifying visual-semantic embeddings with multimodal neural language models", section 3.1, who call
the two directions image annotation and image search). R@k is the share of queries that find an
answer among the first k, mAP the mean average precision over all captions of an image. Ties count
at their expectation over random orders (:mod:`mmkrl.evaluate.metrics.ties`), and pairs are compared
by their exact score (:mod:`mmkrl.kernels.pair_scores`), so equal captions do tie. Ranks are
counted; nothing is sorted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from mmkrl.arrays import IntArray
from mmkrl.errors import UserError
from mmkrl.evaluate.exact.caption_counts import count_captions
from mmkrl.evaluate.exact.rounding import LARGEST
from mmkrl.evaluate.exact.scores import graph_score
from mmkrl.evaluate.metrics import ties
from mmkrl.evaluate.metrics.metric import Metric, Ranking, measure
from mmkrl.evaluate.metrics.registry import metrics
from mmkrl.evaluate.tasks.values import TaskValues

IMAGE_TEXT, TEXT_IMAGE = "image-text", "text-image"
RECALLS = ("R@1", "R@5", "R@10")
"""The metrics by whose sum the field selects its models."""
METRICS = (*RECALLS, "median rank", "mean rank", "mAP")
CHUNK = 256
"""Images scored at once; memory is about 8 bytes x chunk x captions."""

Measure: TypeAlias = Literal["cosine", "order"]
"""How an image and a caption are compared: by the inner product of unit vectors; or by minus the
sum of the squares by which the caption exceeds the image (Vendrov et al. 2016, "Order-embeddings of
images and language", equation 2: a caption is more general than its images, so it lies below)."""

_SCORES: dict[Measure, str] = {"cosine": "dot", "order": "order"}


@dataclass(frozen=True)
class CaptionSpace:
    """Images and captions in one space.

    Attributes:
        image_ID: Vector of every image, of unit length.
        text_CD: Vector of every caption, likewise, on the same device.
        image_C: Position of each caption's image; an image may have any number of captions.
        measure: How the two are compared.

    Raises:
        UserError: vectors that cannot be compared, or captions of images that are not there.
    """

    image_ID: Tensor
    text_CD: Tensor
    image_C: IntArray
    measure: Measure = "cosine"

    def __post_init__(self) -> None:
        """Refuse what cannot be ranked."""
        _check_vectors(self.image_ID, "images")
        _check_vectors(self.text_CD, "captions")
        if self.image_ID.shape[1] != self.text_CD.shape[1]:
            raise UserError(
                f"images have {self.image_ID.shape[1]} dimensions, captions "
                f"{self.text_CD.shape[1]}: both must come from the same space"
            )
        if self.image_C.shape != (len(self.text_CD),):
            raise UserError(
                f"{len(self.text_CD)} captions, but the images of {self.image_C.shape}: give each "
                "caption the position of its image"
            )
        stray_C = np.flatnonzero((self.image_C < 0) | (self.image_C >= len(self.image_ID)))
        if len(stray_C):
            raise UserError(
                f"caption {stray_C[0]} is of image {self.image_C[stray_C[0]]}: there are "
                f"{len(self.image_ID)} images, numbered from 0"
            )


def caption_tasks(
    space: CaptionSpace, *, further: Sequence[Metric] = (), chunk: int = CHUNK
) -> dict[str, TaskValues]:
    """The values of both directions, by task name; intervals resample images.

    Images without captions are candidates for every caption; as queries they have no rank and are
    counted as skipped.

    Args:
        space: Images and captions.
        further: Metrics that are measured besides :data:`METRICS`.
        chunk: Images scored at once; the values do not depend on it.
    """
    image_ID, text_CD = (
        each.detach().float().contiguous() for each in (space.image_ID, space.text_CD)
    )
    score, image_C = graph_score(_SCORES[space.measure]), space.image_C
    counts = count_captions(score, image_ID, text_CD, image_C, chunk=chunk)
    image_K, captions_of_images = _captions_of_images(image_C, counts.caption_C4)
    images_of_captions = _images_of_captions(counts.image_C2)
    wanted = (*metrics(*METRICS), *further)
    annotation, search = (
        measure(Ranking.of(positions), wanted)
        for positions in (captions_of_images, images_of_captions)
    )
    sizes = len(image_ID), len(text_CD)
    right = "a caption of the query image", "the image of the query caption"
    each_C = np.arange(len(image_C))
    return {
        IMAGE_TEXT: TaskValues(annotation, image_K, right[0], *sizes, asked=image_K),
        TEXT_IMAGE: TaskValues(search, image_C, right[1], *sizes[::-1], asked=each_C),
    }


def recall_sum(tasks: Mapping[str, TaskValues]) -> float:
    """The sum of the six recalls in per cent, 0 to 600, by which the field selects its models.

    Args:
        tasks: As made by :func:`caption_tasks`.
    """
    return 100 * sum(
        float(tasks[name].values[recall].mean())
        for name in (IMAGE_TEXT, TEXT_IMAGE)
        for recall in RECALLS
    )


def _captions_of_images(
    image_C: IntArray, count_C4: IntArray
) -> tuple[IntArray, ties.MarkedPositions]:
    """The images that have captions, and where each one's captions stand among all."""
    above_C, tied_C, own_above_C, own_tied_C = count_C4.T
    best_first_C = np.lexsort((above_C, image_C))
    image_K, start_K, captions_K = np.unique(
        image_C[best_first_C], return_index=True, return_counts=True
    )
    column_M = np.arange(captions_K.max())
    valid_KM = column_M < captions_K[:, None]
    item_KM = best_first_C[np.where(valid_KM, start_K[:, None] + column_M, 0)]
    counts = (above_C, tied_C + 1, own_above_C, own_tied_C + 1)
    columns = [torch.from_numpy(count_C[item_KM]) for count_C in counts]
    return image_K, ties.MarkedPositions(
        torch.from_numpy(item_KM), torch.from_numpy(valid_KM), *columns
    )


def _images_of_captions(count_C2: IntArray) -> ties.MarkedPositions:
    """Where each caption's image stands among all images."""
    above_C, tied_C = (torch.from_numpy(count_C) for count_C in count_C2.T)
    return ties.single_positions(above_C, tied_C + 1)


def _check_vectors(vector_ND: Tensor, name: str) -> None:
    if vector_ND.ndim != 2 or not vector_ND.is_floating_point():
        raise UserError(
            f"{name}: shape {tuple(vector_ND.shape)}, type {vector_ND.dtype}: give floating "
            "vectors of shape (N, D)"
        )
    if not len(vector_ND):
        raise UserError(f"{name}: none; there is nothing to rank")
    usable_N = (vector_ND.abs() <= LARGEST).all(dim=1)
    if not bool(usable_N.all()):
        bad = int((~usable_N).sum())
        raise UserError(
            f"{name}: {bad} of {len(vector_ND)} vectors hold NaN or values beyond {LARGEST:g}: "
            "training has diverged; lower its learning rate"
        )
