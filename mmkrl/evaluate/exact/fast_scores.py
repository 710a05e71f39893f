"""Scores of many candidates, fast, and how far they may lie from the exact ones.

A fast score settles most comparisons; the rest is settled by the exact score
(:mod:`mmkrl.kernels.pair_scores`). The bounds are those of floating-point summation in any order
(Higham, "Accuracy and Stability of Numerical Algorithms", 2002, section 4.2), so no comparison is
ever settled wrongly, for vectors without values beyond :data:`LARGEST`. For Euclidean distances
the fast score is q.c - |c|^2 / 2, which orders candidates in the same way and is a matrix product.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from mmkrl.arrays import FloatArray
from mmkrl.evaluate.exact.scorer import Metric
from mmkrl.kernels.block_scores import l1_scores, modulus_scores, order_scores

LARGEST = 1e15
"""Squares and products of larger numbers might overflow float32."""
_LANES = 32
"""Compiled loops over differences are fastest for whole multiples of this."""
_COPIED = 4096
"""Vectors that are held in float64 at a time."""
_ROUNDING = 2.0**-24
_INPUT_ROUNDING = {"highest": 0.0, "high": 2.0**-10, "medium": 2.0**-7}
"""What torch's setting for matrix products may do to their operands, relative to a product."""
_UNDERFLOW = 1e-18
"""More than what is lost, a term, where squares or products are too small for float32."""

_LOOPS: dict[Metric, Callable[[Any, Any, Any], None]] = {
    "l1": l1_scores,
    "modulus": modulus_scores,
    "order": order_scores,
}


def fast_scores(metric: Metric, query_UD: Tensor, candidate_BD: Tensor) -> Tensor:
    """Score a block of candidates for every query, shape (U, B), float32.

    Args:
        metric: How they are compared.
        query_UD: float32.
        candidate_BD: float32, on the same device.
    """
    if metric == "dot":
        return query_UD @ candidate_BD.T
    if metric == "l2":
        return torch.addmm(-_half_square(candidate_BD), query_UD, candidate_BD.T)
    if query_UD.device.type == "cpu":
        return _compiled(metric, query_UD, candidate_BD)
    if metric == "l1":
        return -torch.cdist(query_UD, candidate_BD, p=1)
    if metric == "order":
        return _violations(query_UD, candidate_BD)
    return _moduli(query_UD, candidate_BD)


def _half_square(candidate_BD: Tensor) -> Tensor:
    return (candidate_BD.double().square().sum(dim=1) / 2).float()


def _compiled(metric: Metric, query_UD: Tensor, candidate_BD: Tensor) -> Tensor:
    loop = _LOOPS[metric]
    if metric != "modulus":
        padding = (0, -query_UD.shape[1] % _LANES)
        query_UD, candidate_BD = F.pad(query_UD, padding), F.pad(candidate_BD, padding)
    score_UB = torch.empty(len(query_UD), len(candidate_BD))
    loop(query_UD.numpy(), candidate_BD.numpy(), score_UB.numpy())
    return score_UB


def _violations(query_UD: Tensor, candidate_BD: Tensor) -> Tensor:
    """Dimension by dimension, as for the moduli."""
    score_UB = query_UD.new_zeros(len(query_UD), len(candidate_BD))
    for query_U, candidate_B in zip(query_UD.T, candidate_BD.T, strict=True):
        score_UB -= (candidate_B - query_U[:, None]).clamp_(min=0).square_()
    return score_UB


def _moduli(query_UD: Tensor, candidate_BD: Tensor) -> Tensor:
    """Dimension by dimension: nothing larger than the result is held."""
    half = query_UD.shape[1] // 2
    score_UB = query_UD.new_zeros(len(query_UD), len(candidate_BD))
    for d in range(half):
        real_UB = query_UD[:, d, None] - candidate_BD[:, d]
        imaginary_UB = query_UD[:, half + d, None] - candidate_BD[:, half + d]
        score_UB -= (real_UB.square() + imaginary_UB.square()).sqrt()
    return score_UB


def lengths(vector_ND: Tensor) -> FloatArray:
    """Euclidean lengths, shape (N,)."""
    parts = [
        torch.linalg.vector_norm(block_BD, dim=1, dtype=torch.float64)
        for block_BD in vector_ND.split(_COPIED)
    ]
    length_N: FloatArray = torch.cat(parts).cpu().numpy()
    return length_N


def product_error(width: int, length_Q: FloatArray, longest: float) -> FloatArray:
    """How far an inner product by matrix product may lie from the exact one, shape (Q,).

    Args:
        width: Dimensions.
        length_Q: Lengths of the queries.
        longest: The largest length of a candidate.
    """
    rounding = (width + 16) * _ROUNDING + _INPUT_ROUNDING[torch.get_float32_matmul_precision()]
    return width * _UNDERFLOW + rounding * length_Q * longest


def bounds(
    metric: Metric, length_Q: FloatArray, candidate_BD: Tensor, score_Q: FloatArray
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """What a fast score must be below, or above, to be certainly worse, or better, than a score.

    Args:
        metric: How queries and candidates are compared.
        length_Q: The length of the query of each score.
        candidate_BD: The candidates whose fast scores are judged, float32.
        score_Q: Exact scores.

    Returns:
        Two arrays of shape (Q,), float32: lower and upper bound.
    """
    width = candidate_BD.shape[1]
    error_Q = width * _UNDERFLOW + (width + 16) * _ROUNDING * np.abs(score_Q)
    if metric in ("l2", "dot"):
        longest = lengths(candidate_BD).max()
        error_Q = product_error(width, length_Q, longest)
        if metric == "l2":
            score_Q = (score_Q + length_Q**2) / 2
            error_Q = error_Q + product_error(width, longest, longest)
    low_Q, high_Q = (score_Q - error_Q).astype(np.float32), (score_Q + error_Q).astype(np.float32)
    return np.nextafter(low_Q, np.float32(-np.inf)), np.nextafter(high_Q, np.float32(np.inf))
