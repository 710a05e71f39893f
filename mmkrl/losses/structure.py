r"""Relational knowledge distillation: local structure that one modality teaches the other.

"Soft metric learning" is one of MTLS's three named parts (Dong, Jian, Lu 2020, Symmetry 12(9),
1504); its formula is not public, so all of these are ours. An anchor i has a neighbour j, and other
items l; the teacher's distances d give the belief that j is nearer than l,

.. math:: q_{ijl} = \sigma\big((d(i, l) - d(i, j)) / \tau\big)

and the student's distances its own, p. All functions return the sum over anchors of the mean over
what counts, divided by ``count``; an anchor for which nothing counts costs nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_LEAST = 1e-6  # squared distance below which a gradient would grow without bound


def unit_distances(anchor_AD: Tensor, other_TD: Tensor) -> Tensor:
    """Euclidean distances of unit vectors, shape (A, T), by their inner products.

    Args:
        anchor_AD: Unit vectors.
        other_TD: Unit vectors.
    """
    return (2 - 2 * (anchor_AD @ other_TD.T)).clamp(min=_LEAST).sqrt()


def soft_triplets(
    teacher_AT: Tensor,
    student_AT: Tensor,
    neighbour_A: Tensor,
    counted_AT: Tensor,
    *,
    temperature: float,
    count: int,
) -> Tensor:
    r"""Cross-entropy of the student's beliefs under the teacher's.

    .. math:: L = -\sum_i \mathrm{mean}_l\ q_{ijl} \log p_{ijl} + (1 - q_{ijl}) \log(1 - p_{ijl})

    Smallest, for given q, where the student's differences of distances equal the teacher's.

    Args:
        teacher_AT: Distances of A anchors from T items.
        student_AT: The same in the space that learns.
        neighbour_A: Position of each anchor's neighbour among the items.
        counted_AT: True for the items that count as l.
        temperature: Tau, in the unit of the distances.
        count: What the sum over anchors is divided by.
    """
    belief_AT = torch.sigmoid(_gap(teacher_AT, neighbour_A) / temperature)
    own_AT = _gap(student_AT, neighbour_A) / temperature
    entropy_AT = functional.binary_cross_entropy_with_logits(own_AT, belief_AT, reduction="none")
    return _mean_counted(entropy_AT, counted_AT).sum() / count


def hard_triplets(
    teacher_AT: Tensor,
    student_AT: Tensor,
    neighbour_A: Tensor,
    counted_AT: Tensor,
    *,
    margin: float,
    count: int,
) -> Tensor:
    r"""The ablation of soft triplets: beliefs of 0 or 1, and a hinge.

    .. math:: L = \sum_i \mathrm{mean}_l\ \max\big(0,\ \alpha \mp (d(i, l) - d(i, j))\big)

    with minus where the teacher holds j for the nearer one, and plus where l.

    Args:
        teacher_AT: Distances of A anchors from T items.
        student_AT: The same in the space that learns.
        neighbour_A: Position of each anchor's neighbour among the items.
        counted_AT: True for the items that count as l.
        margin: Alpha, in the unit of the distances.
        count: What the sum over anchors is divided by.
    """
    right_AT = torch.where(_gap(teacher_AT, neighbour_A) >= 0, 1.0, -1.0)
    hinge_AT = functional.relu(margin - right_AT * _gap(student_AT, neighbour_A))
    return _mean_counted(hinge_AT, counted_AT).sum() / count


def neighbour_divergence(
    teacher_AT: Tensor,
    student_AT: Tensor,
    counted_AT: Tensor,
    *,
    temperature: float,
    count: int,
) -> Tensor:
    r"""How far the student's soft neighbourhoods are from the teacher's.

    .. math:: L = \sum_i \mathrm{KL}\big(\mathrm{softmax}_j(-d^2(i, j) / \tau)\ \|\
        \mathrm{softmax}_j(-\hat d^2(i, j) / \tau)\big)

    Stochastic neighbours (Hinton and Roweis 2002, "Stochastic neighbor embedding") in both spaces;
    the same smallest point as soft triplets.

    Args:
        teacher_AT: Distances of A anchors from T items.
        student_AT: The same in the space that learns.
        counted_AT: True for the items that may be neighbours.
        temperature: Tau, in the unit of squared distances.
        count: What the sum over anchors is divided by.
    """
    # A softmax over nothing is NaN, and so is its gradient, which a mask afterwards would not
    # remove: anchors for which nothing counts go first. Masked logarithms become 0, as 0 * -inf is
    # NaN, too.
    kept_A = counted_AT.any(dim=1)
    counted_AT = counted_AT[kept_A]
    logs = [
        functional.log_softmax(
            (-distance_AT[kept_A].square() / temperature).masked_fill(~counted_AT, -torch.inf), 1
        ).masked_fill(~counted_AT, 0.0)
        for distance_AT in (teacher_AT, student_AT)
    ]
    divergence_AT = (logs[0].exp() * (logs[0] - logs[1])).masked_fill(~counted_AT, 0.0)
    return divergence_AT.sum() / count


def _gap(distance_AT: Tensor, neighbour_A: Tensor) -> Tensor:
    """How much farther each item is than the anchor's neighbour."""
    return distance_AT - distance_AT.gather(1, neighbour_A[:, None])


def _mean_counted(value_AT: Tensor, counted_AT: Tensor) -> Tensor:
    total_A = value_AT.masked_fill(~counted_AT, 0.0).sum(dim=1)
    return total_A / counted_AT.sum(dim=1).clamp(min=1)
