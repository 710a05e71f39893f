"""The items with the largest inner products, exactly: top-k search and nearest neighbours.

Scores are those of :mod:`mmkrl.kernels.pair_scores`; equal ones are ordered by position. Items are
found by fast scores of a known uncertainty: in bfloat16, where the processor multiplies it; in
float32, for queries that bfloat16 leaves with too many candidates; by their exact scores, for those
that float32 does. An item is dropped only if k others are certainly better, so none is ever missed.
Among vectors of one length the largest inner products are the smallest Euclidean distances.

(queries x items) scores never exist: memory is half the size of the items for their copy in
bfloat16, and a few kB a query of a chunk. A gallery may be searched in shards that are merged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mmkrl.arrays import FloatArray, IntArray
from mmkrl.errors import UserError
from mmkrl.evaluate.exact.rounding import LARGEST, lengths, product_error
from mmkrl.evaluate.exact.scores import Dot
from mmkrl.kernels.best import GIVEN_UP, Doubt, Kept, drop_worse, keep_best

CHUNK = 1024
"""Queries searched for at once; the results do not depend on it."""
_BLOCK = 2048
_ROOM = 512
"""Doubtful items there is room for, a query, besides 16 for each item wanted."""
_ROUNDED_SCORE = 2.0**-8
"""More than what rounding a score to bfloat16 changes, relative to the rounded score."""
_NORM = 1 + 1e-3
"""More than the error of a length in float32, relative to it."""

Pairs = tuple[IntArray, IntArray]


@dataclass(frozen=True)
class Best:
    """The best items of every query.

    Attributes:
        item_QK: Positions, the best first; -1 where there are no more items.
        score_QK: Their exact inner products; -inf where there are no more items.
    """

    item_QK: IntArray
    score_QK: FloatArray


def best_items(
    query_QD: Tensor,
    item_ID: Tensor,
    k: int,
    *,
    left_out_Q: IntArray | None = None,
    first: int = 0,
    chunk: int = CHUNK,
) -> Best:
    """The k items with the largest inner products, for every query.

    Args:
        query_QD: Vectors.
        item_ID: Vectors, on the same device.
        k: How many.
        left_out_Q: Position of an item that does not count for a query, -1 for none.
        first: Position of the first item; more than 0 in a shard of a larger gallery.
        chunk: Queries searched for at once.

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
    place_Q = np.full(len(query_QD), -1) if left_out_Q is None else left_out_Q - first
    forms = _forms(item_ID)
    found = Best(np.full((len(query_QD), k), -1), np.full((len(query_QD), k), -np.inf))
    for start in range(0, len(query_QD), chunk):
        rows = slice(start, start + chunk)
        row_P, item_P = _candidates(forms, query_QD[rows], place_Q[rows], k)
        score_P = Dot().exact(query_QD[rows], item_ID, row_P, item_P)
        _fill(found, row_P + start, item_P + first, score_P)
    return found


def nearest_neighbours(vector_ND: Tensor, k: int, *, chunk: int = CHUNK) -> Best:
    """The k nearest of the others, for every vector: the exact k-nearest-neighbour graph.

    Args:
        vector_ND: Unit vectors.
        k: Neighbours of each.
        chunk: Vectors searched for at once.

    Raises:
        UserError: vectors that cannot be compared, or not so many others.
    """
    if not 1 <= k < len(vector_ND):
        raise UserError(
            f"{k} neighbours of each of {len(vector_ND)} vectors: ask for at least 1, and fewer "
            "than there are vectors"
        )
    itself_N = np.arange(len(vector_ND))
    return best_items(vector_ND, vector_ND, k, left_out_Q=itself_N, chunk=chunk)


def merged(shards: Sequence[Best]) -> Best:
    """The best items of a gallery that was searched in shards.

    Args:
        shards: Results of the same queries, of one shape.
    """
    k = shards[0].item_QK.shape[1]
    item_QS = np.concatenate([shard.item_QK for shard in shards], axis=1)
    score_QS = np.concatenate([shard.score_QK for shard in shards], axis=1)
    order_QK = np.lexsort((item_QS, -score_QS), axis=1)[:, :k]
    columns = (np.take_along_axis(each, order_QK, axis=1) for each in (item_QS, score_QS))
    return Best(*columns)


@dataclass(frozen=True)
class _Form:
    """Items as they are multiplied.

    Attributes:
        item_ID: In bfloat16 or float32.
        longest: The largest length of an item.
        rounding: The largest distance of an item from what it was in float32.
    """

    item_ID: Tensor
    longest: float
    rounding: float

    def as_multiplied(self, query_QD: Tensor) -> tuple[Tensor, Doubt]:
        """Queries in the same form, and how far their fast scores may be from the exact ones."""
        form_QD = query_QD.to(self.item_ID.dtype)
        rounded_QD = form_QD.float()
        error_Q = lengths(query_QD - rounded_QD) * self.longest
        error_Q += lengths(rounded_QD) * self.rounding
        longest = self.longest + self.rounding
        error_Q += product_error(query_QD.shape[1], lengths(rounded_QD), longest)
        share = 0.0 if self.item_ID.dtype == torch.float32 else _ROUNDED_SCORE
        return form_QD, Doubt(error_Q, share)


def _forms(item_ID: Tensor) -> list[_Form]:
    """The forms to try, the faster one first."""
    longest = float(lengths(item_ID).max())
    forms = [_Form(item_ID, longest, 0.0)]
    if item_ID.device.type == "cpu" and torch.ops.mkldnn._is_mkldnn_bf16_supported():
        rounded_ID = item_ID.bfloat16()
        blocks = zip(item_ID.split(_BLOCK), rounded_ID.split(_BLOCK), strict=True)
        rounding = max(float((exact - near).norm(dim=1).max()) for exact, near in blocks)
        forms.insert(0, _Form(rounded_ID, longest, rounding * _NORM))
    return forms


def _candidates(forms: list[_Form], query_QD: Tensor, left_out_Q: IntArray, k: int) -> Pairs:
    """Pairs of a query and an item, among which the best k of each query are."""
    pairs: list[Pairs] = []
    open_Q = np.arange(len(query_QD))
    for form in forms:
        if len(open_Q):
            rows = torch.from_numpy(open_Q).to(query_QD.device)
            kept = _stream(form, query_QD[rows], left_out_Q[open_Q], k)
            place_P, column_P = np.nonzero(np.arange(kept.item_QM.shape[1]) < kept.count_Q[:, None])
            pairs.append((open_Q[place_P], kept.item_QM[place_P, column_P]))
            open_Q = open_Q[kept.count_Q == GIVEN_UP]
    every_I = np.arange(len(forms[0].item_ID))
    for row in open_Q:
        item_P = every_I[every_I != left_out_Q[row]]
        pairs.append((np.full(len(item_P), row), item_P))
    row_P, item_P = (np.concatenate(column) for column in zip(*pairs, strict=True))
    return row_P, item_P


def _stream(form: _Form, query_QD: Tensor, left_out_Q: IntArray, k: int) -> Kept:
    """Let all items pass by the queries, a block at a time."""
    query_QD, doubt = form.as_multiplied(query_QD)
    room = len(query_QD), _ROOM + 16 * k
    kept = Kept(
        np.full((len(query_QD), k), -np.inf, np.float32),
        np.empty(room, np.int64),
        np.empty(room, np.float32),
        np.zeros(len(query_QD), np.int64),
    )
    for start in range(0, len(form.item_ID), _BLOCK):
        score_QB = (query_QD @ form.item_ID[start : start + _BLOCK].T).float().cpu()
        keep_best(score_QB.numpy(), start, left_out_Q, doubt, kept)
    drop_worse(doubt, kept)
    return kept


def _fill(found: Best, row_P: IntArray, item_P: IntArray, score_P: FloatArray) -> None:
    """Write the best candidates of each query into its row."""
    order_P = np.lexsort((item_P, -score_P, row_P))
    row_P = row_P[order_P]
    place_P = np.arange(len(row_P)) - np.searchsorted(row_P, row_P)
    (kept_P,) = np.nonzero(place_P < found.item_QK.shape[1])
    cells = row_P[kept_P], place_P[kept_P]
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
