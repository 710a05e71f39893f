"""Losses on relationships against plain loops."""

import pytest
import torch
from torch.nn import functional

from mmkrl.losses.relationship import (
    graded_relationship,
    translation_consistency,
    triplet_relationship,
)


def draw(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def units(rows, count, seed):
    return [functional.normalize(draw(rows, 5, seed=seed * 100 + i), dim=1) for i in range(count)]


def product(left, right):
    return sum(a * b for a, b in zip(left, right, strict=True))


def triplet_loop(anchor_BD, near_BD, far_BD, margin):
    rows = list(zip(anchor_BD.tolist(), near_BD.tolist(), far_BD.tolist(), strict=True))
    return sum(max(0.0, margin - product(a, n) + product(a, f)) for a, n, f in rows) / len(rows)


def energy(parts):
    subject, predicate, object_ = parts
    return sum(abs(s + p - o) for s, p, o in zip(subject, predicate, object_, strict=True)) / len(
        subject
    )


def translation_loop(true_B3D, corrupt_B3D, margin):
    rows = list(zip(true_B3D.tolist(), corrupt_B3D.tolist(), strict=True))
    return sum(max(0.0, margin + energy(t) - energy(c)) for t, c in rows) / len(rows)


MARGINS = pytest.mark.parametrize("margin", [0.05, 0.5, 3.0])
ROWS = pytest.mark.parametrize("rows", [1, 6])


@MARGINS
@ROWS
def test_triplet_relationship(rows, margin):
    anchor_BD, near_BD, far_BD = units(rows, 3, seed=rows)
    result = triplet_relationship(anchor_BD, near_BD, far_BD, margin)
    assert float(result) == pytest.approx(triplet_loop(anchor_BD, near_BD, far_BD, margin))


@MARGINS
@ROWS
def test_graded_relationship(rows, margin):
    anchor_BD, two_BD, one_BD = units(rows, 3, seed=rows)
    expected = triplet_loop(anchor_BD, anchor_BD, two_BD, margin) + triplet_loop(
        anchor_BD, two_BD, one_BD, margin
    )
    result = graded_relationship(anchor_BD, two_BD, one_BD, margin)
    assert float(result) == pytest.approx(expected)


@MARGINS
@ROWS
def test_translation_consistency(rows, margin):
    true_B3D, corrupt_B3D = draw(rows, 3, 5), draw(rows, 3, 5, seed=1)
    result = translation_consistency(true_B3D, corrupt_B3D, margin)
    assert float(result) == pytest.approx(translation_loop(true_B3D, corrupt_B3D, margin))


def test_relationships_that_collapse_cost_the_margin():
    (vector_BD,) = units(4, 1, seed=0)
    assert float(triplet_relationship(vector_BD, vector_BD, vector_BD, 0.3)) == pytest.approx(0.3)
    assert float(graded_relationship(vector_BD, vector_BD, vector_BD, 0.3)) == pytest.approx(0.6)


def test_the_order_of_shared_slots_costs_nothing_once_the_margins_are_kept():
    angle_3 = torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64)
    vectors = torch.stack([angle_3.cos(), angle_3.sin()], dim=1)[:, None]
    assert float(graded_relationship(*vectors, 0.4)) == 0
    anchor_BD, two_BD, one_BD = vectors
    assert float(graded_relationship(anchor_BD, one_BD, two_BD, 0.4)) > 0.4


def test_exactly_at_the_hinge_costs_nothing():
    anchor_BD = torch.tensor([[1.0, 0.0]])
    far_BD = torch.tensor([[0.5, 0.0]])
    assert float(triplet_relationship(anchor_BD, anchor_BD, far_BD, 0.5)) == 0
    true_B3D = torch.zeros(1, 3, 4)
    corrupt_B3D = torch.zeros(1, 3, 4)
    corrupt_B3D[0, 0] = 0.5
    assert float(translation_consistency(true_B3D, corrupt_B3D, 0.5)) == 0
    assert float(translation_consistency(true_B3D, true_B3D, 0.5)) == 0.5


def test_translation_s_margin_does_not_depend_on_the_dimension():
    true_B3D, corrupt_B3D = draw(4, 3, 5), draw(4, 3, 5, seed=1)
    once = translation_consistency(true_B3D, corrupt_B3D, 1.0)
    twice = translation_consistency(true_B3D.repeat(1, 1, 2), corrupt_B3D.repeat(1, 1, 2), 1.0)
    assert float(once) == pytest.approx(float(twice))


@MARGINS
@pytest.mark.parametrize("loss", [triplet_relationship, graded_relationship])
def test_gradients_of_the_triplets(loss, margin):
    given = [vector_BD.requires_grad_() for vector_BD in units(5, 3, seed=2)]
    assert torch.autograd.gradcheck(lambda a, n, f: loss(a, n, f, margin), given)


@MARGINS
def test_gradients_of_translation(margin):
    given = draw(5, 3, 4).requires_grad_(), draw(5, 3, 4, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda t, c: translation_consistency(t, c, margin), given)
