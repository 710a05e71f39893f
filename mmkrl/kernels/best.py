"""Keeping what may be among a query's best items while fast scores stream past.

A fast score is uncertain by a known amount. An item is dropped only when so many others are
certainly better, and a query with more doubtful items than there is room for is given up.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mmkrl.arrays import Float32Array, IntArray
from mmkrl.kernels.compiled import in_order

GIVEN_UP = -1
_RUN = 64
"""Scores that are looked at together, and one by one only if one of them may matter."""


class Kept(NamedTuple):
    """What is kept of each query.

    Attributes:
        best_QK: The best fast scores so far, from the best on; -inf where there are none yet.
        item_QM: Positions of the items that may be among the best.
        score_QM: Their fast scores.
        count_Q: How many there are, or :data:`GIVEN_UP`.
    """

    best_QK: Float32Array
    item_QM: IntArray
    score_QM: Float32Array
    count_Q: IntArray


class Doubt(NamedTuple):
    """How far a fast score may lie from the exact one: error + share x |fast score|.

    Attributes:
        error_Q: Of each query's scores.
        share: At most 0.1.
    """

    error_Q: npt.NDArray[np.float64]
    share: float


@in_order
def keep_best(
    score_QB: Float32Array, first: int, left_out_Q: IntArray, doubt: Doubt, kept: Kept
) -> None:
    """Look at the fast scores of a block of items.

    Args:
        score_QB: Fast scores.
        first: Position of the block's first item among all.
        left_out_Q: Position of an item that does not count for a query; -1 for none.
        doubt: What the scores are worth.
        kept: What was kept so far; changed.
    """
    for q in range(len(score_QB)):
        if kept.count_Q[q] == GIVEN_UP:
            continue
        score_B, best_K = score_QB[q], kept.best_QK[q]
        least = _least(best_K[-1], doubt.error_Q[q], doubt.share)
        for start in range(0, len(score_B), _RUN):
            stop = min(start + _RUN, len(score_B))
            promising = 0
            for b in range(start, stop):
                promising += score_B[b] >= least
            if promising:
                for b in range(start, stop):
                    if score_B[b] >= least and first + b != left_out_Q[q]:
                        _insert(best_K, score_B[b])
                        least = _least(best_K[-1], doubt.error_Q[q], doubt.share)
                        _append(kept, q, first + b, score_B[b], least)
                if kept.count_Q[q] == GIVEN_UP:
                    break


@in_order
def drop_worse(doubt: Doubt, kept: Kept) -> None:
    """Drop, at the end, what was kept before so many better items were seen.

    Args:
        doubt: What the scores are worth.
        kept: What was kept; changed.
    """
    for q in range(len(kept.count_Q)):
        if kept.count_Q[q] != GIVEN_UP:
            _compact(kept, q, _least(kept.best_QK[q, -1], doubt.error_Q[q], doubt.share))


@in_order
def _least(worst: float, error: float, share: float) -> np.float32:
    """The least fast score of an item that may be as good as one that has the fast score given."""
    if worst == -np.inf:
        return np.float32(worst)
    certain = worst - error - share * abs(worst)
    least = certain - error
    least /= 1 + share if least > 0 else 1 - share
    return np.float32(least - 1e-6 * abs(least))


@in_order
def _insert(best_K: Float32Array, score: np.float32) -> None:
    """Put a score in its place among the best, whose last one falls out."""
    place = len(best_K)
    while place and best_K[place - 1] < score:
        if place < len(best_K):
            best_K[place] = best_K[place - 1]
        place -= 1
    if place < len(best_K):
        best_K[place] = score


@in_order
def _append(kept: Kept, q: int, item: int, score: np.float32, least: np.float32) -> None:
    """Keep an item, after making room if there is none."""
    room = kept.item_QM.shape[1]
    if kept.count_Q[q] == room:
        _compact(kept, q, least)
        if kept.count_Q[q] == room:
            kept.count_Q[q] = GIVEN_UP
    if kept.count_Q[q] != GIVEN_UP:
        kept.item_QM[q, kept.count_Q[q]] = item
        kept.score_QM[q, kept.count_Q[q]] = score
        kept.count_Q[q] += 1


@in_order
def _compact(kept: Kept, q: int, least: np.float32) -> None:
    count = 0
    for m in range(kept.count_Q[q]):
        if kept.score_QM[q, m] >= least:
            kept.item_QM[q, count] = kept.item_QM[q, m]
            kept.score_QM[q, count] = kept.score_QM[q, m]
            count += 1
    kept.count_Q[q] = count
