"""Counting the candidates that are more plausible than the right answer, exactly.

A block of fast scores settles nearly every candidate at once; those too near to the answer's score
for float32 to tell are scored again by their definition (:mod:`mmkrl.kernels.pair_scores`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mmkrl.arrays import Float32Array, IntArray
from mmkrl.kernels.compiled import in_order
from mmkrl.kernels.pair_scores import pair_score

_RUN = 64
"""Scores that are looked at together, and one by one only if one of them is in doubt."""


class Block(NamedTuple):
    """A block of candidates, and their fast scores for the queries.

    Attributes:
        metric: As for :func:`~mmkrl.kernels.pair_scores.pair_score`.
        query_UD: Different queries.
        candidate_BD: The candidates.
        first: Position of the first of them among all candidates.
        score_UB: Fast scores.
    """

    metric: int
    query_UD: Float32Array
    candidate_BD: Float32Array
    first: int
    score_UB: Float32Array


class Targets(NamedTuple):
    """What is to be found: one answer of one query each.

    Attributes:
        row_Q: Row of the query in :attr:`Block.query_UD`.
        answer_Q: Position of the answer among all candidates.
        score_Q: Its exact score.
        low_Q: A fast score below this one is certainly of a less plausible candidate.
        high_Q: A fast score above this one is certainly of a more plausible candidate.
    """

    row_Q: IntArray
    answer_Q: IntArray
    score_Q: npt.NDArray[np.float64]
    low_Q: Float32Array
    high_Q: Float32Array


class Others(NamedTuple):
    """Further right answers of each target's query, which a filtered ranking leaves out.

    Attributes:
        start_Q: Where those of a target begin in :attr:`entity_K`.
        stop_Q: Where they end.
        entity_K: Positions among all candidates, ascending within a range; the answer itself may
            be one of them and is never counted.
    """

    start_Q: IntArray
    stop_Q: IntArray
    entity_K: IntArray


@in_order
def count_block(block: Block, targets: Targets, others: Others, count_Q4: IntArray) -> None:
    """Add what one block holds to the counts of every target.

    Args:
        block: The candidates.
        targets: The answers they are compared with.
        others: Other right answers.
        count_Q4: Added to, by column: candidates more plausible than the answer, and those exactly
            as plausible; then how many of these are other right answers, likewise.
    """
    for q in range(len(targets.row_Q)):
        _count_all(block, targets, q, count_Q4[q, :2])
        start, stop = others.start_Q[q], others.stop_Q[q]
        _count_some(block, targets, q, others.entity_K[start:stop], count_Q4[q, 2:])


@in_order
def _count_all(block: Block, targets: Targets, q: int, count_2: IntArray) -> None:
    score_B = block.score_UB[targets.row_Q[q]]
    low, high = targets.low_Q[q], targets.high_Q[q]
    answer = targets.answer_Q[q] - block.first
    # Taken off here in case it is counted below: the answer is left out by what it is, not by its
    # score.
    count_2[0] -= 0 <= answer < len(score_B) and score_B[answer] > high
    for start in range(0, len(score_B), _RUN):
        stop = min(start + _RUN, len(score_B))
        # Two sums without a branch are vector instructions. Nearly all runs end with them; one that
        # holds a doubtful score is gone through again.
        above, below = 0, 0
        for b in range(start, stop):
            above += score_B[b] > high
            below += score_B[b] < low
        count_2[0] += above
        if above + below < stop - start:  # something is in doubt, or not a number
            for b in range(start, stop):
                if not (score_B[b] > high or score_B[b] < low):
                    _compare(block, targets, q, b, count_2)


@in_order
def _count_some(
    block: Block, targets: Targets, q: int, entity_K: IntArray, count_2: IntArray
) -> None:
    """Count those of the given entities, ascending, that are in the block."""
    end = block.first + block.score_UB.shape[1]
    for k in range(np.searchsorted(entity_K, block.first), np.searchsorted(entity_K, end)):
        b = entity_K[k] - block.first
        score = block.score_UB[targets.row_Q[q], b]
        if score > targets.high_Q[q]:
            count_2[0] += entity_K[k] != targets.answer_Q[q]
        elif not score < targets.low_Q[q]:
            _compare(block, targets, q, b, count_2)


@in_order
def _compare(block: Block, targets: Targets, q: int, b: int, count_2: IntArray) -> None:
    """Count one candidate by its exact score, unless it is the answer itself."""
    if block.first + b != targets.answer_Q[q]:
        query_D = block.query_UD[targets.row_Q[q]]
        score = pair_score(block.metric, query_D, block.candidate_BD[b])
        count_2[0] += score > targets.score_Q[q]
        count_2[1] += score == targets.score_Q[q]
