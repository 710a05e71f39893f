"""The score of a query and a candidate, in float64 and in one fixed order of summation.

This is the definition that every ranking of triples here comes down to: the terms are added one
after the other, so a plain Python loop over the same numbers gives the same score to the last
bit, equal vectors tie, and nothing depends on what else is ranked.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from mmkrl.kernels.compiled import in_order

L1, L2, MODULUS, DOT, ORDER = 0, 1, 2, 3, 4
"""Minus the sum of absolute differences; minus the sum of squared differences (which orders
candidates as the Euclidean distance does); minus the sum of the moduli of complex differences (all
real parts first, then all imaginary ones); the inner product; minus the sum of the squares by which
the candidate exceeds the query (the order violation of Vendrov et al. 2016, equation 2)."""


@in_order
def pair_score(
    metric: int, query_D: npt.NDArray[np.float32], candidate_D: npt.NDArray[np.float32]
) -> float:
    """How plausible one candidate is; higher is better.

    Args:
        metric: :data:`L1`, :data:`L2`, :data:`MODULUS`, :data:`DOT` or :data:`ORDER`.
        query_D: float32.
        candidate_D: float32.
    """
    total = 0.0
    if metric == DOT:
        for d in range(len(query_D)):
            total += np.float64(query_D[d]) * np.float64(candidate_D[d])
    elif metric == L1:
        for d in range(len(query_D)):
            total -= abs(np.float64(query_D[d]) - np.float64(candidate_D[d]))
    elif metric == L2:
        for d in range(len(query_D)):
            difference = np.float64(query_D[d]) - np.float64(candidate_D[d])
            total -= difference * difference
    elif metric == ORDER:
        for d in range(len(query_D)):
            excess = max(np.float64(candidate_D[d]) - np.float64(query_D[d]), 0.0)
            total -= excess * excess
    else:
        half = len(query_D) // 2
        for d in range(half):
            real = np.float64(query_D[d]) - np.float64(candidate_D[d])
            imaginary = np.float64(query_D[half + d]) - np.float64(candidate_D[half + d])
            total -= math.sqrt(real * real + imaginary * imaginary)
    return total


@in_order
def pair_scores(
    metric: int,
    query_UD: npt.NDArray[np.float32],
    candidate_ED: npt.NDArray[np.float32],
    row_Q: npt.NDArray[np.int64],
    candidate_Q: npt.NDArray[np.int64],
) -> npt.NDArray[np.float64]:
    """The scores of chosen pairs, shape (Q,).

    Args:
        metric: As for :func:`pair_score`.
        query_UD: float32.
        candidate_ED: float32.
        row_Q: The query of each pair.
        candidate_Q: The candidate of each pair.
    """
    score_Q = np.empty(len(row_Q), np.float64)
    for q in range(len(row_Q)):
        score_Q[q] = pair_score(metric, query_UD[row_Q[q]], candidate_ED[candidate_Q[q]])
    return score_Q
