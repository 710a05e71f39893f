"""What several processes that train one model exchange: weights, gradients, vectors, metrics."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


def distributed(module: nn.Module) -> nn.Module:
    """The module as several processes train it: the same weights everywhere, gradients averaged.

    Weights and buffers are taken from rank 0 now, and buffers are left alone afterwards. The
    losses must use the same parameters in every step; they need not use all of them. Dense
    modules are wrapped; those with sparse gradients stay as they are and need
    :func:`average_gradients` after each backward pass. (Wrapped, even a process alone had its
    memory corrupted after some ten thousand steps with sparse gradients: torch 2.13, gloo.)
    """
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return module
    if any(getattr(part, "sparse", False) for part in module.modules()):
        for weight in module.state_dict().values():
            dist.broadcast(weight, src=0)
        return module
    # static_graph: which parameters a step leaves out is learned once, instead of a search of the
    # graph in every step. Buffers change between phases only, on all processes alike; by default
    # they would be sent with every forward pass.
    return DistributedDataParallel(module, static_graph=True, broadcast_buffers=False)


@torch.no_grad()
def average_gradients(module: nn.Module) -> None:
    """Average the gradients over all processes, where :func:`distributed` did not wrap the module.

    A sparse gradient becomes the mean of all processes' rows, the same everywhere to the last bit.
    """
    wrapped = isinstance(module, DistributedDataParallel)
    if wrapped or not dist.is_initialized() or dist.get_world_size() == 1:
        return
    for parameter in module.parameters():
        if parameter.grad is not None and parameter.grad.is_sparse:
            parameter.grad = _mean_of_rows(parameter.grad)
        elif parameter.grad is not None:
            mean_over_processes(parameter.grad)


def _mean_of_rows(gradient: Tensor) -> Tensor:
    """The mean of the processes' sparse gradients."""
    # Rows and values are gathered, since the sum of dense gradients would send the whole table.
    # Gathering needs one shape on all processes: each pads to the most rows that one of them has.
    gradient = gradient.coalesce()
    row_U, value_UD = gradient.indices()[0], gradient.values()
    count_W = all_gather_with_grad(row_U.new_tensor([len(row_U)]))
    most = int(count_W.max())
    kept_N = (torch.arange(most, device=count_W.device) < count_W[:, None]).flatten()
    rows, values = (all_gather_with_grad(_padded(own, most))[kept_N] for own in (row_U, value_UD))
    mean = torch.sparse_coo_tensor(
        rows[None], values / len(count_W), gradient.shape, check_invariants=False
    )
    return mean.coalesce()


def _padded(own: Tensor, length: int) -> Tensor:
    return torch.cat([own, own.new_zeros(length - len(own), *own.shape[1:])])


def mean_over_processes(values: Tensor) -> Tensor:
    """The mean of a tensor over all processes, the same on each."""
    if dist.is_initialized():
        dist.all_reduce(values)
        values /= dist.get_world_size()
    return values


def from_first_process(values: Tensor) -> Tensor:
    """The tensor of the process with rank 0, on every process: for decisions all must share."""
    if dist.is_initialized():
        dist.broadcast(values, src=0)
    return values


class _AllGather(torch.autograd.Function):
    """Concatenation over processes; a row's gradient is the sum of what all processes send it."""

    @staticmethod
    def forward(ctx: Any, row_BD: Tensor) -> Tensor:
        """All rows, in the order of the processes."""
        ctx.count = len(row_BD)
        parts = [torch.empty_like(row_BD) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, row_BD.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, grad_TD: Tensor) -> Tensor:
        """The sum over processes of this one's rows."""
        # Each process has the gradient of its own loss at the rows of all; a row's gradient is the
        # sum over the processes whose losses it entered as a candidate.
        total_TD = grad_TD.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total_TD)
        start = dist.get_rank() * ctx.count
        return total_TD[start : start + ctx.count]


def all_gather_with_grad(row_BD: Tensor) -> Tensor:
    """The rows of all processes, of shape (T, D): the negatives of a whole batch, with gradient.

    A loss of local anchors against the candidates of all processes, averaged over the processes (as
    :class:`~torch.nn.parallel.DistributedDataParallel` averages gradients), is then the loss of one
    process with the whole batch, and so are its gradients.

    ``torch.distributed.nn.functional.all_gather`` does the same but is deprecated from torch 2.13
    on, in favour of a function that is not public; once that one is, it can take this one's place.

    Args:
        row_BD: This process's rows; the same number on each process.
    """
    if not dist.is_initialized():
        return row_BD
    everything_TD: Tensor = _AllGather.apply(row_BD)  # type: ignore[no-untyped-call]
    return everything_TD
