"""Losses between the modalities against plain loops."""

import pytest
import torch
from torch.nn import functional

from mmkrl.losses.cross_modal import distillation, hardest_triplets, multivariate_regression


def draw(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def unit(*shape, seed=0):
    return functional.normalize(draw(*shape, seed=seed), dim=1)


def squared_distances(left, right):
    return [
        sum((a - b) ** 2 for a, b in zip(x, y, strict=True))
        for x, y in zip(left.tolist(), right.tolist(), strict=True)
    ]


def product(left, right):
    return sum(a * b for a, b in zip(left, right, strict=True))


def hardest_triplets_loop(anchor_BD, positive_BD, negative_CD, same_BC, margin, top_k):
    terms = []
    negatives, same = negative_CD.tolist(), same_BC.tolist()
    for b, (anchor, positive) in enumerate(
        zip(anchor_BD.tolist(), positive_BD.tolist(), strict=True)
    ):
        hinges = [
            0.0
            if same[b][c]
            else max(0.0, margin - product(anchor, positive) + product(anchor, negative))
            for c, negative in enumerate(negatives)
        ]
        terms.extend(sorted(hinges, reverse=True)[:top_k])
    return sum(terms) / len(terms)


@pytest.mark.parametrize("rows", [1, 2, 7])
def test_multivariate_regression(rows):
    prediction_BD, target_BD = draw(rows, 5), draw(rows, 5, seed=1)
    expected = sum(squared_distances(prediction_BD, target_BD)) / (2 * rows)
    assert float(multivariate_regression(prediction_BD, target_BD)) == pytest.approx(expected)
    assert float(multivariate_regression(target_BD, target_BD)) == 0


@pytest.mark.parametrize("rows", [1, 2, 7])
def test_distillation(rows):
    text_BD, target_BD = unit(rows, 5), unit(rows, 5, seed=1)
    expected = sum(squared_distances(text_BD, target_BD)) / rows
    assert float(distillation(text_BD, target_BD)) == pytest.approx(expected)
    cosine = float((text_BD * target_BD).sum(dim=1).mean())
    assert float(distillation(text_BD, target_BD)) == pytest.approx(2 - 2 * cosine)


@pytest.mark.parametrize("top_k", [1, 3, 8, 50])  # the last two: the pool, and more than it
@pytest.mark.parametrize("margin", [0.05, 0.5, 2.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_hardest_triplets(top_k, margin, seed):
    anchor_BD, positive_BD = unit(6, 5, seed=seed), unit(6, 5, seed=seed + 10)
    negative_CD = unit(8, 5, seed=seed + 20)
    same_BC = draw(6, 8, seed=seed + 30) > 0.8
    given = anchor_BD, positive_BD, negative_CD, same_BC
    result = hardest_triplets(*given, margin=margin, top_k=top_k)
    assert float(result) == pytest.approx(hardest_triplets_loop(*given, margin, top_k))


def test_equal_negatives_count_as_many_as_they_are():
    anchor_BD, positive_BD = unit(2, 4), unit(2, 4, seed=1)
    negative_CD = unit(1, 4, seed=2).repeat(5, 1)
    same_BC = torch.zeros(2, 5, dtype=torch.bool)
    given = anchor_BD, positive_BD, negative_CD, same_BC
    result = hardest_triplets(*given, margin=3.0, top_k=3)
    assert float(result) == pytest.approx(hardest_triplets_loop(*given, 3.0, 3))


def test_negatives_exactly_at_the_margin_cost_nothing():
    anchor_BD = torch.tensor([[1.0, 0.0]])
    negative_CD = torch.tensor([[0.5, 0.0], [0.0, 1.0]])
    same_BC = torch.zeros(1, 2, dtype=torch.bool)
    result = hardest_triplets(anchor_BD, anchor_BD, negative_CD, same_BC, margin=0.5, top_k=2)
    assert float(result) == 0


def test_a_pool_of_the_anchor_s_own_matches_costs_nothing():
    anchor_BD = unit(3, 4).requires_grad_()
    same_BC = torch.ones(3, 6, dtype=torch.bool)
    given = anchor_BD, unit(3, 4, seed=1), unit(6, 4, seed=2)
    result = hardest_triplets(*given, same_BC, margin=2.0, top_k=4)
    result.backward()
    assert float(result.detach()) == 0
    assert not anchor_BD.grad.any()


def test_a_masked_row_leaves_the_other_rows_alone():
    anchor_BD, positive_BD, negative_CD = unit(3, 4), unit(3, 4, seed=1), unit(6, 4, seed=2)
    same_BC = torch.zeros(3, 6, dtype=torch.bool)
    same_BC[1] = True
    given = anchor_BD, positive_BD, negative_CD, same_BC
    result = hardest_triplets(*given, margin=2.0, top_k=4)
    assert float(result) == pytest.approx(hardest_triplets_loop(*given, 2.0, 4))
    kept = [0, 2]
    others = hardest_triplets(
        anchor_BD[kept], positive_BD[kept], negative_CD, same_BC[kept], margin=2.0, top_k=4
    )
    assert float(result) == pytest.approx(float(others) * 2 / 3)


@pytest.mark.parametrize("loss", [multivariate_regression, distillation])
def test_gradients_of_the_squared_distances(loss):
    given = draw(4, 3).requires_grad_(), draw(4, 3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(loss, given)


@pytest.mark.parametrize("top_k", [1, 3, 20])
def test_gradients_of_hardest_triplets(top_k):
    given = [unit(4, 3, seed=seed).requires_grad_() for seed in (3, 4)]
    negative_CD = unit(6, 3, seed=5).requires_grad_()
    same_BC = draw(4, 6, seed=6) > 0.5

    def loss(anchor_BD, positive_BD, negative_CD):
        return hardest_triplets(
            anchor_BD, positive_BD, negative_CD, same_BC, margin=0.7, top_k=top_k
        )

    assert torch.autograd.gradcheck(loss, (*given, negative_CD))
