"""Expected values of ranking measures when tied items are ordered at random.

Items with equal scores form a tie group whose members take the group's positions in any order,
each order being equally likely. Every function here gives the exact expectation over those orders
(F. McSherry and M. Najork, "Computing Information Retrieval Performance Measures Efficiently in
the Presence of Tied Scores", ECIR 2008; the closed forms are derived from its section 2), so a
constant scorer gets the random level and the order of the gallery never matters. Without ties the
values are the ordinary ones. No score is computed here and nothing is averaged over queries.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class MarkedPositions:
    """Where each query's marked items (relevant, or of positive gain) stand, ties included.

    Rows are queries; the M columns are the marked items from the best score to the worst, padded
    to the largest number of marked items. Counts are int64.

    Attributes:
        item_QM: gallery index of the marked item.
        valid_QM: False in the padding.
        above_QM: items, marked or not, with a higher score.
        tied_QM: size of the item's tie group, itself included.
        marked_above_QM: marked items with a higher score.
        marked_tied_QM: marked items in the item's tie group, itself included.
    """

    item_QM: Tensor
    valid_QM: Tensor
    above_QM: Tensor
    tied_QM: Tensor
    marked_above_QM: Tensor
    marked_tied_QM: Tensor


def marked_positions(score_QG: Tensor, marked_QG: Tensor) -> MarkedPositions:
    """Locate the marked items of each query among all its items.

    Args:
        score_QG: shape (Q, G), float32; higher is better, -inf for removed items.
        marked_QG: shape (Q, G), bool, False for removed items.

    Returns:
        Positions of the marked items; at least one column, even when nothing is marked.
    """
    count_Q = marked_QG.sum(dim=1)
    width = max(1, int(count_Q.max()))
    score_QM, item_QM = score_QG.masked_fill(~marked_QG, -torch.inf).topk(width, dim=1)
    column_M = torch.arange(width, device=score_QG.device)
    # Every marked item needs the counts of its own score: with all values sorted once, two binary
    # searches each. Values alone are sorted; the order of tied items is never asked for.
    above_QM, tied_QM = _count_above_and_tied(_ascending(-score_QG), score_QM)
    marked_above_QM, marked_tied_QM = _count_above_and_tied(-score_QM, score_QM)
    return MarkedPositions(
        item_QM=item_QM,
        valid_QM=column_M < count_Q[:, None],
        above_QM=above_QM,
        tied_QM=tied_QM,
        marked_above_QM=marked_above_QM,
        marked_tied_QM=marked_tied_QM,
    )


def single_positions(above_Q: Tensor, tied_Q: Tensor) -> MarkedPositions:
    """The positions of queries with one marked item each.

    Args:
        above_Q: shape (Q,), int64; items with a higher score.
        tied_Q: shape (Q,), int64; items with its score, itself included.
    """
    above_Q1, tied_Q1 = above_Q[:, None], tied_Q[:, None]
    return MarkedPositions(
        item_QM=torch.zeros_like(above_Q1),
        valid_QM=torch.ones_like(above_Q1, dtype=torch.bool),
        above_QM=above_Q1,
        tied_QM=tied_Q1,
        marked_above_QM=torch.zeros_like(above_Q1),
        marked_tied_QM=torch.ones_like(above_Q1),
    )


def _count_above_and_tied(negated_QN: Tensor, score_QM: Tensor) -> tuple[Tensor, Tensor]:
    """Count the scores above and equal to each score, given negated scores in ascending order."""
    wanted_QM = (-score_QM).contiguous()
    above_QM = torch.searchsorted(negated_QN, wanted_QM)
    return above_QM, torch.searchsorted(negated_QN, wanted_QM, right=True) - above_QM


def _ascending(value_QG: Tensor) -> Tensor:
    """Sort rows, on the CPU in place and by NumPy, whose sort of values is several times faster."""
    if value_QG.device.type == "cpu":
        array_QG = value_QG.numpy()
        array_QG.sort(axis=1)
        return value_QG
    return value_QG.sort(dim=1).values


def average_precision(positions: MarkedPositions) -> Tensor:
    """Expected average precision, shape (Q,), float64; the marked items are the relevant ones.

    A group of n items, r relevant, after t items, R relevant, adds
    r/n * sum_{j=t+1..t+n} (R + 1 + (j-t-1) (r-1)/(n-1)) / j; the sum is taken in closed form
    with harmonic numbers, and AP is the total divided by the number of relevant items.
    """
    above, tied = positions.above_QM.double(), positions.tied_QM.double()
    # The j-th position of a group holds a marked item with probability r / n; given that, the
    # other r - 1 are spread over the other n - 1: (j-t-1) (r-1) / (n-1) are expected before it.
    # Each of the r items adds 1 / n of the sum, so summing over items gives the group's r / n.
    slope = (positions.marked_tied_QM - 1) / (tied - 1).clamp(min=1)
    level = positions.marked_above_QM + 1 - (above + 1) * slope
    term_QM = (level * (_harmonic(above + tied) - _harmonic(above)) + tied * slope) / tied
    return _sum_valid(term_QM, positions) / positions.valid_QM.sum(dim=1)


def _harmonic(count: Tensor) -> Tensor:
    """Harmonic number of each count, up to Euler's constant, which cancels in differences."""
    harmonic: Tensor = torch.special.digamma(count + 1)
    return harmonic


def expected_in_first(positions: MarkedPositions, cutoff: int) -> Tensor:
    """Expected number of marked items in the first `cutoff` positions, shape (Q,), float64."""
    # Of a group that reaches over the cutoff, each item is before it with the group's share.
    share_QM = (cutoff - positions.above_QM.double()) / positions.tied_QM
    return _sum_valid(share_QM.clamp(0, 1), positions)


def expected_discounted_gain(
    positions: MarkedPositions, gain_QM: Tensor, discount_K: Tensor
) -> Tensor:
    """Expected sum of gain x discount over the first K positions, shape (Q,), float64.

    Each item of a group receives the mean discount of the group's positions (positions after K
    have none).

    Args:
        positions: items of positive gain.
        gain_QM: shape (Q, M), gain of each of them.
        discount_K: shape (K,), float64, discount of each position.
    """
    total_K = torch.cat([discount_K.new_zeros(1), discount_K.cumsum(0)])
    first_QM = positions.above_QM.clamp(max=len(discount_K))
    last_QM = (positions.above_QM + positions.tied_QM).clamp(max=len(discount_K))
    discount_QM = (total_K[last_QM] - total_K[first_QM]) / positions.tied_QM
    return _sum_valid(gain_QM * discount_QM, positions)


def _sum_valid(value_QM: Tensor, positions: MarkedPositions) -> Tensor:
    return value_QM.masked_fill(~positions.valid_QM, 0).sum(dim=1)


@dataclass(frozen=True, slots=True)
class FirstMarked:
    """The tie group that holds each query's best marked item: all of shape (Q,), float64.

    Attributes:
        above_Q: items before the group.
        tied_Q: items in the group.
        marked_Q: marked items in the group, at least 1.
    """

    above_Q: Tensor
    tied_Q: Tensor
    marked_Q: Tensor

    @classmethod
    def of(cls, positions: MarkedPositions) -> "FirstMarked":
        """Take the first column: columns run from the best score to the worst."""
        return cls(
            above_Q=positions.above_QM[:, 0].double(),
            tied_Q=positions.tied_QM[:, 0].double(),
            marked_Q=positions.marked_tied_QM[:, 0].double(),
        )

    def rank(self) -> Tensor:
        """Expected rank of the first marked item: t + (n+1)/(r+1); 1 is the best.

        With one marked item in the group this is the mean rank of the tied items.
        """
        return self.above_Q + (self.tied_Q + 1) / (self.marked_Q + 1)

    def reciprocal_rank(self) -> Tensor:
        """Expected reciprocal of the rank of the first marked item; its mean is the MRR."""
        drawn_1N = torch.arange(int(self.tied_Q.max()) + 1, device=self.tied_Q.device)[None, :]
        none_QN = self._probability_none(drawn_1N)
        # The first marked item is the m-th drawn if m - 1 draws hold none of them, and m draws do.
        first_QN = none_QN[:, :-1] - none_QN[:, 1:]
        return (first_QN / (self.above_Q[:, None] + drawn_1N[:, 1:])).sum(dim=1)

    def hit(self, cutoff: int) -> Tensor:
        """Probability that a marked item is among the first `cutoff` positions."""
        drawn_Q = (cutoff - self.above_Q).clamp(min=0).minimum(self.tied_Q)
        return 1 - self._probability_none(drawn_Q[:, None]).squeeze(1)

    def _probability_none(self, drawn_QN: Tensor) -> Tensor:
        """Probability that the first `drawn` items of the group hold no marked one.

        Hypergeometric: C(n-r, m) / C(n, m), through log-gamma; 0 once m exceeds n-r.
        """
        tied, other = self.tied_Q[:, None], (self.tied_Q - self.marked_Q)[:, None]
        log_QN = _log_falling(other, drawn_QN) - _log_falling(tied, drawn_QN)
        return log_QN.exp().masked_fill(drawn_QN > other, 0)


def _log_falling(count: Tensor, drawn: Tensor) -> Tensor:
    """Logarithm of count (count-1) ... (count-drawn+1); of count! where drawn exceeds count."""
    return torch.lgamma(count + 1) - torch.lgamma((count - drawn).clamp(min=0) + 1)
