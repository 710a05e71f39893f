"""Triplet ranking of captions against plain loops: every mining mode, masks, both measures."""

import math

import pytest
import torch

import mmkrl.losses.captions as module
from mmkrl.losses.captions import (
    SCORES,
    cosine_scores,
    negatives,
    order_scores,
    triplet_ranking,
)

MINING = ["sum", "semi_hard", "max", "top_k"]


def draw(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def ranking_loop(score_BC, match_B, counted_BC, margin, mining, top_k):
    total = 0.0
    scores, counted = score_BC.tolist(), counted_BC.tolist()
    for b, match in enumerate(match_B.tolist()):
        own = scores[b][match]
        others = [s for s, counts in zip(scores[b], counted[b], strict=True) if counts]
        hinges = sorted((max(0.0, margin - own + s) for s in others), reverse=True)
        if mining == "sum":
            total += sum(hinges)
        elif mining == "max":
            total += hinges[0] if hinges else 0.0
        elif mining == "top_k":
            total += sum(hinges[:top_k]) / min(top_k, len(scores[b]))
        elif others:
            below = [s for s in others if s < own]
            total += max(0.0, margin - own + (max(below) if below else min(others)))
    return total / len(scores)


def given(anchors, candidates, seed=0):
    """Scores, matches and which candidates count; the first anchor has no negative at all."""
    score_BC = draw(anchors, candidates, seed=seed)
    match_B = torch.arange(anchors) % candidates
    image_B = torch.arange(anchors) // 2
    counted_BC = negatives(image_B, torch.arange(candidates) // 2, match_B, masked=True)
    counted_BC[0] = False
    return score_BC, match_B, counted_BC


@pytest.mark.parametrize("mining", MINING)
@pytest.mark.parametrize("margin", [0.05, 0.7, 5.0])
@pytest.mark.parametrize(("anchors", "candidates"), [(1, 1), (6, 6), (4, 9)])
def test_triplet_ranking(mining, margin, anchors, candidates):
    for seed in range(3):
        arrays = given(anchors, candidates, seed)
        found = triplet_ranking(*arrays, margin=margin, mining=mining, top_k=3)
        assert float(found) == pytest.approx(ranking_loop(*arrays, margin, mining, 3))


def test_all_negatives_above_the_match_leave_the_easiest_semi_hard_one():
    score_BC = torch.tensor([[0.1, 0.9, 0.4]])
    counted_BC = torch.tensor([[False, True, True]])
    loss = triplet_ranking(score_BC, torch.tensor([0]), counted_BC, margin=0.2, mining="semi_hard")
    assert float(loss) == pytest.approx(0.2 - 0.1 + 0.4)


def test_a_negative_exactly_at_the_margin_costs_nothing():
    score_BC, match_B = torch.tensor([[0.75, 0.5]]), torch.tensor([0])
    counted_BC = torch.tensor([[False, True]])
    for mining in MINING:
        assert not triplet_ranking(score_BC, match_B, counted_BC, margin=0.25, mining=mining)


@pytest.mark.parametrize("masked", [True, False])
def test_negatives_by_a_loop(masked):
    image_B, image_C = torch.tensor([3, 5, 3, 8]), torch.tensor([5, 3, 3, 8, 9])
    match_B = torch.tensor([1, 0, 2, 3])
    found = negatives(image_B, image_C, match_B, masked=masked)
    for b in range(4):
        for c in range(5):
            same = image_B[b] == image_C[c] if masked else match_B[b] == c
            assert bool(found[b, c]) != bool(same)


@pytest.mark.parametrize("mining", MINING)
def test_gradients_of_the_ranking(mining):
    score_BC, match_B, counted_BC = given(5, 7)
    score_BC.requires_grad_()

    def loss(score_BC):
        return triplet_ranking(score_BC, match_B, counted_BC, margin=0.8, mining=mining, top_k=2)

    assert torch.autograd.gradcheck(loss, score_BC)


def test_measures_by_a_loop():
    image_BD, text_CD = draw(4, 5).abs(), draw(6, 5, seed=1).abs()
    for b, image in enumerate(image_BD.tolist()):
        for c, text in enumerate(text_CD.tolist()):
            pairs = list(zip(image, text, strict=True))
            product = sum(u * v for u, v in pairs)
            energy = sum(max(0.0, v - u) ** 2 for u, v in pairs)
            assert float(cosine_scores(image_BD, text_CD)[b, c]) == pytest.approx(product)
            assert float(order_scores(image_BD, text_CD)[b, c]) == pytest.approx(-energy)
    assert {"cosine": cosine_scores, "order": order_scores} == SCORES


@pytest.mark.parametrize("numbers", [1, 40, 1 << 22])  # one image at a time, some, all
def test_the_order_measure_and_its_gradients_in_chunks(numbers, monkeypatch):
    monkeypatch.setattr(module, "_CHUNK_NUMBERS", numbers)
    image_BD, text_CD = draw(5, 4).requires_grad_(), draw(3, 4, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(order_scores, (image_BD, text_CD))
    whole_BC = -torch.relu(text_CD[None] - image_BD[:, None]).square().sum(dim=2)
    torch.testing.assert_close(order_scores(image_BD, text_CD), whole_BC)


def test_the_order_measure_holds_no_cube_of_differences():
    image_BD, text_CD = torch.rand(400, 256), torch.rand(400, 256)
    largest = max(excess_RCD.numel() for _, excess_RCD in module._excesses(image_BD, text_CD))
    assert largest <= module._CHUNK_NUMBERS < 400 * 400 * 256
    assert math.isfinite(float(order_scores(image_BD, text_CD).sum()))
