"""Losses on the text side of a relationship (subject, predicate, object)."""

from __future__ import annotations

import torch
from torch import Tensor


def triplet_relationship(
    anchor_BD: Tensor, near_BD: Tensor, far_BD: Tensor, margin: float
) -> Tensor:
    r"""Triplet (hinge) loss: a relationship lies closer to one that shares more of its slots.

    .. math:: L = \frac{1}{B} \sum_b \max(0,\ m - \cos(a_b, n_b) + \cos(a_b, f_b))

    The "triplet relationship strategy" of MM-KRL (Nian et al., ACM MM 2017) is known by name
    only; this reading of it is ours.

    Args:
        anchor_BD: Unit vectors of relationships.
        near_BD: Unit vectors of relationships that share more slots with the anchor.
        far_BD: Unit vectors of relationships that share fewer.
        margin: Least difference of the two cosines.

    Returns:
        A scalar.
    """
    near_B = (anchor_BD * near_BD).sum(dim=1)
    far_B = (anchor_BD * far_BD).sum(dim=1)
    return (margin - near_B + far_B).clamp(min=0).mean()


def graded_relationship(
    anchor_BD: Tensor, shared_two_BD: Tensor, shared_one_BD: Tensor, margin: float
) -> Tensor:
    r"""The order of shared slots is kept: itself, then two shared slots, then one.

    Two triplets: the anchor itself must stay ahead of a relationship that shares two slots (else
    relationships that differ in one word collapse), and that one ahead of one that shares a
    single slot.

    .. math:: L = \mathrm{triplet}(a, a, s_2) + \mathrm{triplet}(a, s_2, s_1)

    Ours; :func:`triplet_relationship` alone pulls relationships together that differ in one slot.

    Args:
        anchor_BD: Unit vectors of relationships.
        shared_two_BD: Unit vectors of relationships that share two slots with the anchor.
        shared_one_BD: Unit vectors of relationships that share one.
        margin: Least difference of cosines between neighbouring grades.

    Returns:
        A scalar.
    """
    return triplet_relationship(anchor_BD, anchor_BD, shared_two_BD, margin) + triplet_relationship(
        anchor_BD, shared_two_BD, shared_one_BD, margin
    )


def translation_consistency(true_B3D: Tensor, corrupt_B3D: Tensor, margin: float) -> Tensor:
    r"""The parts' own vectors obey subject + predicate = object, as in TransE.

    .. math:: L = \frac{1}{B} \sum_b \max(0,\ m + \|s + p - o\|_1 / D - \|s' + p' - o'\|_1 / D)

    TransE's hinge (Bordes et al., NIPS 2013, eq. 1) on projected word vectors; the division by
    the dimension, which makes the margin independent of it, is ours.

    Args:
        true_B3D: Vectors of subject, predicate and object of true relationships.
        corrupt_B3D: The same with one slot replaced.
        margin: Least difference of the two energies, per dimension.

    Returns:
        A scalar.
    """
    return (margin + _translation(true_B3D) - _translation(corrupt_B3D)).clamp(min=0).mean()


def _translation(part_B3D: Tensor) -> Tensor:
    subject_BD, predicate_BD, object_BD = part_B3D.unbind(dim=1)
    return torch.abs(subject_BD + predicate_BD - object_BD).mean(dim=1)
