"""What a model brings to the training loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor, nn

from mmkrl.train.config import Bound, OptimizerName


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
        learning_rate: Peak; reached after a warm-up, then decayed linearly.
        branch: Name of the submodule that learns; the rest is frozen. Empty for all of the module.
        optimizer: How the weights move. ``adagrad`` and ``sgd`` touch only the used rows of tables
            with sparse gradients.
        warmup: Share of the steps during which the rate rises; None means the loop's setting.
        final: Share of the peak rate that is left at the end; 1 keeps the rate constant.
        bounds: How the rows of some parameters, by name, are held after each step.
        learning_rate_scales: The learning rate of some submodules, by name, as a share of
            :attr:`learning_rate`; 0 freezes one.
        validate_steps: Steps between validations within the phase; None validates at its end alone.
        patience: The phase ends early after so many validations without a better one than before.
    """

    name: str
    steps: int
    learning_rate: float
    branch: str
    optimizer: OptimizerName = "adamw"
    warmup: float | None = None
    final: float = 0.0
    bounds: Mapping[str, Bound] = field(default_factory=dict)
    learning_rate_scales: Mapping[str, float] = field(default_factory=dict)
    validate_steps: int | None = None
    patience: int | None = None


@dataclass(frozen=True)
class Batch:
    """The input of one step.

    Attributes:
        rows: Tensors of which each process takes its share of the first axis.
        shared: Tensors every process sees whole.
        seed: Seed of this step's dropout.
        start: Global position of the first local row.
        total: Number of global rows.
        made: Rows that cost too much to be made by every process: functions from a slice of the
            global rows to a tensor.
        settings: Plain values that steer the step, such as which part of the model learns.
    """

    rows: dict[str, Tensor]
    shared: dict[str, Tensor] = field(default_factory=dict)
    seed: int = 0
    start: int = 0
    total: int = 0
    made: Mapping[str, Callable[[slice], Tensor]] = field(default_factory=dict)
    settings: Mapping[str, bool | int | float | str] = field(default_factory=dict)


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
        """The global batch of a step.

        A function of its arguments and of what :meth:`begin` prepared; it changes nothing. What the
        losses of a step depend on beside the weights is in the batch, not in attributes of
        :attr:`module`.
        """
        ...

    def validate(self) -> dict[str, float]:
        """Metrics on validation data, the same on every process; the first is to be maximised."""
        ...
