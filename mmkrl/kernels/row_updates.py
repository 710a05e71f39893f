"""Optimiser steps that touch only the rows of a table that have a gradient.

For plain gradient descent and Adagrad this is the whole step: a row without a gradient would stay
as it is.
"""

from __future__ import annotations

import math

import numpy as np

from mmkrl.arrays import Float32Array, IntArray
from mmkrl.kernels.compiled import in_any_order, in_order, inlined
from mmkrl.kernels.prefetch import prefetch_row

FREE, BALL, SPHERE = 0, 1, 2
"""How a row is held after its step: not at all; to an L2 norm of at most 1; to exactly 1."""


@in_order
def repeated(row_U: IntArray, rows: int) -> bool:
    """Whether a row of the table occurs more than once."""
    seen_N = np.zeros(rows, np.bool_)
    for row in row_U:
        if seen_N[row]:
            return True
        seen_N[row] = True
    return False


@in_any_order
def descend(
    weight_ND: Float32Array, row_U: IntArray, grad_UD: Float32Array, rate: float, bound: int
) -> None:
    """Gradient descent: ``weight -= rate * grad`` on the given rows, each given once.

    Args:
        weight_ND: The table, changed in place.
        row_U: Rows that have a gradient.
        grad_UD: Their gradients.
        rate: Learning rate.
        bound: How the rows are held.
    """
    step = np.float32(rate)
    for u in range(len(row_U)):
        # The next row is on its way while this one is computed.
        prefetch_row(weight_ND, row_U[min(u + 1, len(row_U) - 1)])
        weight_D, grad_D = weight_ND[row_U[u]], grad_UD[u]
        for d in range(len(weight_D)):
            weight_D[d] -= step * grad_D[d]
        _project(weight_D, bound)


@in_any_order
def adagrad(
    tables: tuple[Float32Array, Float32Array],
    row_U: IntArray,
    grad_UD: Float32Array,
    rate: float,
    bound: int,
) -> None:
    """Adagrad (Duchi, Hazan, Singer, JMLR 2011) on the given rows, each given once.

    Args:
        tables: The weights and the sums of squared gradients so far, both changed in place.
        row_U: Rows that have a gradient.
        grad_UD: Their gradients.
        rate: Learning rate.
        bound: How the rows are held.
    """
    step, tiny = np.float32(rate), np.float32(1e-10)
    for u in range(len(row_U)):
        for table_ND in tables:
            prefetch_row(table_ND, row_U[min(u + 1, len(row_U) - 1)])
        weight_D, sum_D, grad_D = tables[0][row_U[u]], tables[1][row_U[u]], grad_UD[u]
        for d in range(len(weight_D)):
            sum_D[d] += grad_D[d] * grad_D[d]
            weight_D[d] -= step * np.true_divide(grad_D[d], math.sqrt(sum_D[d]) + tiny)
        _project(weight_D, bound)


@inlined
def _project(weight_D: Float32Array, bound: int) -> None:
    """Bring a row back to its bound."""
    if bound != FREE:
        square = np.float32(0)
        for d in range(len(weight_D)):
            square += weight_D[d] * weight_D[d]
        if square > 1 or (bound == SPHERE and square > 0):
            factor = np.float32(1 / math.sqrt(square))
            for d in range(len(weight_D)):
                weight_D[d] *= factor
