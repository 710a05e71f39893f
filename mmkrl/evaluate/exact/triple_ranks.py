"""Exact ranks of the right heads and tails among all entities, raw and filtered.

A rank is 1 + the number of candidates strictly more plausible than the answer + half the number
exactly as plausible: the mean rank over all orders of ties (Berrendorf et al., "On the Ambiguity
of Rank-Based Evaluation of Entity Alignment or Link Prediction Methods", 2020). The answer is left
out by what it is, never by its score. What is compared are exact scores
(:meth:`mmkrl.evaluate.exact.scores.GraphScore.exact`), however most comparisons are settled.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mmkrl.arrays import FloatArray, IntArray
from mmkrl.errors import UserError
from mmkrl.evaluate.exact.rounding import LARGEST
from mmkrl.evaluate.exact.scorer import Scorer
from mmkrl.evaluate.exact.triple_counts import Search, count_candidates
from mmkrl.evaluate.exact.triple_filter import KnownTriples
from mmkrl.kernels.counting import Others

CHUNK = 1024
"""Default number of triples ranked at once. Memory is about 4 kB + the vector of each, whatever
the number of entities; the ranks do not depend on it."""


@dataclass(frozen=True)
class SideRanks:
    """Ranks of the right heads or the right tails.

    Attributes:
        raw_N: Among all entities.
        filtered_N: Among all entities but the other known answers of the same query.
    """

    raw_N: FloatArray
    filtered_N: FloatArray

    @staticmethod
    def of(count_N4: IntArray) -> SideRanks:
        """Ranks from the counts of :func:`~mmkrl.evaluate.exact.triple_counts.count_candidates`."""
        above_N, tied_N, known_above_N, known_tied_N = count_N4.T
        return SideRanks(
            raw_N=1 + above_N + tied_N / 2,
            filtered_N=1 + (above_N - known_above_N) + (tied_N - known_tied_N) / 2,
        )


@dataclass(frozen=True)
class Ranks:
    """Ranks of the heads and of the tails of the same triples, in their order."""

    head: SideRanks
    tail: SideRanks

    @staticmethod
    def of(count_2N4: IntArray) -> Ranks:
        """Ranks from counts of heads, then of tails."""
        return Ranks(*(SideRanks.of(count_N4) for count_N4 in count_2N4))


def triple_ranks(
    scorer: Scorer, triple_N3: IntArray, *, known: KnownTriples | None, chunk: int = CHUNK
) -> Ranks:
    """Rank the head and the tail of every triple.

    Args:
        scorer: The model.
        triple_N3: Triples whose head and tail are looked for; an empty array gives no ranks.
        known: What the filtered ranks leave out; without it they are the raw ones.
        chunk: Triples ranked at once, at least 1.

    Raises:
        UserError: vectors that cannot be compared, or entities that the model does not have.
    """
    return Ranks.of(rank_counts(scorer, triple_N3, known=known, chunk=chunk))


def rank_counts(
    scorer: Scorer, triple_N3: IntArray, *, known: KnownTriples | None, chunk: int = CHUNK
) -> IntArray:
    """What the ranks are made of, shape (2, N, 4): counts of heads, then of tails.

    Args:
        scorer: The model.
        triple_N3: Triples whose head and tail are looked for.
        known: The filter.
        chunk: Triples ranked at once, at least 1.

    Raises:
        UserError: as for :func:`triple_ranks`.
    """
    candidate_ED = checked_candidates(scorer, triple_N3)
    count_2N4 = np.zeros((2, len(triple_N3), 4), np.int64)
    for side, triple_Q, search in searches(scorer, candidate_ED, triple_N3, known, chunk):
        count_2N4[side, triple_Q] = count_candidates(search, candidate_ED)
    return count_2N4


def triple_scores(scorer: Scorer, triple_N3: IntArray) -> FloatArray:
    """How plausible each triple is, shape (N,).

    It is the mean of a triple's scores as a question for its head and as one for its tail, which
    differ where a model has reciprocal relations.

    Args:
        scorer: The model.
        triple_N3: Triples.

    Raises:
        UserError: as for :func:`triple_ranks`.
    """
    candidate_ED = checked_candidates(scorer, triple_N3)
    score_2N = np.empty((2, len(triple_N3)))
    for side, triple_Q, search in searches(scorer, candidate_ED, triple_N3, None):
        score_2N[side, triple_Q] = search.score_Q
    score_N: FloatArray = score_2N.mean(axis=0)
    return score_N


def searches(
    scorer: Scorer,
    candidate_ED: Tensor,
    triple_N3: IntArray,
    known: KnownTriples | None,
    chunk: int = CHUNK,
) -> Iterator[tuple[int, IntArray, Search]]:
    """Cut the triples into batches in which equal queries are asked once.

    Args:
        scorer: The model.
        candidate_ED: All its candidates (:func:`checked_candidates`).
        triple_N3: Triples whose head and tail are looked for.
        known: The filter.
        chunk: Triples in a batch.

    Yields:
        0 for heads or 1 for tails; the positions of the batch's triples; what is looked for.

    Raises:
        UserError: queries that cannot be compared with the candidates.
    """
    for side in range(2):
        fixed_N2, answer_N = triple_N3[:, (1, 2) if side == 0 else (0, 1)], triple_N3[:, 2 * side]
        # Triples that ask the same question become neighbours, so that (nearly) every question is
        # scored against all entities once.
        order_N = np.lexsort(fixed_N2.T)
        for start in range(0, len(order_N), chunk):
            triple_Q = order_N[start : start + chunk]
            pair_U2, row_Q = np.unique(fixed_N2[triple_Q], axis=0, return_inverse=True)
            query_UD = _queries(scorer, side, pair_U2, candidate_ED)
            row_Q, answer_Q = row_Q.reshape(-1), answer_N[triple_Q]
            score_Q = scorer.score.exact(query_UD, candidate_ED, row_Q, answer_Q)
            others = _others(known, side, fixed_N2[triple_Q])
            yield side, triple_Q, Search(scorer.score, query_UD, row_Q, answer_Q, score_Q, others)


def _queries(scorer: Scorer, side: int, pair_U2: IntArray, candidate_ED: Tensor) -> Tensor:
    left_U, right_U = torch.from_numpy(pair_U2.T.copy()).to(candidate_ED.device)
    query = scorer.head_query if side == 0 else scorer.tail_query
    query_UD = query(left_U, right_U).detach().float().contiguous()
    _check(query_UD, "queries")
    if query_UD.shape[1] != candidate_ED.shape[1]:
        raise UserError(
            f"the model's queries have {query_UD.shape[1]} dimensions, its candidates "
            f"{candidate_ED.shape[1]}: a scorer must compare like with like"
        )
    return query_UD


def _others(known: KnownTriples | None, side: int, fixed_Q2: IntArray) -> Others:
    if known is None:
        nothing_Q = np.zeros(len(fixed_Q2), np.int64)
        return Others(nothing_Q, nothing_Q, nothing_Q[:0])
    left_Q, right_Q = fixed_Q2.T
    return known.heads_of(left_Q, right_Q) if side == 0 else known.tails_of(left_Q, right_Q)


def checked_candidates(scorer: Scorer, triple_N3: IntArray) -> Tensor:
    """The candidates, float32 and contiguous, after checks that they can be ranked.

    Raises:
        UserError: vectors that are no numbers, or entities that the model does not have.
    """
    candidate_ED = scorer.candidate_ED.detach().float().contiguous()
    _check(candidate_ED, "candidates")
    entities = triple_N3[:, [0, 2]]
    if len(entities) and not 0 <= entities.min() <= entities.max() < len(candidate_ED):
        raise UserError(
            f"triples name entities {entities.min()} to {entities.max()}, the model has "
            f"{len(candidate_ED)}: it was trained on another graph"
        )
    return candidate_ED


def _check(vector_ND: Tensor, name: str) -> None:
    usable_N = (vector_ND.abs() <= LARGEST).all(dim=1)
    if not bool(usable_N.all()):
        bad = int((~usable_N).sum())
        raise UserError(
            f"{bad} of the model's {len(vector_ND)} {name} hold NaN or values beyond {LARGEST:g}: "
            "training has diverged; lower its learning rate"
        )
