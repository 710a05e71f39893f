"""How many candidates are more plausible than the right answer: what ranks are made of.

Counts of different candidates add up, so candidates are taken a block at a time, and (queries x
entities) scores never exist. A sort would need them all, would cost a logarithm more, and would put
equal scores into some order, where a rank needs to know how many are equal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mmkrl.arrays import FloatArray, IntArray
from mmkrl.evaluate.exact.rounding import lengths
from mmkrl.evaluate.exact.scores import Bounds, GraphScore
from mmkrl.kernels.counting import Block, Others, Targets, count_block

_BLOCK = 1024


@dataclass(frozen=True)
class Search:
    """Queries, and the answer each is expected to find.

    Attributes:
        score: How queries and candidates are compared.
        query_UD: Different queries, float32.
        row_Q: The query of each answer.
        answer_Q: Position of each answer among all candidates.
        score_Q: Its exact score.
        others: Other right answers, which a filtered ranking does not count.
    """

    score: GraphScore
    query_UD: Tensor
    row_Q: IntArray
    answer_Q: IntArray
    score_Q: FloatArray
    others: Others


def count_candidates(search: Search, candidate_BD: Tensor, *, first: int = 0) -> IntArray:
    """Compare candidates with the answers.

    Args:
        search: What is looked for.
        candidate_BD: The candidates, float32, on the device of the queries.
        first: Position of the first of them among all candidates.

    Returns:
        Counts, shape (Q, 4): candidates more plausible than the answer, and those exactly as
        plausible, the answer itself excepted; then how many of these are other right answers,
        likewise.
    """
    count_Q4 = np.zeros((len(search.row_Q), 4), np.int64)
    length_Q = lengths(search.query_UD)[search.row_Q]
    compiled = candidate_BD.device.type == "cpu" and search.score.kernel is not None
    count = _count_compiled if compiled else _count_with_torch
    for start in range(0, len(candidate_BD), _BLOCK):
        block_BD = candidate_BD[start : start + _BLOCK]
        # By block, since most bounds grow with the longest candidate: one long vector widens those
        # of its own block only.
        certain = search.score.bounds(length_Q, block_BD, search.score_Q)
        count(search, block_BD, first + start, certain, count_Q4)
    return count_Q4


def _count_compiled(
    search: Search, candidate_BD: Tensor, first: int, certain: Bounds, count_Q4: IntArray
) -> None:
    """Add the counts of a block, by compiled loops."""
    assert search.score.kernel is not None
    score_UB = search.score.fast(search.query_UD, candidate_BD)
    arrays = search.query_UD.numpy(), candidate_BD.numpy(), first, score_UB.numpy()
    count_block(
        Block(search.score.kernel, *arrays),
        Targets(search.row_Q, search.answer_Q, search.score_Q, *certain),
        search.others,
        count_Q4,
    )


def _count_with_torch(
    search: Search, candidate_BD: Tensor, first: int, certain: Bounds, count_Q4: IntArray
) -> None:
    """Add the same counts where the vectors are, for devices and scores without compiled loops."""
    device = candidate_BD.device
    row_Q, answer_Q, score_Q, low_Q, high_Q = (
        torch.from_numpy(each).to(device)
        for each in (search.row_Q, search.answer_Q, search.score_Q, *certain)
    )
    score_QB = search.score.fast(search.query_UD, candidate_BD)[row_Q]
    above_QB, below_QB = score_QB > high_Q[:, None], score_QB < low_Q[:, None]
    itself_QB = torch.arange(first, first + len(candidate_BD), device=device) == answer_Q[:, None]
    above_QB &= ~itself_QB
    tied_QB = torch.zeros_like(above_QB)
    # "Neither above nor below" instead of "between": a fast score that is NaN is in doubt, too.
    q_P, b_P = (~above_QB & ~below_QB & ~itself_QB).nonzero(as_tuple=True)
    pairs = row_Q[q_P].cpu().numpy(), b_P.cpu().numpy()
    exact = search.score.exact(search.query_UD, candidate_BD, *pairs)
    exact_P = torch.from_numpy(exact).to(device)
    above_QB[q_P, b_P] = exact_P > score_Q[q_P]
    tied_QB[q_P, b_P] = exact_P == score_Q[q_P]
    other_QB = torch.zeros_like(above_QB)
    others = _others_in_block(search.others, first, len(candidate_BD))
    other_QB[tuple(torch.from_numpy(each).to(device) for each in others)] = True
    counts = above_QB, tied_QB, above_QB & other_QB, tied_QB & other_QB
    count_Q4 += torch.stack([each.sum(dim=1) for each in counts], dim=1).cpu().numpy()


def _others_in_block(others: Others, first: int, size: int) -> tuple[IntArray, IntArray]:
    """The other right answers that are in a block: their targets, and their positions in it."""
    count_Q = others.stop_Q - others.start_Q
    target_O = np.repeat(np.arange(len(count_Q)), count_Q)
    shift_Q = others.start_Q - (count_Q.cumsum() - count_Q)
    column_O = others.entity_K[np.arange(len(target_O)) + shift_Q[target_O]] - first
    inside_O = (column_O >= 0) & (column_O < size)
    return target_O[inside_O], column_O[inside_O]
