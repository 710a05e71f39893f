"""Exact retrieval metrics per query: queries ranked against a gallery by inner product.

Ranks are exact (no sampled negatives, no index) and streamed by chunks of queries. Tied scores get
the expected value over random orders (`mmkrl.evaluate.metrics.ties`). Values stay per query, for
the bootstrap of `mmkrl.evaluate.metrics.intervals`; nothing is averaged here.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from mmkrl.arrays import FloatArray, IntArray
from mmkrl.errors import UserError
from mmkrl.evaluate.metrics import ties
from mmkrl.evaluate.metrics.relevance import GradedRelevance, Relevance
from mmkrl.evaluate.metrics.scoring import CHUNK, score_chunks


@dataclass(frozen=True, slots=True)
class QueryMetrics:
    """Retrieval metrics of each query that has a relevant item; arrays of shape (kept,), float64.

    Attributes:
        query_index: int64; which queries the rows are, in increasing order.
        n_relevant: number of relevant gallery items.
        average_precision: mean of the precisions at the relevant items, over all of them.
        reciprocal_rank: 1 / rank of the best relevant item.
        first_rank: rank, from 1, of the best relevant item (its median is the "median rank").
        precision_at: per cutoff k, relevant items in the first k divided by k, also where the
            gallery or the number of relevant items is smaller than k.
        recall_at: per cutoff k, 1 if a relevant item is in the first k, else 0 (the "R@k" of
            cross-modal retrieval; not the share of relevant items found).
        skipped: number of queries left out because no gallery item is relevant to them.
    """

    query_index: IntArray
    n_relevant: FloatArray
    average_precision: FloatArray
    reciprocal_rank: FloatArray
    first_rank: FloatArray
    precision_at: dict[int, FloatArray]
    recall_at: dict[int, FloatArray]
    skipped: int

    def per_query(self) -> dict[str, FloatArray]:
        """Every metric by its flat name, such as `average_precision` or `recall_at_5`."""
        return {
            "average_precision": self.average_precision,
            "reciprocal_rank": self.reciprocal_rank,
            "first_rank": self.first_rank,
            **{f"precision_at_{k}": value for k, value in self.precision_at.items()},
            **{f"recall_at_{k}": value for k, value in self.recall_at.items()},
        }


@dataclass(frozen=True, slots=True)
class GradedMetrics:
    """NDCG of each query that has an item of positive gain; arrays of shape (kept,).

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
    exclude_self: Tensor | None = None,
    cutoffs: tuple[int, ...] = (1, 5, 10),
    chunk: int = CHUNK,
) -> QueryMetrics:
    """Rank the gallery for every query and measure where the relevant items stand.

    Args:
        query_QD: shape (queries, D), unit vectors.
        gallery_GD: shape (gallery, D), unit vectors, on the same device.
        relevance: which gallery items are right for which queries.
        exclude_self: shape (queries,), int64; gallery index removed for each query (the query
            itself in image-to-image retrieval), -1 for none.
        cutoffs: values of k for precision and recall.
        chunk: queries per chunk.

    Raises:
        UserError: pools or cutoffs that cannot be ranked, or no query with a relevant item.
    """
    _check(relevance, query_QD, gallery_GD, cutoffs)
    names = ("n_relevant", "average_precision", "reciprocal_rank", "first_rank")
    rows: list[Tensor] = []
    kept: list[Tensor] = []
    for index_Q, score_QG in score_chunks(
        query_QD, gallery_GD, exclude_self=exclude_self, chunk=chunk
    ):
        relevant_QG = relevance.chunk(index_Q).to(score_QG.device) & ~score_QG.isneginf()
        for index_K, positions in _marked(index_Q, score_QG, relevant_QG):
            kept.append(index_K)
            rows.append(_measure(positions, cutoffs).cpu())
    query_index = _joined_index(kept)
    columns = list(torch.cat(rows, dim=1).numpy())
    precision, recall = columns[len(names) :][::2], columns[len(names) :][1::2]
    return QueryMetrics(
        query_index=query_index,
        **dict(zip(names, columns, strict=False)),
        precision_at=dict(zip(cutoffs, precision, strict=True)),
        recall_at=dict(zip(cutoffs, recall, strict=True)),
        skipped=len(query_QD) - len(query_index),
    )


def _measure(positions: ties.MarkedPositions, cutoffs: tuple[int, ...]) -> Tensor:
    """Rows: relevant items, AP, reciprocal rank, rank, then P@k and R@k by cutoff; float64."""
    first = ties.FirstMarked.of(positions)
    rows = [
        positions.valid_QM.sum(dim=1).double(),
        ties.average_precision(positions),
        first.reciprocal_rank(),
        first.rank(),
    ]
    for cutoff in cutoffs:
        rows += [ties.expected_in_first(positions, cutoff) / cutoff, first.hit(cutoff)]
    return torch.stack(rows)


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
        exclude_self: shape (queries,), int64; gallery index removed for each query, -1 for none.
        k: number of positions counted.
        chunk: queries per chunk.

    Raises:
        UserError: pools or k that cannot be ranked, or no query with an item of positive gain.
    """
    _check(relevance, query_QD, gallery_GD, (k,))
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


def _check(
    relevance: Relevance, query_QD: Tensor, gallery_GD: Tensor, cutoffs: tuple[int, ...]
) -> None:
    pools = (len(query_QD), len(gallery_GD))
    if relevance.shape != pools:
        raise UserError(
            f"relevance is for {relevance.shape[0]} queries x {relevance.shape[1]} items, "
            f"the vectors for {pools[0]} x {pools[1]}: they must agree"
        )
    if not cutoffs or min(cutoffs) < 1 or len(set(cutoffs)) != len(cutoffs):
        raise UserError(f"cutoffs are {cutoffs}: give different whole numbers from 1 up")
