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
from mmkrl.evaluate.tasks.values import TaskValues, Values

IMAGE_TEXT, TEXT_IMAGE = "image-text", "text-image"
CUTOFFS = (1, 5, 10)
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

    def of_images(self, image_K: IntArray) -> CaptionSpace:
        """Some images and their captions; the images are numbered in the order given."""
        place_I = np.full(len(self.image_ID), -1)
        place_I[image_K] = np.arange(len(image_K))
        (kept_C,) = np.nonzero(place_I[self.image_C] >= 0)
        device = self.image_ID.device
        return CaptionSpace(
            self.image_ID[torch.from_numpy(image_K).to(device)],
            self.text_CD[torch.from_numpy(kept_C).to(device)],
            place_I[self.image_C[kept_C]],
            self.measure,
        )


def caption_tasks(space: CaptionSpace, *, chunk: int = CHUNK) -> dict[str, TaskValues]:
    """The values of both directions, by task name; intervals resample images.

    Images without captions are candidates for every caption; as queries they have no rank and are
    counted as skipped.

    Args:
        space: Images and captions.
        chunk: Images scored at once; the values do not depend on it.
    """
    image_ID, text_CD = (
        each.detach().float().contiguous() for each in (space.image_ID, space.text_CD)
    )
    score, image_C = graph_score(_SCORES[space.measure]), space.image_C
    counts = count_captions(score, image_ID, text_CD, image_C, chunk=chunk)
    image_K, captions_of_images = _captions_of_images(image_C, counts.caption_C4)
    annotation, search = _values(captions_of_images), _values(_images_of_captions(counts.image_C2))
    sizes = len(image_ID), len(text_CD)
    right = "a caption of the query image", "the image of the query caption"
    each_C = np.arange(len(image_C))
    return {
        IMAGE_TEXT: TaskValues(annotation, image_K, right[0], *sizes, asked=image_K),
        TEXT_IMAGE: TaskValues(search, image_C, right[1], *sizes[::-1], asked=each_C),
    }


def caption_tasks_in_folds(
    space: CaptionSpace, *, size: int = 1000, folds: int | None = None, seed: int | None = None
) -> dict[str, TaskValues]:
    """The values within folds of the images: a query is compared with its own fold alone.

    One fold of 1,000 images is the 1k protocol, five are the 5 x 1k protocol (Vendrov et al. 2016,
    section 5.2), whose mean over folds is the mean over all queries here if the folds have equally
    many. Its median ranks are means of the folds' medians; ours are medians over all queries.

    Args:
        space: Images and captions.
        size: Images in a fold.
        folds: How many; by default all that can be filled.
        seed: Draws the folds at random; without it they are cut in order, as the field does.

    Raises:
        UserError: there are not so many images.
    """
    images = len(space.image_ID)
    folds = max(1, images // size) if folds is None else folds
    if folds * size > images:
        raise UserError(
            f"{folds} folds of {size} images need {folds * size} images, there are {images}: "
            "ask for smaller or fewer folds"
        )
    order_I = np.arange(images) if seed is None else np.random.default_rng(seed).permutation(images)
    parts = [order_I[start : start + size] for start in range(0, folds * size, size)]
    tasks = [caption_tasks(space.of_images(part_K)) for part_K in parts]
    return {
        f"{name}, {folds} x {size} images": _joined([each[name] for each in tasks], parts)
        for name in tasks[0]
    }


def recall_sum(tasks: Mapping[str, TaskValues]) -> float:
    """The sum of the six recalls in per cent, 0 to 600, by which the field selects its models.

    Args:
        tasks: As made by :func:`caption_tasks`.
    """
    return 100 * sum(
        float(tasks[name].values[f"R@{k}"].mean())
        for name in (IMAGE_TEXT, TEXT_IMAGE)
        for k in CUTOFFS
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
    above_C1, tied_C1 = (torch.from_numpy(count_C[:, None]) for count_C in count_C2.T)
    one_C1 = torch.ones_like(above_C1)
    return ties.MarkedPositions(
        item_QM=torch.zeros_like(above_C1),
        valid_QM=one_C1.bool(),
        above_QM=above_C1,
        tied_QM=tied_C1 + 1,
        marked_above_QM=torch.zeros_like(above_C1),
        marked_tied_QM=one_C1,
    )


def _values(positions: ties.MarkedPositions) -> Values:
    first = ties.FirstMarked.of(positions)
    rank_Q = first.rank().numpy()
    values = {f"R@{k}": first.hit(k).numpy() for k in CUTOFFS}
    precision_Q = ties.average_precision(positions).numpy()
    return values | {"median rank": rank_Q, "mean rank": rank_Q, "mAP": precision_Q}


def _joined(tasks: Sequence[TaskValues], images: Sequence[IntArray]) -> TaskValues:
    """Folds as one task; groups are positions among all images again."""
    first = tasks[0]
    return TaskValues(
        {name: np.concatenate([task.values[name] for task in tasks]) for name in first.values},
        np.concatenate([part_K[task.groups] for task, part_K in zip(tasks, images, strict=True)]),
        f"{first.definition}, among those of its fold",
        sum(task.queries for task in tasks),
        max(task.gallery for task in tasks),
    )


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
