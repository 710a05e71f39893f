"""Scores of queries and answers by metric, and a trained model as its evaluation sees it.

The metrics are those of :data:`mmkrl.evaluate.exact.scorer.Metric`; a higher score is more
plausible.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from mmkrl.evaluate.exact.scorer import Metric

Query = Callable[[Tensor, Tensor], Tensor]
"""From the rows of the known entities (Q, K) and relations (Q,) to query vectors (Q, D)."""


@dataclass(frozen=True)
class RowScorer:
    """A frozen model of triples: a table of what is known of each entity, and two kinds of query.

    Attributes:
        metric: How queries and candidates are compared.
        candidate_ED: Every entity as an answer.
        row_EK: Every entity as a part of a query.
        ask_tail: Query for a tail, from rows of heads.
        ask_head: Query for a head, from rows of tails.
    """

    metric: Metric
    candidate_ED: Tensor
    row_EK: Tensor
    ask_tail: Query
    ask_head: Query

    @torch.no_grad()
    def tail_query(self, head_Q: Tensor, relation_Q: Tensor) -> Tensor:
        """What a tail is compared with, shape (Q, D)."""
        return self.ask_tail(self.row_EK[head_Q], relation_Q)

    @torch.no_grad()
    def head_query(self, relation_Q: Tensor, tail_Q: Tensor) -> Tensor:
        """What a head is compared with, shape (Q, D)."""
        return self.ask_head(self.row_EK[tail_Q], relation_Q)


def pair_scores(metric: Metric, query_ND: Tensor, answer_ND: Tensor) -> Tensor:
    """The score of each query with its answer, shape (N,).

    Args:
        metric: How they are compared.
        query_ND: Queries.
        answer_ND: One answer each.
    """
    if metric == "dot":
        return (query_ND * answer_ND).sum(dim=-1)
    difference_ND = query_ND - answer_ND
    if metric == "l1":
        return -difference_ND.abs().sum(dim=-1)
    if metric == "l2":
        length_N: Tensor = difference_ND.norm(dim=-1)
        return -length_N
    return -modulus(difference_ND).sum(dim=-1)


def block_scores(metric: Metric, query_CND: Tensor, answer_CKD: Tensor) -> Tensor:
    """The scores of all queries of a block with all its answers, shape (C, N, K).

    Args:
        metric: How they are compared.
        query_CND: Queries by block.
        answer_CKD: Answers by block.
    """
    if metric == "dot":
        return query_CND @ answer_CKD.mT
    if metric == "modulus":
        return pair_scores(metric, query_CND[:, :, None], answer_CKD[:, None])
    return -torch.cdist(query_CND, answer_CKD, p=1.0 if metric == "l1" else 2.0)


def modulus(vector_ND: Tensor) -> Tensor:
    """Moduli of complex vectors that hold all real parts, then all imaginary ones; (N, D / 2)."""
    real, imaginary = vector_ND.chunk(2, dim=-1)
    square = real.square() + imaginary.square()
    return square.clamp(min=torch.finfo(square.dtype).tiny).sqrt()  # the root has no slope at zero


def complex_product(left_ND: Tensor, right_ND: Tensor, *, conjugate: bool = False) -> Tensor:
    """The elementwise product of complex vectors, in the same layout.

    Args:
        left_ND: All real parts, then all imaginary ones.
        right_ND: The same.
        conjugate: Take the conjugate of the right one.
    """
    a, b = left_ND.chunk(2, dim=-1)
    c, d = right_ND.chunk(2, dim=-1)
    if conjugate:
        d = -d
    return torch.cat([a * c - b * d, a * d + b * c], dim=-1)
