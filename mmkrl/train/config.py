"""What a user says about the loop, and the words that models' configurations share with it."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import Field

from mmkrl.config import Section

_LOG_STEPS, _LOGGED = 10, 200  # fewest steps between logged losses, and most logged of a phase

OptimizerName: TypeAlias = Literal["adamw", "adam", "adagrad", "sgd"]

Bound: TypeAlias = Literal["free", "ball", "sphere"]
"""How a row of a table is held after a step: not at all; to an L2 norm of at most 1; to 1."""


class LoopConfig(Section):
    """How the loop optimises."""

    weight_decay: float = Field(default=0.01, ge=0)
    """AdamW's decoupled weight decay."""
    clip_norm: float = Field(default=5.0, gt=0)
    """Gradients are scaled down to this L2 norm at most."""
    warmup: float = Field(default=0.1, ge=0, lt=1)
    """Share of a phase's steps during which the learning rate rises from zero."""
    checkpoint_steps: int = Field(default=500, ge=1)
    """Steps between checkpoints within a phase; a kill loses at most so many."""
    validate_steps: int | None = Field(default=None, ge=1)
    """Steps between validations within a phase, where a model's own schedule has none; ``null``
    validates at the end of a phase alone. A sweep can end a trial only where it is validated."""
    log_steps: int | None = Field(default=None, ge=1)
    """Steps between logged losses; ``null`` means a 200th of a phase, but at least 10."""

    def log_steps_of(self, steps: int) -> int:
        """Steps between the logged losses of a phase of so many."""
        return self.log_steps or max(_LOG_STEPS, steps // _LOGGED)
