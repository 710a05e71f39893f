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
