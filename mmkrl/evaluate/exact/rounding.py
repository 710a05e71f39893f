"""How far float32 scores of many candidates may lie from the exact ones.

The bounds are those of floating-point summation in any order (Higham, "Accuracy and Stability of
Numerical Algorithms", 2002, section 4.2): a sum of n products is off by at most n * u / (1 - n * u)
times the sum of their absolute values, u = 2**-24. That sum is at most the product of the two
lengths (Cauchy-Schwarz), or, where all terms have one sign, the score itself. 16 more dimensions
than there are pay for what is done before and after the sum. So no comparison is ever settled
wrongly, for vectors without values beyond :data:`LARGEST`.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mmkrl.arrays import Float32Array, FloatArray

LARGEST = 1e15
"""Squares and products of larger numbers might overflow float32."""
_COPIED = 4096
"""Vectors that are held in float64 at a time."""
_ROUNDING = 2.0**-24
# TF32 has 10 explicit bits and rounds an operand by up to 2**-11, bfloat16 has 7 and rounds it by
# up to 2**-8; a product has two operands, so twice that to first order. "high" may also be three
# products in bfloat16, which lose less.
_INPUT_ROUNDING = {"highest": 0.0, "high": 2.0**-10, "medium": 2.0**-7}
"""What torch's setting for matrix products may do to their operands, relative to a product."""
# The worst case is a modulus: two squares below 2**-126 may vanish, and their root is 1.5e-19.
_UNDERFLOW = 1e-18
"""More than what is lost, a term, where squares or products are too small for float32."""


def lengths(vector_ND: Tensor) -> FloatArray:
    """Euclidean lengths, shape (N,)."""
    # In batches: a copy of a whole table in float64 would be twice the table.
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


def sum_error(width: int, score_Q: FloatArray) -> FloatArray:
    """How far a sum of terms of one sign may lie from the exact one, shape (Q,).

    Args:
        width: Dimensions.
        score_Q: Exact sums.
    """
    return width * _UNDERFLOW + (width + 16) * _ROUNDING * np.abs(score_Q)


def interval(score_Q: FloatArray, error_Q: FloatArray) -> tuple[Float32Array, Float32Array]:
    """Lower and upper ends in float32, each rounded away from the score."""
    # The cast rounds to the nearest number, which may lie nearer to the score: one step outwards.
    low_Q, high_Q = (score_Q - error_Q).astype(np.float32), (score_Q + error_Q).astype(np.float32)
    return np.nextafter(low_Q, np.float32(-np.inf)), np.nextafter(high_Q, np.float32(np.inf))
