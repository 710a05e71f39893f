"""Images of few classes: found by their class's words, by each other and by texts; and named.

Corel1k (Wang, Li, Wiederhold 2001, "SIMPLIcity", 10 classes of 100 images) is an application of
Yang et al. (KSEM 2019), whose protocol is unknown; these are the usual ones. Retrieval of texts by
images of their class and the reverse is the measure of the Wikipedia features (Rasiwasia et al.
2010, "A new approach to cross-modal multimedia retrieval"). Precision is quoted at 10, 20, 50 and
100. Ties count at their expectation over random orders.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mmkrl.arrays import IntArray
from mmkrl.errors import UserError
from mmkrl.evaluate.metrics.metric import Metric, measure
from mmkrl.evaluate.metrics.ranking import retrieval_metrics
from mmkrl.evaluate.metrics.recognition import recognition
from mmkrl.evaluate.metrics.registry import metrics
from mmkrl.evaluate.metrics.relevance import SameLabel
from mmkrl.evaluate.tasks.caption_retrieval import CaptionSpace
from mmkrl.evaluate.tasks.values import TaskValues

METRICS = ("mAP", "P@10", "P@20", "P@50", "P@100")
"""Metrics of the tasks that retrieve."""


def class_tasks(
    image_ND: Tensor,
    class_N: IntArray,
    *,
    word_CD: Tensor,
    raw_NF: Tensor,
    further: Sequence[Metric] = (),
) -> dict[str, TaskValues]:
    """Every task's values, by task name.

    Args:
        image_ND: Vector of each image in the common space, of unit length.
        class_N: The class of each image.
        word_CD: Vector of each class's words in the same space, likewise.
        raw_NF: The images' features, which the common space should improve on.
        further: Metrics that every task measures besides its own.

    Raises:
        UserError: classes without words, or vectors that cannot be compared.
    """
    if class_N.shape != (len(image_ND),) or not 0 <= class_N.min() <= class_N.max() < len(word_CD):
        raise UserError(
            f"{len(image_ND)} images of classes {class_N.min()} to {class_N.max()}, of shape "
            f"{class_N.shape}; words of {len(word_CD)} classes: give each image one of these"
        )
    raw_NF = torch.nn.functional.normalize(raw_NF.float(), dim=1)
    return {
        "class-image": _class_image(image_ND, class_N, word_CD, further),
        "image-image": image_image(image_ND, class_N, further),
        "image-image, raw features": image_image(raw_NF, class_N, further),
        "annotation": _annotation(image_ND, class_N, word_CD, further),
    }


def cross_modal_tasks(
    space: CaptionSpace, class_I: IntArray, further: Sequence[Metric] = ()
) -> dict[str, TaskValues]:
    """Images look for texts of their class, and texts for images; intervals resample images.

    Args:
        space: Images and texts, compared by the cosine.
        class_I: The class of each image.
        further: Metrics that are measured besides :data:`METRICS`.

    Raises:
        UserError: the space has another measure.
    """
    if space.measure != "cosine":
        raise UserError(f"measure = {space.measure!r}: classes are retrieved by the cosine alone")
    vectors = {"image": space.image_ID, "text": space.text_CD}
    images = {"image": np.arange(len(class_I)), "text": space.image_C}
    tasks = {}
    for asked, sought, article in (("image", "text", "a"), ("text", "image", "an")):
        image_Q, image_G = images[asked], images[sought]
        relevance = SameLabel(*(torch.from_numpy(class_I[image]) for image in (image_Q, image_G)))
        found = retrieval_metrics(
            vectors[asked],
            vectors[sought],
            relevance=relevance,
            metrics=(*metrics(*METRICS), *further),
        )
        definition = f"{article} {sought} of the query {asked}'s class"
        tasks[f"{asked}-{sought} by class"] = TaskValues(
            found.values, image_Q[found.query_index], definition, len(image_Q), len(image_G)
        )
    return tasks


def image_image(vector_ND: Tensor, class_N: IntArray, further: Sequence[Metric] = ()) -> TaskValues:
    """Each image looks for the others of its class; intervals resample images.

    Args:
        vector_ND: Unit vectors.
        class_N: The class of each image.
        further: Metrics that are measured besides :data:`METRICS`.

    Raises:
        UserError: no class has two images.
    """
    label_N = torch.from_numpy(class_N)
    found = retrieval_metrics(
        vector_ND,
        vector_ND,
        relevance=SameLabel(label_N, label_N),
        metrics=(*metrics(*METRICS), *further),
        exclude_self=torch.arange(len(vector_ND)),
    )
    definition = "another image of the query image's class"
    sizes = len(class_N), len(class_N) - 1
    return TaskValues(found.values, found.query_index, definition, *sizes)


def _class_image(
    image_ND: Tensor, class_N: IntArray, word_CD: Tensor, further: Sequence[Metric]
) -> TaskValues:
    """The words of a class look for its images; intervals resample classes."""
    label_N, label_C = torch.from_numpy(class_N), torch.arange(len(word_CD))
    found = retrieval_metrics(
        word_CD,
        image_ND,
        relevance=SameLabel(label_C, label_N),
        metrics=(*metrics(*METRICS), *further),
    )
    definition = "an image of the class whose words are the query"
    sizes = len(word_CD), len(class_N)
    return TaskValues(found.values, found.query_index, definition, *sizes)


def _annotation(
    image_ND: Tensor, class_N: IntArray, word_CD: Tensor, further: Sequence[Metric]
) -> TaskValues:
    """Each image is named by the nearest words; intervals resample images."""
    ranking = recognition(image_ND, word_CD, target_Q=torch.from_numpy(class_N))
    values = {"accuracy": measure(ranking, metrics("top-1"))["top-1"]} | measure(ranking, further)
    definition = f"the image's class among {len(word_CD)}, by its words"
    sizes = len(class_N), len(word_CD)
    return TaskValues(values, np.arange(len(class_N)), definition, *sizes)
