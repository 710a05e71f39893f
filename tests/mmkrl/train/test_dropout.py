"""Masks belong to rows of the global batch."""

import pytest
import torch

from mmkrl.train.dropout import ShardInvariantDropout


@pytest.mark.parametrize("cuts", [(12,), (6, 6), (3, 3, 3, 3), (1, 4, 7)])
def test_slices_of_a_batch_draw_the_masks_of_the_whole(cuts):
    row_BD = torch.randn(12, 9)
    whole_BD = ShardInvariantDropout(5, 0, 12)(row_BD, 0.4, layer=1)
    start, parts = 0, []
    for size in cuts:
        parts.append(
            ShardInvariantDropout(5, start, 12)(row_BD[start : start + size], 0.4, layer=1)
        )
        start += size
    assert torch.equal(torch.cat(parts), whole_BD)


def test_seeds_and_layers_draw_different_masks():
    one_BD = torch.ones(8, 32)
    masks = [
        ShardInvariantDropout(seed, 0, 8)(one_BD, 0.5, layer=layer) > 0
        for seed in (0, 1, 2)
        for layer in (0, 1, 2)
    ]
    assert len({tuple(mask.flatten().tolist()) for mask in masks}) == 9


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_zeroes_the_given_share_and_keeps_the_mean(rate):
    result_BD = ShardInvariantDropout(3, 0, 400)(torch.ones(400, 500), rate, layer=0)
    zeroed = float((result_BD == 0).float().mean())
    assert zeroed == pytest.approx(rate, abs=0.005)
    assert float(result_BD.mean()) == pytest.approx(1, abs=0.03)
    assert result_BD.max() == pytest.approx(1 / (1 - rate))


def test_rate_zero_is_identity():
    row_BD = torch.randn(4, 5)
    assert ShardInvariantDropout(1, 0, 4)(row_BD, 0.0, layer=0) is row_BD


def test_gradient_passes_where_the_mask_lets_values_pass():
    row_BD = torch.randn(6, 7, requires_grad=True)
    result_BD = ShardInvariantDropout(2, 0, 6)(row_BD, 0.5, layer=0)
    result_BD.sum().backward()
    assert torch.equal(row_BD.grad, torch.where(result_BD != 0, 2.0, 0.0))


def test_leaves_the_global_generator_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    ShardInvariantDropout(1, 0, 4)(torch.ones(4, 5), 0.5, layer=0)
    assert torch.equal(torch.get_rng_state(), before)
