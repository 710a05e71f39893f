"""Vectors of all processes on each, with gradient: negatives of the whole batch.

A loss of local anchors against the candidates of all processes, averaged over the processes (as
:class:`~torch.nn.parallel.DistributedDataParallel` averages gradients), is then the loss of one
process with the whole batch, and so are its gradients.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


class _Gathered(torch.autograd.Function):
    """Concatenation over processes; a row's gradient is the sum of what all processes send it."""

    @staticmethod
    def forward(ctx: Any, row_BD: Tensor) -> Tensor:
        """All rows, in the order of the processes."""
        ctx.count = len(row_BD)
        parts = [torch.empty_like(row_BD) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, row_BD.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, slope_TD: Tensor) -> Tensor:
        """The sum over processes of this one's rows."""
        total_TD = slope_TD.contiguous()
        dist.all_reduce(total_TD)
        start = dist.get_rank() * ctx.count
        return total_TD[start : start + ctx.count]


def gathered(row_BD: Tensor) -> Tensor:
    """The rows of all processes, of shape (T, D); the same number from each.

    Args:
        row_BD: This process's rows, the same as ever of the global batch.
    """
    if not dist.is_initialized():
        return row_BD
    everything_TD: Tensor = _Gathered.apply(row_BD)  # type: ignore[no-untyped-call]
    return everything_TD
