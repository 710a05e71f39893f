"""Images of few classes: found by their class's words, by each other and by texts; and named.

Corel1k (Wang, Li, Wiederhold 2001, "SIMPLIcity", 10 classes of 100 images) is an application of
Yang et al. (KSEM 2019), whose protocol is unknown; these are the usual ones. Retrieval of texts by
images of their class and the reverse is the measure of the Wikipedia features (Rasiwasia et al.
2010, "A new approach to cross-modal multimedia retrieval"). Precision is quoted at 10, 20, 50 and
100. Ties count at their expectation over random orders.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mmkrl.arrays import IntArray
from mmkrl.errors import UserError
from mmkrl.evaluate.metrics.ranking import QueryMetrics, retrieval_metrics
from mmkrl.evaluate.metrics.recognition import recognition
from mmkrl.evaluate.metrics.relevance import SameLabel
from mmkrl.evaluate.tasks.caption_retrieval import CaptionSpace
from mmkrl.evaluate.tasks.values import TaskValues, Values

CUTOFFS = (10, 20, 50, 100)


def class_tasks(
    image_ND: Tensor, class_N: IntArray, *, word_CD: Tensor, raw_NF: Tensor
) -> dict[str, TaskValues]:
    """Every task's values, by task name.

    Args:
        image_ND: Vector of each image in the common space, of unit length.
        class_N: The class of each image.
        word_CD: Vector of each class's words in the same space, likewise.
        raw_NF: The images' features, which the common space should improve on.

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
        "class-image": _class_image(image_ND, class_N, word_CD),
        "image-image": image_image(image_ND, class_N),
        "image-image, raw features": image_image(raw_NF, class_N),
        "annotation": _annotation(image_ND, class_N, word_CD),
    }


def cross_modal_tasks(space: CaptionSpace, class_I: IntArray) -> dict[str, TaskValues]:
    """Images look for texts of their class, and texts for images; intervals resample images.

    Args:
        space: Images and texts, compared by the cosine.
        class_I: The class of each image.

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
        relevance = SameLabel(*(torch.from_numpy(class_I[place]) for place in (image_Q, image_G)))
        metrics = retrieval_metrics(
            vectors[asked], vectors[sought], relevance=relevance, cutoffs=CUTOFFS
        )
        definition = f"{article} {sought} of the query {asked}'s class"
        tasks[f"{asked}-{sought} by class"] = TaskValues(
            _values(metrics), image_Q[metrics.query_index], definition, len(image_Q), len(image_G)
        )
    return tasks


def image_image(vector_ND: Tensor, class_N: IntArray) -> TaskValues:
    """Each image looks for the others of its class; intervals resample images.

    Args:
        vector_ND: Unit vectors.
        class_N: The class of each image.

    Raises:
        UserError: no class has two images.
    """
    label_N = torch.from_numpy(class_N)
    metrics = retrieval_metrics(
        vector_ND,
        vector_ND,
        relevance=SameLabel(label_N, label_N),
        exclude_self=torch.arange(len(vector_ND)),
        cutoffs=CUTOFFS,
    )
    definition = "another image of the query image's class"
    sizes = len(class_N), len(class_N) - 1
    return TaskValues(_values(metrics), metrics.query_index, definition, *sizes)


def _class_image(image_ND: Tensor, class_N: IntArray, word_CD: Tensor) -> TaskValues:
    """The words of a class look for its images; intervals resample classes."""
    label_N, label_C = torch.from_numpy(class_N), torch.arange(len(word_CD))
    metrics = retrieval_metrics(
        word_CD, image_ND, relevance=SameLabel(label_C, label_N), cutoffs=CUTOFFS
    )
    definition = "an image of the class whose words are the query"
    sizes = len(word_CD), len(class_N)
    return TaskValues(_values(metrics), metrics.query_index, definition, *sizes)


def _annotation(image_ND: Tensor, class_N: IntArray, word_CD: Tensor) -> TaskValues:
    """Each image is named by the nearest words; intervals resample images."""
    hits = recognition(image_ND, word_CD, target_Q=torch.from_numpy(class_N), cutoffs=(1,))
    definition = f"the image's class among {len(word_CD)}, by its words"
    sizes = len(class_N), len(word_CD)
    return TaskValues({"accuracy": hits.hit_at[1]}, np.arange(len(class_N)), definition, *sizes)


def _values(metrics: QueryMetrics) -> Values:
    precisions = {f"P@{k}": metrics.precision_at[k] for k in CUTOFFS}
    return {"mAP": metrics.average_precision} | precisions
