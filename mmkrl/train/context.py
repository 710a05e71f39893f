"""The seam between training and where it runs.

``fit`` knows this protocol only. :class:`LocalContext` is one process (or several under
torchrun); the Ray side lives in ``cluster.training``.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from mmkrl.train.gathered import gathered
from mmkrl.train.learner import Measurement


class TrainContext(Protocol):
    """What a training loop may ask of its surroundings."""

    @property
    def rank(self) -> int:
        """Position of this process among all, from 0."""
        ...

    @property
    def world_size(self) -> int:
        """Number of processes."""
        ...

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        ...

    def report(self, metrics: dict[str, float], checkpoint: Path | None) -> None:
        """Publish a checkpoint folder with its metrics; called by every process alike.

        Args:
            metrics: Already reduced over the processes.
            checkpoint: Folder to keep, on the process with rank 0; None on the others.
        """
        ...

    def resume_from(self) -> Path | None:
        """The last published checkpoint, if there is one."""
        ...

    def log(self, measurements: Sequence[Measurement]) -> None:
        """Pass measurements on to whoever records them; called on rank 0."""
        ...


class LocalContext:
    """Training in this process.

    Args:
        folder: Where checkpoints are kept; the last one published is what resumes.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.measurements: list[Measurement] = []

    @property
    def rank(self) -> int:
        """0, or the torch.distributed rank."""
        return dist.get_rank() if dist.is_initialized() else 0

    @property
    def world_size(self) -> int:
        """1, or the torch.distributed world size."""
        return dist.get_world_size() if dist.is_initialized() else 1

    @property
    def device(self) -> torch.device:
        """A GPU if there is one: under torchrun, every process of a machine has its own."""
        if not torch.cuda.is_available():
            return torch.device("cpu")
        return torch.device("cuda", self.rank % torch.cuda.device_count())

    def report(self, metrics: dict[str, float], checkpoint: Path | None) -> None:  # noqa: ARG002 - the protocol's
        """Keep the checkpoint as the last one; replaced in one step."""
        if checkpoint is not None:
            incoming, last = self._folder / "incoming", self._folder / "last"
            previous = self._folder / "previous"
            shutil.rmtree(incoming, ignore_errors=True)  # left by a kill
            shutil.copytree(checkpoint, incoming)
            if last.exists():
                shutil.rmtree(previous, ignore_errors=True)  # left by a kill
                last.rename(previous)
            incoming.rename(last)
            shutil.rmtree(previous, ignore_errors=True)
        if dist.is_initialized():
            dist.barrier()

    def resume_from(self) -> Path | None:
        """The last checkpoint, or the one before if a kill came between two renames."""
        for name in ("last", "previous"):
            if (self._folder / name).is_dir():
                return self._folder / name
        return None

    def log(self, measurements: Sequence[Measurement]) -> None:
        """Keep them in memory."""
        self.measurements.extend(measurements)


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
    gradient = gradient.coalesce()
    row_U, value_UD = gradient.indices()[0], gradient.values()
    count_W = gathered(row_U.new_tensor([len(row_U)]))
    most = int(count_W.max())
    kept_N = (torch.arange(most, device=count_W.device) < count_W[:, None]).flatten()
    rows, values = (gathered(_padded(own, most))[kept_N] for own in (row_U, value_UD))
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
