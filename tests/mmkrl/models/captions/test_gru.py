"""The GRU's last states and all gradients are those of torch's own."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from mmkrl.models.captions.gru import last_states

LENGTHS = [3, 7, 1, 5, 3]


def make(inputs=4, hidden=5, kind=torch.float64):
    torch.manual_seed(0)
    gru = nn.GRU(inputs, hidden, batch_first=True).to(kind)
    return gru, torch.randn(len(LENGTHS), 7, inputs, dtype=kind, requires_grad=True)


def packed(element_BLI, lengths=LENGTHS):
    return pack_padded_sequence(
        element_BLI, torch.tensor(lengths), batch_first=True, enforce_sorted=False
    )


@pytest.mark.parametrize("lengths", [LENGTHS, [7, 5, 3, 3, 1], [1] * 5, [4] * 5])
def test_states_and_gradients_equal_torch_s(lengths):
    gru, element_BLI = make()
    learned = [element_BLI, *gru.parameters()]
    ours_BH, theirs_BH = (
        last_states(gru, packed(element_BLI, lengths)),
        gru(packed(element_BLI, lengths))[1][0],
    )
    torch.testing.assert_close(ours_BH, theirs_BH)
    weight_BH = torch.randn_like(ours_BH)
    ours, theirs = (
        torch.autograd.grad((state_BH * weight_BH).sum(), learned)
        for state_BH in (ours_BH, theirs_BH)
    )
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)


def test_gradients_by_differences():
    gru, element_BLI = make(2, 3)
    assert torch.autograd.gradcheck(lambda x: last_states(gru, packed(x)), element_BLI)


def test_half_products_are_as_close_as_torch_s():
    gru, element_BLI = make(30, 40, torch.float32)
    exact_BH = gru(packed(element_BLI))[1][0]
    (exact_GH,) = torch.autograd.grad(exact_BH.square().sum(), gru.weight_hh_l0)
    errors = {}
    for name, run in (("ours", last_states), ("theirs", lambda g, p: g(p)[1][0])):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            state_BH = run(gru, packed(element_BLI))
        (slope_GH,) = torch.autograd.grad(state_BH.float().square().sum(), gru.weight_hh_l0)
        with torch.no_grad():
            errors[name] = [
                float((found.float() - exact).norm() / exact.norm())
                for found, exact in ((state_BH, exact_BH), (slope_GH, exact_GH))
            ]
    for ours, theirs in zip(errors["ours"], errors["theirs"], strict=True):
        assert ours < min(0.01, 1.2 * theirs)
