"""The items with the largest inner products, exactly: top-k search and nearest neighbours.

Scores are the exact ones of :class:`~mmkrl.evaluate.exact.scores.Dot`; equal ones are ordered by
position. A matrix product in float32, whose error is bounded, leaves out what cannot be among the
best k; the rest is scored exactly, so none is ever missed. Among vectors of one length the largest
inner products are the smallest Euclidean distances.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mmkrl.arrays import FloatArray, IntArray
from mmkrl.errors import UserError
from mmkrl.evaluate.exact.rounding import LARGEST, lengths, product_error
from mmkrl.evaluate.exact.scores import Dot

_SCORES = 1 << 22
"""Scores held at once: 16 MiB. Items are searched through for so many queries at a time."""

Pairs = tuple[IntArray, IntArray]


@dataclass(frozen=True)
class TopK:
    """The best items of every query.

    Attributes:
        item_QK: Positions, the best first; -1 where there are no more items.
        score_QK: Their exact inner products; -inf where there are no more items.
    """

    item_QK: IntArray
    score_QK: FloatArray


def best_items(
    query_QD: Tensor, item_ID: Tensor, k: int, *, left_out_Q: IntArray | None = None
) -> TopK:
    """The k items with the largest inner products, for every query.

    Args:
        query_QD: Vectors.
        item_ID: Vectors, on the same device.
        k: How many.
        left_out_Q: Position of an item that does not count for a query, -1 where all count.

    Raises:
        UserError: vectors that cannot be compared, or a k below 1.
    """
    query_QD, item_ID = _checked(query_QD, "queries"), _checked(item_ID, "items")
    if query_QD.shape[1] != item_ID.shape[1]:
        raise UserError(
            f"queries have {query_QD.shape[1]} dimensions, items {item_ID.shape[1]}: both must "
            "come from the same space"
        )
    if k < 1:
        raise UserError(f"k is {k}: ask for at least 1 item")
    excluded_Q = np.full(len(query_QD), -1) if left_out_Q is None else left_out_Q
    error_Q = product_error(query_QD.shape[1], lengths(query_QD), float(lengths(item_ID).max()))
    found = TopK(np.full((len(query_QD), k), -1), np.full((len(query_QD), k), -np.inf))
    size = max(1, _SCORES // len(item_ID))
    for start in range(0, len(query_QD), size):
        rows = slice(start, start + size)
        row_P, item_P = _candidates(query_QD[rows], item_ID, excluded_Q[rows], error_Q[rows], k)
        score_P = Dot().exact(query_QD[rows], item_ID, row_P, item_P)
        _fill(found, row_P + start, item_P, score_P)
    return found


def nearest_neighbours(vector_ND: Tensor, k: int) -> TopK:
    """The k nearest of the others, for every vector: the exact k-nearest-neighbour graph.

    Args:
        vector_ND: Unit vectors.
        k: Neighbours of each.

    Raises:
        UserError: vectors that cannot be compared, or not so many others.
    """
    if not 1 <= k < len(vector_ND):
        raise UserError(
            f"{k} neighbours of each of {len(vector_ND)} vectors: ask for at least 1, and fewer "
            "than there are vectors"
        )
    return best_items(vector_ND, vector_ND, k, left_out_Q=np.arange(len(vector_ND)))


def _candidates(
    query_QD: Tensor, item_ID: Tensor, left_out_Q: IntArray, error_Q: FloatArray, k: int
) -> Pairs:
    """Pairs of a query and an item, among which the best k of each query are.

    If t is the k-th best fast score and e the largest error, k items have exact scores of t - e at
    least. So has every item that is exactly among the best k, and its fast score is t - 2 e at
    least.
    """
    score_QI = Dot().fast(query_QD, item_ID)
    (row_L,) = np.nonzero(left_out_Q >= 0)
    left_out = torch.from_numpy(row_L), torch.from_numpy(left_out_Q[row_L])
    score_QI[left_out] = -torch.inf
    kth_Q = score_QI.topk(min(k, len(item_ID)), dim=1).values[:, -1].cpu().double().numpy()
    # The cast to float32 may round up and so lose the k-th; one step down makes up for it.
    least_Q = np.nextafter((kth_Q - 2 * error_Q).astype(np.float32), np.float32(-np.inf))
    kept_QI = score_QI >= torch.from_numpy(least_Q).to(score_QI.device)[:, None]
    kept_QI[left_out] = False  # with fewer than k items the bound is -inf, which it would pass
    row_P, item_P = (each.cpu().numpy() for each in kept_QI.nonzero(as_tuple=True))
    return row_P, item_P


def _fill(found: TopK, row_P: IntArray, item_P: IntArray, score_P: FloatArray) -> None:
    """Write the best candidates of each query into its row."""
    order_P = np.lexsort((item_P, -score_P, row_P))
    row_P = row_P[order_P]
    rank_P = np.arange(len(row_P)) - np.searchsorted(row_P, row_P)  # from 0 within each query
    (kept_P,) = np.nonzero(rank_P < found.item_QK.shape[1])
    cells = row_P[kept_P], rank_P[kept_P]
    found.item_QK[cells] = item_P[order_P[kept_P]]
    found.score_QK[cells] = score_P[order_P[kept_P]]


def _checked(vector_ND: Tensor, name: str) -> Tensor:
    if vector_ND.ndim != 2 or not vector_ND.is_floating_point() or not len(vector_ND):
        raise UserError(
            f"{name}: shape {tuple(vector_ND.shape)}, type {vector_ND.dtype}: give floating "
            "vectors of shape (N, D), at least one"
        )
    vector_ND = vector_ND.detach().float().contiguous()
    usable_N = torch.linalg.vector_norm(vector_ND, ord=torch.inf, dim=1) <= LARGEST
    if not bool(usable_N.all()):
        bad = int((~usable_N).sum())
        raise UserError(
            f"{name}: {bad} of {len(vector_ND)} vectors hold NaN or values beyond {LARGEST:g}"
        )
    return vector_ND
