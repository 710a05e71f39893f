"""Exact retrieval metrics per query: queries ranked against a gallery by inner product.

Ranks are exact (no sampled negatives, no index) and streamed by batches of queries. Tied scores get
the expected value over random orders (`mmkrl.evaluate.metrics.ties`). Values stay per query, for
the bootstrap of `mmkrl.evaluate.metrics.intervals`; nothing is averaged here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mmkrl.arrays import FloatArray, IntArray
from mmkrl.errors import UserError
from mmkrl.evaluate.metrics import ties
from mmkrl.evaluate.metrics.metric import Metric, Ranking, measure
from mmkrl.evaluate.metrics.relevance import GradedRelevance, Relevance
from mmkrl.evaluate.metrics.scoring import CHUNK, score_chunks


@dataclass(frozen=True, slots=True)
class RetrievalValues:
    """Metrics of each query that has a relevant item, one value a query.

    Attributes:
        query_index: int64; which queries the rows are, in increasing order.
        values: float64, by metric name.
        skipped: number of queries left out because no gallery item is relevant to them.
    """

    query_index: IntArray
    values: dict[str, FloatArray]
    skipped: int


@dataclass(frozen=True, slots=True)
class GradedMetrics:
    """NDCG of each query that has an item of positive gain; arrays of shape (K,).

    Attributes:
        query_index: int64; which queries the rows are, in increasing order.
        ndcg: float64, in 0 to 1.
        skipped: number of queries left out because no gallery item has a positive gain.
    """

    query_index: IntArray
    ndcg: FloatArray
    skipped: int


def retrieval_metrics(
    query_QD: Tensor,
    gallery_GD: Tensor,
    *,
    relevance: Relevance,
    metrics: Sequence[Metric],
    exclude_self: Tensor | None = None,
    chunk: int = CHUNK,
) -> RetrievalValues:
    """Rank the gallery for every query and measure where the relevant items stand.

    Args:
        query_QD: shape (queries, D), unit vectors.
        gallery_GD: shape (gallery, D), unit vectors, on the same device.
        relevance: which gallery items are right for which queries.
        metrics: what is measured.
        exclude_self: shape (queries,), int64; gallery index removed for each query (the query
            itself in image-to-image retrieval), -1 where nothing is removed.
        chunk: queries per batch.

    Raises:
        UserError: pools that cannot be ranked, or no query with a relevant item.
    """
    _check(relevance, query_QD, gallery_GD)
    measured: list[dict[str, FloatArray]] = []
    kept: list[Tensor] = []
    for index_Q, score_QG in score_chunks(
        query_QD, gallery_GD, exclude_self=exclude_self, chunk=chunk
    ):
        # -inf marks items removed from a query's gallery (itself): they are not relevant, either.
        relevant_QG = relevance.chunk(index_Q).to(score_QG.device) & ~score_QG.isneginf()
        for index_K, positions in _marked(index_Q, score_QG, relevant_QG):
            kept.append(index_K)
            measured.append(measure(Ranking.of(positions), metrics))
    query_index = _joined_index(kept)
    return RetrievalValues(
        query_index=query_index,
        values={name: np.concatenate([part[name] for part in measured]) for name in measured[0]},
        skipped=len(query_QD) - len(query_index),
    )


def ndcg(
    query_QD: Tensor,
    gallery_GD: Tensor,
    *,
    relevance: GradedRelevance,
    exclude_self: Tensor | None = None,
    k: int = 10,
    chunk: int = CHUNK,
) -> GradedMetrics:
    """Normalised discounted cumulative gain at k of every query.

    DCG@k = sum_{j<=k} gain_j / log2(j+1), with the gain used as it is (not 2^gain - 1; Jarvelin
    and Kekalainen, TOIS 2002, as in scikit-learn); the ideal DCG sorts the query's own gallery.

    Args:
        query_QD: shape (queries, D), unit vectors.
        gallery_GD: shape (gallery, D), unit vectors, on the same device.
        relevance: gain of the gallery items.
        exclude_self: shape (queries,), int64; gallery index removed for each query,
            -1 where nothing is removed.
        k: number of positions counted.
        chunk: queries per batch.

    Raises:
        UserError: pools or k that cannot be ranked, or no query with an item of positive gain.
    """
    _check(relevance, query_QD, gallery_GD)
    if k < 1:
        raise UserError(f"k is {k}: count at least 1 position")
    discount_K = 1 / torch.arange(2, k + 2, dtype=torch.float64, device=query_QD.device).log2()
    values: list[Tensor] = []
    kept: list[Tensor] = []
    for index_Q, score_QG in score_chunks(
        query_QD, gallery_GD, exclude_self=exclude_self, chunk=chunk
    ):
        gain_QG = relevance.gain(index_Q).to(score_QG.device)
        gain_QG = gain_QG.masked_fill(score_QG.isneginf(), 0)
        for index_K, positions in _marked(index_Q, score_QG, gain_QG > 0):
            gain_KM = gain_QG[torch.isin(index_Q, index_K).to(gain_QG.device)]
            gain_KM = gain_KM.gather(1, positions.item_QM).double()
            gained_K = ties.expected_discounted_gain(positions, gain_KM, discount_K)
            kept.append(index_K)
            values.append((gained_K / _ideal(gain_KM, positions, discount_K)).cpu())
    query_index = _joined_index(kept)
    return GradedMetrics(
        query_index=query_index,
        ndcg=torch.cat(values).numpy(),
        skipped=len(query_QD) - len(query_index),
    )


def _ideal(gain_QM: Tensor, positions: ties.MarkedPositions, discount_K: Tensor) -> Tensor:
    """DCG of the best possible order, shape (Q,)."""
    gain_QM = gain_QM.masked_fill(~positions.valid_QM, 0)
    best_QK = gain_QM.topk(min(len(discount_K), gain_QM.shape[1]), dim=1).values
    return best_QK @ discount_K[: best_QK.shape[1]]


def _marked(
    index_Q: Tensor, score_QG: Tensor, marked_QG: Tensor
) -> Iterator[tuple[Tensor, ties.MarkedPositions]]:
    """Give the queries that have a marked item, with its positions; nothing if there is none."""
    kept_Q = marked_QG.any(dim=1)
    if bool(kept_Q.all()):
        yield index_Q, ties.marked_positions(score_QG, marked_QG)
    elif bool(kept_Q.any()):
        positions = ties.marked_positions(score_QG[kept_Q], marked_QG[kept_Q])
        yield index_Q[kept_Q.cpu()], positions


def _joined_index(kept: list[Tensor]) -> IntArray:
    if not kept:
        raise UserError("no query has a relevant item in the gallery: check labels and pools")
    index: IntArray = torch.cat(kept).numpy()
    return index


def _check(relevance: Relevance, query_QD: Tensor, gallery_GD: Tensor) -> None:
    pools = (len(query_QD), len(gallery_GD))
    if relevance.shape != pools:
        raise UserError(
            f"relevance is for {relevance.shape[0]} queries x {relevance.shape[1]} items, "
            f"the vectors for {pools[0]} x {pools[1]}: they must agree"
        )
