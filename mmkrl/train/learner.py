"""What a model brings to the training loop."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor, nn


@dataclass(frozen=True)
class Measurement:
    """One value of a metric at one step."""

    step: int
    name: str
    value: float


@dataclass(frozen=True)
class Phase:
    """A stretch of training with one goal.

    Attributes:
        name: What the metrics of this phase are called.
        steps: Number of optimiser steps, the same on every process.
        learning_rate: Peak; reached after a warm-up, then decayed linearly to zero.
        branch: Name of the submodule that learns; the rest is frozen.
    """

    name: str
    steps: int
    learning_rate: float
    branch: str


@dataclass(frozen=True)
class Batch:
    """The input of one step.

    Attributes:
        rows: Tensors of which each process takes its slice of the first axis.
        shared: Tensors every process sees whole.
        seed: Seed of this step's noise.
        start: Global position of the first local row.
        total: Number of global rows.
    """

    rows: dict[str, Tensor]
    shared: dict[str, Tensor] = field(default_factory=dict)
    seed: int = 0
    start: int = 0
    total: int = 0


class Learner(Protocol):
    """A model, its data and its schedule."""

    @property
    def module(self) -> nn.Module:
        """What learns."""
        ...

    def phases(self) -> list[Phase]:
        """The whole schedule."""
        ...

    def begin(self, phase: Phase) -> None:
        """Prepare a phase: compute its targets from the model as it is.

        What is computed must live in buffers of :attr:`module`, so that a checkpoint holds it.
        """
        ...

    def batch(self, phase: Phase, step: int, seed: int) -> Batch:
        """The global batch of a step: a function of its arguments alone."""
        ...

    def validate(self) -> dict[str, float]:
        """Metrics on validation data, the same on every process; the first is to be maximised."""
        ...
