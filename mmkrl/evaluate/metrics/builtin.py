"""The built-in metrics; :mod:`mmkrl.evaluate.metrics.registry` gives them their names.

Where the positions of right answers are known, ties count at their expectation over random orders
(:mod:`mmkrl.evaluate.metrics.ties`); in link prediction, by the field's custom, a tied rank is the
mean rank, so a rank may be 1.5, which is no hit at 1.
"""

from __future__ import annotations

import torch

from mmkrl.arrays import FloatArray
from mmkrl.evaluate.metrics import ties
from mmkrl.evaluate.metrics.metric import Metric, Ranking
from mmkrl.evaluate.metrics.ties import FirstMarked, MarkedPositions


def _rank(ranking: Ranking) -> FloatArray:
    return ranking.rank_Q


def _reciprocal_rank(ranking: Ranking) -> FloatArray:
    if ranking.first is None:
        return 1 / ranking.rank_Q
    return _array(ranking.first.reciprocal_rank())


def _average_precision(ranking: Ranking) -> FloatArray:
    return _array(ties.average_precision(_positions(ranking)))


MEAN_AVERAGE_PRECISION = Metric("mAP", _average_precision, all_answers=True)
"""Mean of the precisions at the right answers, over all of them."""
MEAN_RECIPROCAL_RANK = Metric("MRR", _reciprocal_rank)
"""1 / rank of the best right answer."""
MR = Metric("MR", _rank, higher_is_better=False, digits=1)
"""Mean rank of the best right answer, as link prediction calls it."""
MEAN_RANK = Metric("mean rank", _rank, higher_is_better=False, digits=1)
"""The same, as retrieval calls it."""
MEDIAN_RANK = Metric("median rank", _rank, "median", higher_is_better=False, digits=1)
"""Median rank of the best right answer."""
ACCURACY = Metric("accuracy")
"""Share of what is right; the task says of what."""
AMI, NMI = Metric("AMI"), Metric("NMI")
"""Mutual information of clusters and classes; see :mod:`mmkrl.evaluate.tasks.clustering`."""
CHANCE = Metric("chance")
"""Share of right answers among all candidates: what guessing finds."""


def recall(k: int) -> Metric:
    """R@k: 1 if a right answer is among the first k, else 0; not the share of them found."""

    def hit(ranking: Ranking) -> FloatArray:
        return _array(_first(ranking).hit(k))

    return Metric(f"R@{k}", hit, all_answers=True)


def precision(k: int) -> Metric:
    """P@k: right answers in the first k, divided by k, also where there are fewer than k."""

    def share(ranking: Ranking) -> FloatArray:
        return _array(ties.expected_in_first(_positions(ranking), k) / k)

    return Metric(f"P@{k}", share, all_answers=True)


def hits(k: int) -> Metric:
    """Hits@k: 1 if the best right answer is among the first k, else 0."""

    def hit(ranking: Ranking) -> FloatArray:
        if ranking.first is None:
            return (ranking.rank_Q <= k).astype("float64")
        return _array(ranking.first.hit(k))

    return Metric(f"Hits@{k}", hit)


def top(k: int) -> Metric:
    """top-k: 1 if a right answer is among the first k, else 0; its mean is an accuracy.

    The value of R@k. A tie group with one right answer has the closed form (k - above) / tied.
    """

    def hit(ranking: Ranking) -> FloatArray:
        first = _first(ranking)
        alone_Q = ((k - first.above_Q) / first.tied_Q).clamp(0, 1)
        return _array(torch.where(first.marked_Q == 1, alone_Q, first.hit(k)))

    return Metric(f"top-{k}", hit, all_answers=True)


def ndcg(k: int) -> Metric:
    """NDCG@k, computed from gains by :func:`mmkrl.evaluate.metrics.ranking.ndcg`."""
    return Metric(f"NDCG@{k}")


def _positions(ranking: Ranking) -> MarkedPositions:
    assert ranking.positions is not None, "such a metric says that it needs all answers"
    return ranking.positions


def _first(ranking: Ranking) -> FirstMarked:
    assert ranking.first is not None, "such a metric says that it needs all answers"
    return ranking.first


def _array(value_Q: torch.Tensor) -> FloatArray:
    array: FloatArray = value_Q.cpu().numpy()
    return array
