"""Losses of local structure against plain loops, and where they are smallest."""

import math

import pytest
import torch
from torch.nn.functional import normalize

from mmkrl.losses.structure import (
    hard_triplets,
    neighbour_divergence,
    soft_triplets,
    unit_distances,
)

ANCHORS, ITEMS = 5, 9


@pytest.fixture
def case():
    """Distances of teacher and student, neighbours, and what counts; nothing does for anchor 2."""
    generator = torch.Generator().manual_seed(0)
    item_TD = normalize(torch.randn(ITEMS, 4, generator=generator))
    other_TD = normalize(torch.randn(ITEMS, 6, generator=generator))
    neighbour_A = torch.tensor([3, 4, 5, 6, 0])
    counted_AT = torch.rand(ANCHORS, ITEMS, generator=generator) < 0.6
    counted_AT[torch.arange(ANCHORS), neighbour_A] = False
    counted_AT[2] = False
    teacher_AT = unit_distances(item_TD[:ANCHORS], item_TD)
    student_AT = unit_distances(other_TD[:ANCHORS], other_TD).requires_grad_()
    return teacher_AT, student_AT, neighbour_A, counted_AT


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def plain_triplets(case, cost):
    """Sum over anchors of the mean over the items that count of cost(teacher's gap, student's)."""
    teacher, student = (each.tolist() for each in case[:2])
    neighbour, counted = (each.tolist() for each in case[2:])
    total = 0.0
    for a in range(ANCHORS):
        j = neighbour[a]
        costs = [
            cost(teacher[a][item] - teacher[a][j], student[a][item] - student[a][j])
            for item in range(ITEMS)
            if counted[a][item]
        ]
        total += sum(costs) / len(costs) if costs else 0.0
    return total / 4


def test_distances_of_unit_vectors():
    vector_ND = normalize(torch.randn(6, 5, generator=torch.Generator().manual_seed(1)))
    expected_NN = torch.cdist(vector_ND.double(), vector_ND.double())
    found_NN = unit_distances(vector_ND, vector_ND)
    off = ~torch.eye(6, dtype=torch.bool)
    torch.testing.assert_close(found_NN[off], expected_NN[off].float(), rtol=1e-4, atol=1e-5)
    assert bool((found_NN.diagonal() <= 2e-3).all())


def test_distances_of_equal_vectors_have_a_gradient():
    vector_ND = normalize(torch.ones(2, 3)).requires_grad_()
    unit_distances(vector_ND, vector_ND).sum().backward()
    assert bool(vector_ND.grad.isfinite().all())


def test_soft_triplets(case):
    def cost(teacher, student):
        q, p = sigmoid(teacher / 0.1), sigmoid(student / 0.1)
        return -(q * math.log(p) + (1 - q) * math.log(1 - p))

    found = soft_triplets(*case, temperature=0.1, count=4)
    assert found.item() == pytest.approx(plain_triplets(case, cost), rel=1e-4)


def test_hard_triplets(case):
    def cost(teacher, student):
        return max(0.0, 0.3 - student if teacher >= 0 else 0.3 + student)

    found = hard_triplets(*case, margin=0.3, count=4)
    assert found.item() == pytest.approx(plain_triplets(case, cost), rel=1e-5)


def test_neighbour_divergence(case):
    teacher, student, _, counted = (each.tolist() for each in case)
    total = 0.0
    for a in range(ANCHORS):
        items = [item for item in range(ITEMS) if counted[a][item]]
        weights = [
            [math.exp(-(side[a][item] ** 2) / 0.2) for item in items] for side in (teacher, student)
        ]
        shares = [[w / sum(row) for w in row] for row in weights]
        total += sum(q * math.log(q / p) for q, p in zip(*shares, strict=True))
    found = neighbour_divergence(case[0], case[1], case[3], temperature=0.2, count=4)
    assert found.item() == pytest.approx(total / 4, rel=1e-4)


def losses(case):
    teacher_AT, student_AT, _, counted_AT = case
    return [
        soft_triplets(*case, temperature=0.1, count=1),
        hard_triplets(*case, margin=0.3, count=1),
        neighbour_divergence(teacher_AT, student_AT, counted_AT, temperature=0.1, count=1),
    ]


@pytest.mark.parametrize("which", range(3))
def test_what_does_not_count_has_no_gradient(case, which):
    losses(case)[which].backward()
    _, student_AT, neighbour_A, counted_AT = case
    idle_AT = ~counted_AT
    if which < 2:  # the neighbour is one of two in every triplet
        idle_AT[torch.arange(ANCHORS), neighbour_A] = False
    idle_AT[2] = True
    assert bool((student_AT.grad[idle_AT] == 0).all())
    assert bool(student_AT.grad.isfinite().all())
    assert bool((student_AT.grad != 0).any())


@pytest.mark.parametrize("which", [0, 2])
def test_a_student_that_equals_its_teacher_has_nothing_to_learn(case, which):
    teacher_AT, _, neighbour_A, counted_AT = case
    same_AT = teacher_AT.clone().requires_grad_()
    losses((teacher_AT, same_AT, neighbour_A, counted_AT))[which].backward()
    assert same_AT.grad.abs().max().item() == pytest.approx(0, abs=1e-5)
