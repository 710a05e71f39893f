"""How many candidates are more plausible than the right answer: what ranks are made of.

Counts of different candidates add up, so a table of entities that is cut into shards is ranked
shard by shard. Candidates are taken a block at a time; (queries x entities) scores never exist.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mmkrl.arrays import FloatArray, IntArray
from mmkrl.evaluate.exact.fast_scores import bounds, fast_scores, lengths
from mmkrl.evaluate.exact.scorer import Metric
from mmkrl.kernels import pair_scores
from mmkrl.kernels.counting import Block, Others, Targets, count_block

_BLOCK = 1024
_PAIRS = 1 << 16
NUMBERS: dict[Metric, int] = {
    "l1": pair_scores.L1,
    "l2": pair_scores.L2,
    "modulus": pair_scores.MODULUS,
    "dot": pair_scores.DOT,
    "order": pair_scores.ORDER,
}
"""What compiled loops call each metric."""

Bounds = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Search:
    """Queries, and the answer each is expected to find.

    Attributes:
        metric: How queries and candidates are compared.
        query_UD: Different queries, float32.
        row_Q: The query of each answer.
        answer_Q: Position of each answer among all candidates.
        score_Q: Its exact score.
        others: Other right answers, of which a filtered ranking counts none.
    """

    metric: Metric
    query_UD: Tensor
    row_Q: IntArray
    answer_Q: IntArray
    score_Q: FloatArray
    others: Others


def exact_scores(
    metric: Metric, query_UD: Tensor, candidate_ED: Tensor, row_Q: IntArray, candidate_Q: IntArray
) -> FloatArray:
    """The exact scores of chosen pairs, shape (Q,): by the same loop wherever the vectors are.

    Args:
        metric: How they are compared.
        query_UD: float32.
        candidate_ED: float32, on the same device.
        row_Q: The query of each pair.
        candidate_Q: The candidate of each pair.
    """
    number = NUMBERS[metric]
    if query_UD.device.type == "cpu":
        arrays = query_UD.numpy(), candidate_ED.numpy()
        return pair_scores.pair_scores(number, *arrays, row_Q, candidate_Q)
    score_Q = np.empty(len(row_Q))
    for start in range(0, len(row_Q), _PAIRS):
        pairs = slice(start, start + _PAIRS)
        query_PD = query_UD[torch.from_numpy(row_Q[pairs]).to(query_UD.device)].cpu()
        each_PD = candidate_ED[torch.from_numpy(candidate_Q[pairs]).to(query_UD.device)].cpu()
        place_P = np.arange(len(query_PD))
        arrays = query_PD.numpy(), each_PD.numpy()
        score_Q[pairs] = pair_scores.pair_scores(number, *arrays, place_P, place_P)
    return score_Q


def count_candidates(search: Search, candidate_BD: Tensor, *, first: int = 0) -> IntArray:
    """Compare some candidates with the answers.

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
    count = _count_compiled if candidate_BD.device.type == "cpu" else _count_with_torch
    for start in range(0, len(candidate_BD), _BLOCK):
        block_BD = candidate_BD[start : start + _BLOCK]
        certain = bounds(search.metric, length_Q, block_BD, search.score_Q)
        count(search, block_BD, first + start, certain, count_Q4)
    return count_Q4


def _count_compiled(
    search: Search, candidate_BD: Tensor, first: int, certain: Bounds, count_Q4: IntArray
) -> None:
    """Add the counts of a block, by compiled loops."""
    score_UB = fast_scores(search.metric, search.query_UD, candidate_BD)
    arrays = search.query_UD.numpy(), candidate_BD.numpy(), first, score_UB.numpy()
    count_block(
        Block(NUMBERS[search.metric], *arrays),
        Targets(search.row_Q, search.answer_Q, search.score_Q, *certain),
        search.others,
        count_Q4,
    )


def _count_with_torch(
    search: Search, candidate_BD: Tensor, first: int, certain: Bounds, count_Q4: IntArray
) -> None:
    """Add the same counts where the vectors are, for devices without compiled loops."""
    device = candidate_BD.device
    row_Q, answer_Q, score_Q, low_Q, high_Q = (
        torch.from_numpy(each).to(device)
        for each in (search.row_Q, search.answer_Q, search.score_Q, *certain)
    )
    score_QB = fast_scores(search.metric, search.query_UD, candidate_BD)[row_Q]
    above_QB, below_QB = score_QB > high_Q[:, None], score_QB < low_Q[:, None]
    itself_QB = torch.arange(first, first + len(candidate_BD), device=device) == answer_Q[:, None]
    above_QB &= ~itself_QB
    tied_QB = torch.zeros_like(above_QB)
    q_P, b_P = (~above_QB & ~below_QB & ~itself_QB).nonzero(as_tuple=True)
    pairs = row_Q[q_P].cpu().numpy(), b_P.cpu().numpy()
    exact = exact_scores(search.metric, search.query_UD, candidate_BD, *pairs)
    exact_P = torch.from_numpy(exact).to(device)
    above_QB[q_P, b_P] = exact_P > score_Q[q_P]
    tied_QB[q_P, b_P] = exact_P == score_Q[q_P]
    other_QB = torch.zeros_like(above_QB)
    others = _others_in_block(search.others, first, len(candidate_BD))
    other_QB[tuple(torch.from_numpy(each).to(device) for each in others)] = True
    counts = above_QB, tied_QB, above_QB & other_QB, tied_QB & other_QB
    count_Q4 += torch.stack([each.sum(dim=1) for each in counts], dim=1).cpu().numpy()


def _others_in_block(others: Others, first: int, size: int) -> tuple[IntArray, IntArray]:
    """The other right answers that are in a block: their targets, and their places in it."""
    count_Q = others.stop_Q - others.start_Q
    target_O = np.repeat(np.arange(len(count_Q)), count_Q)
    shift_Q = others.start_Q - (count_Q.cumsum() - count_Q)
    place_O = others.entity_K[np.arange(len(target_O)) + shift_Q[target_O]] - first
    inside_O = (place_O >= 0) & (place_O < size)
    return target_O[inside_O], place_O[inside_O]
