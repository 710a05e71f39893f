r"""The last states of a GRU over packed sequences, in less time on a CPU than torch's own takes.

The same function and weights as :class:`torch.nn.GRU` (Cho et al. 2014):

.. math::
    r_t = \sigma(W_{ir} x_t + b_{ir} + W_{hr} h_{t-1} + b_{hr}) \qquad
    z_t = \sigma(W_{iz} x_t + b_{iz} + W_{hz} h_{t-1} + b_{hz}) \\
    n_t = \tanh(W_{in} x_t + b_{in} + r_t \odot (W_{hn} h_{t-1} + b_{hn})) \qquad
    h_t = n_t + z_t \odot (h_{t-1} - n_t)

Three things differ in the order of work alone. Gradients of the weights come from one product over
all steps after the last one, not from a sum of one product a step; nothing is multiplied with the
first state, which is zero; and only the last state of a sequence is kept, so no gradient is spread
over all of them. States are float32 even where products are in bfloat16.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

Weights: TypeAlias = tuple[Tensor, Tensor, Tensor, Tensor]  # of inputs and states, then biases


def last_states(gru: nn.GRU, packed: PackedSequence) -> Tensor:
    """The state after the last element of every sequence, forwards only.

    Args:
        gru: One layer, one direction; its weights.
        packed: Sequences, in the order in which they were given to be packed.

    Returns:
        Shape (B, H), float32 (float64 of float64 sequences), in the order before packing.
    """
    counts = packed.batch_sizes.tolist()
    weights = (gru.weight_ih_l0, gru.weight_hh_l0, gru.bias_ih_l0, gru.bias_hh_l0)
    half = torch.is_autocast_enabled("cpu")
    kind = torch.bfloat16 if half else packed.data.dtype
    sorted_BH: Tensor = _LastStates.apply(packed.data, *weights, counts, kind)  # type: ignore[no-untyped-call]
    if packed.unsorted_indices is None:
        return sorted_BH
    return sorted_BH.index_select(0, packed.unsorted_indices)


class _LastStates(torch.autograd.Function):
    """The recurrence, and its gradients. T elements in all, those of the same step side by side."""

    @staticmethod
    def forward(ctx: Any, element_TI: Tensor, *given: Any) -> Tensor:
        """States of sequences in the order of their lengths."""
        *weights, counts, kind = given
        input_GI, state_GH, input_bias_G, state_bias_G = weights
        hidden = state_GH.shape[1]
        element_TI, input_GI, state_GH = (x.to(kind) for x in (element_TI, input_GI, state_GH))
        gate_TG = torch.addmm(input_bias_G.to(kind), element_TI, input_GI.T)
        held_T4H = gate_TG.new_empty(len(element_TI), 4, hidden)  # r, z, n and what r multiplies
        before_TH = gate_TG.new_empty(len(element_TI), hidden)
        full = torch.float64 if kind == torch.float64 else torch.float32
        state_BH = torch.zeros(counts[0], hidden, dtype=full)
        bias_G = state_bias_G.to(full)
        start = 0
        for step, count in enumerate(counts):
            rows = slice(start, start + count)
            own_NG = bias_G.expand(count, -1)
            if step:
                before_TH[rows] = state_BH[:count]
                own_NG = own_NG + before_TH[rows] @ state_GH.T
            state_BH[:count] = _advance(gate_TG[rows], own_NG, state_BH[:count], held_T4H[rows])
            start += count
        ctx.save_for_backward(element_TI, input_GI, state_GH, held_T4H, before_TH)
        ctx.counts, ctx.full = counts, full
        return state_BH

    @staticmethod
    def backward(ctx: Any, slope_BH: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of elements, weights and biases."""
        element_TI, input_GI, state_GH, held_T4H, before_TH = ctx.saved_tensors
        hidden, counts = state_GH.shape[1], ctx.counts
        input_TG = held_T4H.new_empty(len(element_TI), 3 * hidden)
        state_TG = torch.empty_like(input_TG)
        slope_BH = slope_BH.clone()
        end = len(element_TI)
        for step in range(len(counts) - 1, -1, -1):
            rows = slice(end - counts[step], end)
            before_NH = before_TH[rows] if step else torch.zeros_like(before_TH[rows])
            slope_NH = slope_BH[: counts[step]]
            slopes = (input_TG[rows], state_TG[rows])
            slope_NH.mul_(_retreat(slope_NH, held_T4H[rows], before_NH, slopes))
            if step:
                slope_NH += state_TG[rows] @ state_GH
            end -= counts[step]
        later = slice(counts[0], None)  # the first state is zero
        return (
            (input_TG @ input_GI).to(ctx.full),
            (input_TG.T @ element_TI).to(ctx.full),
            (state_TG[later].T @ before_TH[later]).to(ctx.full),
            input_TG.sum(dim=0, dtype=ctx.full),
            state_TG.sum(dim=0, dtype=ctx.full),
            None,
            None,
        )


def _advance(gate_NG: Tensor, own_NG: Tensor, state_NH: Tensor, held_N4H: Tensor) -> Tensor:
    """The next states; what their gradients need is written to ``held_N4H``."""
    hidden = state_NH.shape[1]
    both_NG = (gate_NG[:, : 2 * hidden] + own_NG[:, : 2 * hidden]).sigmoid_()
    reset_NH, update_NH = both_NG.chunk(2, dim=1)
    inner_NH = own_NG[:, 2 * hidden :]
    new_NH = torch.addcmul(gate_NG[:, 2 * hidden :].to(inner_NH.dtype), reset_NH, inner_NH).tanh_()
    for place, value_NH in enumerate((reset_NH, update_NH, new_NH, inner_NH)):
        held_N4H[:, place] = value_NH
    return torch.lerp(new_NH, state_NH, update_NH)


def _retreat(
    slope_NH: Tensor, held_N4H: Tensor, before_NH: Tensor, slopes: tuple[Tensor, Tensor]
) -> Tensor:
    """Write the gates' gradients, of what inputs and states give; the share that passes by them."""
    reset_NH, update_NH, new_NH, inner_NH = held_N4H.to(slope_NH.dtype).unbind(dim=1)
    hidden = slope_NH.shape[1]
    new_slope_NH = slope_NH * (1 - update_NH) * (1 - new_NH * new_NH)
    update_slope_NH = slope_NH * (before_NH - new_NH) * update_NH * (1 - update_NH)
    reset_slope_NH = new_slope_NH * inner_NH * reset_NH * (1 - reset_NH)
    for slope_NG, last_NH in zip(slopes, (new_slope_NH, new_slope_NH * reset_NH), strict=True):
        slope_NG[:, :hidden] = reset_slope_NH
        slope_NG[:, hidden : 2 * hidden] = update_slope_NH
        slope_NG[:, 2 * hidden :] = last_NH
    return update_NH
