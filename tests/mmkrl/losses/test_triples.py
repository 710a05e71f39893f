"""Losses on the scores of triples against plain loops."""

import math

import pytest
import torch

from mmkrl.losses.triples import margin_hinge, nuclear_3_norm, one_vs_all, self_adversarial


def draw(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


COUNTED = pytest.mark.parametrize("some", [False, True])


def counted(shape, some):
    """Which corruptions count; the first row's all do not."""
    if not some:
        return None
    mask = draw(*shape, seed=5) > 0
    mask[0] = False
    return mask


def rows(positive_B, negative_BK, counted_BK):
    mask_BK = torch.ones_like(negative_BK) if counted_BK is None else counted_BK
    return zip(positive_B.tolist(), negative_BK.tolist(), mask_BK.tolist(), strict=True)


@COUNTED
@pytest.mark.parametrize("margin", [0.0, 0.5, 4.0])
def test_margin_hinge(margin, some):
    positive_B, negative_BK = draw(6), draw(6, 4, seed=1)
    counted_BK = counted((6, 4), some)
    total = 0.0
    for positive, negatives, counts in rows(positive_B, negative_BK, counted_BK):
        for negative, count in zip(negatives, counts, strict=True):
            total += max(0.0, margin + -positive - -negative) if count else 0.0
    result = margin_hinge(positive_B, negative_BK, margin, counted_BK)
    assert float(result) == pytest.approx(total / 24)


def test_exactly_at_the_margin_costs_nothing_and_has_no_slope():
    positive_B = torch.tensor([-1.0], requires_grad=True)
    loss = margin_hinge(positive_B, torch.tensor([[-3.0]]), 2.0)
    loss.backward()
    assert float(loss) == 0
    assert float(positive_B.grad) == 0


@COUNTED
@pytest.mark.parametrize("temperature", [0.0, 0.5, 3.0])
def test_self_adversarial(temperature, some):
    positive_B, negative_BK = draw(5), draw(5, 3, seed=1)
    counted_BK = counted((5, 3), some)
    total = 0.0
    for positive, negatives, counts in rows(positive_B, negative_BK, counted_BK):
        total -= math.log(sigmoid(2.0 - -positive))
        kept = [n for n, count in zip(negatives, counts, strict=True) if count]
        weights = [math.exp(temperature * n) for n in kept]
        for weight, negative in zip(weights, kept, strict=True):
            total -= weight / sum(weights) * math.log(sigmoid(-negative - 2.0))
    result = self_adversarial(
        positive_B, negative_BK, margin=2.0, temperature=temperature, counted_BK=counted_BK
    )
    assert float(result) == pytest.approx(total / 5)


def test_no_gradient_passes_through_the_adversarial_weights():
    positive_B, negative_BK = draw(4), draw(4, 3, seed=1).requires_grad_()
    self_adversarial(positive_B, negative_BK, margin=1.0, temperature=2.0).backward()
    weight_BK = (2.0 * negative_BK.detach()).softmax(dim=1)
    expected_BK = weight_BK * torch.sigmoid(1.0 + negative_BK.detach()) / 4
    torch.testing.assert_close(negative_BK.grad, expected_BK)


def test_one_vs_all():
    score_BE, answer_B = draw(4, 7), torch.tensor([3, 0, 6, 3])
    total = 0.0
    for scores, answer in zip(score_BE.tolist(), answer_B.tolist(), strict=True):
        total -= scores[answer] - math.log(sum(math.exp(score) for score in scores))
    assert float(one_vs_all(score_BE, answer_B)) == pytest.approx(total / 4)


def test_nuclear_3_norm():
    factors = [draw(3, 4, seed=seed) for seed in range(3)]
    total = sum(abs(x) ** 3 for factor in factors for row in factor.tolist() for x in row)
    assert float(nuclear_3_norm(*factors)) == pytest.approx(total / 3)


def test_gradients():
    positive_B, negative_BK = draw(4).requires_grad_(), draw(4, 3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda p, n: margin_hinge(p, n, 0.7), (positive_B, negative_BK))
    assert torch.autograd.gradcheck(lambda f: nuclear_3_norm(f, f * 2), (negative_BK,))
    answer_B = torch.tensor([0, 2, 1, 1])
    assert torch.autograd.gradcheck(lambda s: one_vs_all(s, answer_B), (negative_BK,))
