"""Clustering: how well k-means finds the classes again, which nothing that learned ever saw.

As many clusters as classes (restarts and seeds: ours). AMI is the mutual information of clusters
and classes, adjusted for chance and normalised by the arithmetic mean of the entropies (Vinh, Epps
and Bailey 2010, "Information theoretic measures for clusterings comparison", JMLR 11); NMI is the
same without the adjustment; accuracy is the share of the items in the cluster that stands for
their class, under the best one-to-one assignment of clusters to classes.

What intervals resample is items with their clusters and classes; the clustering itself is not
repeated, its seeds are averaged. AMI and NMI are no means over items. Their value of an item is the
jackknife's pseudo-value (Efron and Tibshirani 1993, "An introduction to the bootstrap", section
11.5), centred so that the mean is the statistic itself. (Resampling AMI directly would be wrong:
an item that is drawn twice agrees with itself, which is counted as structure.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from mmkrl.arrays import FloatArray, IntArray
from mmkrl.errors import UserError
from mmkrl.evaluate.tasks.caption_retrieval import CaptionSpace
from mmkrl.evaluate.tasks.values import TaskValues

RESTARTS, SEEDS = 10, 10

Statistic = Callable[[IntArray], float]


def clustering_tasks(
    space: CaptionSpace, class_I: IntArray, *, seeds: int = SEEDS, restarts: int = RESTARTS
) -> dict[str, TaskValues]:
    """The values for images, for their texts and for both, by task name; a query is an image.

    An image's text is the mean of its captions, of unit length; both is the two side by side.
    Images without captions are left out of all three and counted.

    Args:
        space: Images and captions.
        class_I: The class of every image.
        seeds: How often k-means is run; values are averaged.
        restarts: Starts of each run, of which the tightest clustering is kept.

    Raises:
        UserError: not a class for each image, or fewer than two classes.
    """
    images = len(space.image_ID)
    if class_I.shape != (images,):
        raise UserError(f"{images} images, classes of shape {class_I.shape}: give each image one")
    (kept_K,) = np.nonzero(np.bincount(space.image_C, minlength=images))
    image_KD = space.image_ID[torch.from_numpy(kept_K)].cpu().float()
    text_KD = _mean_captions(space)[torch.from_numpy(kept_K)]
    pools = {"images": image_KD, "texts": text_KD, "both": torch.cat([image_KD, text_KD], dim=1)}
    return {
        f"clustering of {name}": _task(vector_KD, class_I, kept_K, (seeds, restarts))
        for name, vector_KD in pools.items()
    }


def k_means(vector_ND: Tensor, clusters: int, *, seeds: int, restarts: int) -> list[IntArray]:
    """The cluster of each vector, once a seed.

    Args:
        vector_ND: Vectors.
        clusters: How many.
        seeds: How often; each seed is its own run.
        restarts: Starts of each run, of which the tightest clustering is kept.
    """
    from sklearn.cluster import KMeans

    array_ND = vector_ND.numpy()
    runs = (KMeans(clusters, n_init=restarts, random_state=seed) for seed in range(seeds))
    return [run.fit_predict(array_ND).astype(np.int64) for run in runs]


def agreement(cluster_N: IntArray, class_N: IntArray) -> Mapping[str, FloatArray]:
    """Every item's values of AMI, NMI and accuracy, whose means are these.

    Args:
        cluster_N: The cluster of each item.
        class_N: The class of each item.
    """
    from scipy.optimize import linear_sum_assignment

    cluster_N, class_N = (np.unique(each, return_inverse=True)[1] for each in (cluster_N, class_N))
    table_KL = np.zeros((cluster_N.max() + 1, class_N.max() + 1), np.int64)
    np.add.at(table_KL, (cluster_N, class_N), 1)
    # Accuracy by the best one-to-one matching of clusters and classes (the Hungarian method).
    cluster_M, class_M = linear_sum_assignment(table_KL, maximize=True)
    class_of_K = np.full(len(table_KL), -1)
    class_of_K[cluster_M] = class_M
    return {
        "AMI": _pseudo_values(_ami, table_KL)[cluster_N, class_N],
        "NMI": _pseudo_values(_nmi, table_KL)[cluster_N, class_N],
        "accuracy": (class_of_K[cluster_N] == class_N).astype(np.float64),
    }


def _task(
    vector_KD: Tensor, class_I: IntArray, kept_K: IntArray, runs: tuple[int, int]
) -> TaskValues:
    class_K = class_I[kept_K]
    classes = len(np.unique(class_K))
    if classes < 2:
        raise UserError(f"{classes} classes among {len(kept_K)} images: clustering needs two")
    seeds, restarts = runs
    found = k_means(vector_KD, classes, seeds=seeds, restarts=restarts)
    values = [agreement(cluster_K, class_K) for cluster_K in found]
    return TaskValues(
        {name: np.mean([each[name] for each in values], axis=0) for name in values[0]},
        kept_K,
        f"{classes} clusters by k-means, mean of {seeds} seeds, against {classes} classes",
        len(class_I),
        classes,
    )


def _mean_captions(space: CaptionSpace) -> Tensor:
    total_ID = torch.zeros(space.image_ID.shape)
    total_ID.index_add_(0, torch.from_numpy(space.image_C), space.text_CD.cpu().float())
    return normalize(total_ID, dim=1)


def _pseudo_values(statistic: Statistic, table_KL: IntArray) -> FloatArray:
    """The value of an item in each cell of a table of counts; items of a cell are alike."""
    # Jackknife pseudo-values: n times the statistic less n - 1 times that without the item, shifted
    # so that their mean is the statistic itself. A bootstrap over items can then resample a value
    # that no single item has.
    without_KL = np.zeros(table_KL.shape)
    for cell in zip(*np.nonzero(table_KL), strict=True):
        fewer_KL = table_KL.copy()
        fewer_KL[cell] -= 1
        without_KL[cell] = statistic(fewer_KL)
    count = table_KL.sum()
    mean = (table_KL * without_KL).sum() / count
    values_KL: FloatArray = statistic(table_KL) + (count - 1) * (mean - without_KL)
    return values_KL


def _ami(table_KL: IntArray) -> float:
    """Adjusted mutual information from counts; 1 if both sides have a single group."""
    from sklearn.metrics.cluster import expected_mutual_information

    information, limit = _information(table_KL)
    expected = expected_mutual_information(table_KL, int(table_KL.sum()))
    return 1.0 if limit == 0 else (information - expected) / (limit - expected)


def _nmi(table_KL: IntArray) -> float:
    """Normalised mutual information from counts; 1 if both sides have a single group."""
    information, limit = _information(table_KL)
    return 1.0 if limit == 0 else information / limit


def _information(table_KL: IntArray) -> tuple[float, float]:
    """Mutual information, and the mean of the entropies, in nats."""
    sides = [_entropy(table_KL.sum(axis=axis)) for axis in (0, 1)]
    return sum(sides) - _entropy(table_KL), sum(sides) / 2


def _entropy(count: IntArray) -> float:
    from scipy.special import entr

    return float(entr(count / count.sum()).sum())
