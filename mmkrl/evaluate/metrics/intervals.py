"""Percentile bootstrap intervals over groups of queries.

Queries of one relationship are not independent, so whole relationships are resampled with
replacement (cluster bootstrap; Davison and Hinkley, "Bootstrap Methods and their Application",
1997, section 3.8). A statistic is computed on all queries of the resampled groups, so a group
weighs as much as it has queries. Intervals cover the choice of test relationships only: not the
choice of the training data, and the training seed only as far as `over_seeds` averages it out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from mmkrl.arrays import FloatArray, IntArray
from mmkrl.errors import UserError
from mmkrl.evaluate.metrics.metric import Statistic

OfGroups = Callable[[IntArray], FloatArray]
"""A statistic of drawn groups, (B, G) -> (B,)."""

_CELLS = 2_000_000
"""Numbers held at once while resampling; bounds memory, does not change the result."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A statistic with its 95 % percentile interval.

    Attributes:
        mean: the statistic on the queries themselves: their mean (their median if the interval
            comes from `bootstrap_median`), in the units of the metric.
        low: lower bound; NaN with a single group, which says nothing about the variation.
        high: upper bound; NaN with a single group.
        n_groups: number of groups resampled.
        n_queries: number of queries.
        seed_values: the statistic of each training seed, empty if there was one set of values.
    """

    mean: float
    low: float
    high: float
    n_groups: int
    n_queries: int
    seed_values: tuple[float, ...] = ()


def bootstrap_mean(
    values: ArrayLike, groups: ArrayLike, *, resamples: int = 2000, seed: int = 0
) -> Interval:
    """Mean over queries, with its interval.

    Args:
        values: shape (queries,), one number per query.
        groups: shape (queries,), the group (relationship) of each query: any sortable labels.
        resamples: number of bootstrap resamples.
        seed: seed of the resampling.

    Raises:
        UserError: no query, unequal lengths, a value that is not finite, no resample.
    """
    value_Q, group_Q = _checked(values, groups)
    return _resampled(
        *_mean_of(value_Q, group_Q), n_queries=len(value_Q), resamples=resamples, seed=seed
    )[0]


def bootstrap_median(
    values: ArrayLike, groups: ArrayLike, *, resamples: int = 2000, seed: int = 0
) -> Interval:
    """Median over queries, with its interval; for median ranks.

    Args:
        values: shape (queries,), one number per query.
        groups: shape (queries,), the group (relationship) of each query.
        resamples: number of bootstrap resamples.
        seed: seed of the resampling.

    Raises:
        UserError: as for `bootstrap_mean`.
    """
    value_Q, group_Q = _checked(values, groups)
    order_Q = np.argsort(value_Q, kind="stable")
    value_Q, group_Q = value_Q[order_Q], group_Q[order_Q]
    n_groups = int(group_Q.max()) + 1

    def statistic(group_BG: IntArray) -> FloatArray:
        weight_BQ = _times_drawn(group_BG, n_groups)[:, group_Q]
        return _weighted_median(value_Q, weight_BQ)

    return _resampled(statistic, n_groups, n_queries=len(value_Q), resamples=resamples, seed=seed)[
        0
    ]


def paired_difference(
    a: ArrayLike, b: ArrayLike, groups: ArrayLike, *, resamples: int = 2000, seed: int = 0
) -> Interval:
    """Mean of a - b on the same queries, with its interval.

    Args:
        a: shape (queries,), values of the first method.
        b: shape (queries,), values of the second method on the same queries, in the same order.
        groups: shape (queries,), the group of each query.
        resamples: number of bootstrap resamples.
        seed: seed of the resampling.

    Raises:
        UserError: as for `bootstrap_mean`, or a and b of unequal lengths.
    """
    difference_Q = np.subtract(*_stacked([a, b]))
    return bootstrap_mean(difference_Q, groups, resamples=resamples, seed=seed)


def paired_test(
    a: ArrayLike, b: ArrayLike, groups: ArrayLike, *, resamples: int = 2000, seed: int = 0
) -> tuple[Interval, float]:
    """The paired difference with its interval, and its two-sided p-value.

    The p-value is that of the bootstrap: twice the share of resamples whose mean lies on
    the other side of zero, or on it, the observed mean counted among them. It is never below
    2 / (resamples + 1), and about 0.05 where the 95 % interval touches zero.

    Args:
        a: shape (queries,), values of the first method.
        b: shape (queries,), values of the second method on the same queries, in the same order.
        groups: shape (queries,), the group of each query.
        resamples: number of bootstrap resamples.
        seed: seed of the resampling.

    Returns:
        The interval of a - b, as `paired_difference` has it, and the p-value; 1 with one group.

    Raises:
        UserError: as for `paired_difference`.
    """
    value_Q, group_Q = _checked(np.subtract(*_stacked([a, b])), groups)
    interval, mean_B = _resampled(
        *_mean_of(value_Q, group_Q), n_queries=len(value_Q), resamples=resamples, seed=seed
    )
    # The observed mean is one more resample (the + 1): no finite number of resamples shows that p
    # is 0.
    tails = min((mean_B <= 0).sum(), (mean_B >= 0).sum())
    return interval, float(min(1.0, 2 * (tails + 1) / (len(mean_B) + 1)))


def over_seeds(
    values: Sequence[ArrayLike], groups: ArrayLike, *, resamples: int = 2000, seed: int = 0
) -> Interval:
    """Mean over queries of values averaged over training seeds, with its interval.

    Args:
        values: one array of shape (queries,) per training seed, all on the same queries.
        groups: shape (queries,), the group of each query.
        resamples: number of bootstrap resamples.
        seed: seed of the resampling.

    Returns:
        The interval over groups; `seed_values` holds the mean of each training seed.

    Raises:
        UserError: as for `bootstrap_mean`, no seed, or seeds of unequal lengths.
    """
    value_SQ = _stacked(values)
    interval = bootstrap_mean(value_SQ.mean(axis=0), groups, resamples=resamples, seed=seed)
    return replace(interval, seed_values=tuple(float(mean) for mean in value_SQ.mean(axis=1)))


def summed_up(
    statistic: Statistic,
    values: Sequence[ArrayLike],
    groups: ArrayLike,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """The statistic of a metric over queries and training seeds, with its interval.

    Args:
        statistic: the mean (:func:`over_seeds`); or the median of the means over training seeds,
            which has no value by seed.
        values: one array of shape (queries,) per training seed, all on the same queries.
        groups: shape (queries,), the group of each query.
        resamples: number of bootstrap resamples.
        seed: seed of the resampling.

    Raises:
        UserError: as for :func:`over_seeds`.
    """
    settings = {"resamples": resamples, "seed": seed}
    if statistic == "median":
        return bootstrap_median(_stacked(values).mean(axis=0), groups, **settings)
    return over_seeds(values, groups, **settings)


def _mean_of(value_Q: FloatArray, group_Q: IntArray) -> tuple[OfGroups, int]:
    """The mean over the queries of drawn groups, and how many groups there are."""
    # A resample needs each group's sum and count alone: it costs as many additions as there are
    # groups, whatever the number of queries.
    sum_G = np.bincount(group_Q, weights=value_Q)
    count_G = np.bincount(group_Q)

    def statistic(group_BG: IntArray) -> FloatArray:
        mean_B: FloatArray = sum_G[group_BG].sum(axis=-1) / count_G[group_BG].sum(axis=-1)
        return mean_B

    return statistic, len(count_G)


def _resampled(
    statistic: OfGroups, n_groups: int, *, n_queries: int, resamples: int, seed: int
) -> tuple[Interval, FloatArray]:
    """Bootstrap a statistic of drawn group indices, (B, G) -> (B,): its interval, all its values.

    With a single group there is no interval, and no value.
    """
    if resamples < 1:
        raise UserError(f"resamples is {resamples}: give at least 1")
    whole_G = np.arange(n_groups)
    value = float(statistic(whole_G[None, :])[0])
    if n_groups == 1:
        return Interval(value, np.nan, np.nan, n_groups, n_queries), np.empty(0)
    drawn = stats.bootstrap(
        (whole_G,),
        lambda group_BG, **_: statistic(group_BG),
        n_resamples=resamples,
        batch=max(1, _CELLS // n_queries),
        vectorized=True,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    low, high = map(float, drawn.confidence_interval)
    return Interval(value, low, high, n_groups, n_queries), drawn.bootstrap_distribution


def _times_drawn(group_BG: IntArray, n_groups: int) -> IntArray:
    """How often each group was drawn in each resample: shape (B, n_groups)."""
    offset_B1 = n_groups * np.arange(len(group_BG))[:, None]
    flat = np.bincount((group_BG + offset_B1).ravel(), minlength=len(group_BG) * n_groups)
    return flat.reshape(len(group_BG), n_groups)


def _weighted_median(value_Q: FloatArray, weight_BQ: IntArray) -> FloatArray:
    """Median of values, ascending, each repeated by its whole weight: shape (B,)."""
    # Values are ordered once for all resamples, and a drawn group's repeats are weights: item i of
    # a resample, never written out, is the first value whose running weight exceeds i. The median
    # is the mean of the middle two, which are one if the total is odd.
    upto_BQ = weight_BQ.cumsum(axis=1)
    total_B1 = upto_BQ[:, -1:]
    lower_B = (upto_BQ <= (total_B1 - 1) // 2).sum(axis=1)
    upper_B = (upto_BQ <= total_B1 // 2).sum(axis=1)
    median_B: FloatArray = (value_Q[lower_B] + value_Q[upper_B]) / 2
    return median_B


def _checked(values: ArrayLike, groups: ArrayLike) -> tuple[FloatArray, IntArray]:
    """Values as float64 and groups numbered from 0."""
    value_Q, label_Q = np.asarray(values, dtype=np.float64), np.asarray(groups)
    if value_Q.ndim != 1 or value_Q.shape != label_Q.shape:
        raise UserError(
            f"values have shape {value_Q.shape}, groups {label_Q.shape}: give one of each per query"
        )
    if len(value_Q) == 0:
        raise UserError("no query: there is nothing to resample")
    if not np.isfinite(value_Q).all():
        raise UserError(f"{(~np.isfinite(value_Q)).sum()} of {len(value_Q)} values are not finite")
    group_Q: IntArray = np.unique(label_Q, return_inverse=True)[1]
    return value_Q, group_Q


def _stacked(values: Sequence[ArrayLike]) -> FloatArray:
    arrays = [np.asarray(value, dtype=np.float64) for value in values]
    if len({array.shape for array in arrays}) != 1:
        raise UserError(
            f"values have shapes {[array.shape for array in arrays]}: "
            "give at least one array, all on the same queries"
        )
    return np.stack(arrays)
