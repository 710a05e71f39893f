"""How the settings of a training are searched."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from mmkrl.config import Section


class SweepConfig(Section):
    """Many trainings with different settings, the hopeless ones ended early."""

    space: dict[str, tuple[Any, ...] | None] = Field(default_factory=dict)
    """What to search, by key of ``train``, such as ``models.NAME.margin: [0.05, 0.5]``. Two numbers
    with a point are the ends of a range (on a logarithmic scale if a factor of ten or more apart),
    anything else are choices; null takes the range beside the field. Without any key: all ranges
    that stand beside the fields of the first model."""
    sampler: Literal["tpe", "random", "grid"] = "tpe"
    """How the next settings are chosen: by what was found so far (TPE), at random, or all."""
    scheduler: Literal["asha", "pbt", "none"] = "asha"
    """``asha`` ends trials that are behind at its rungs; ``pbt`` lets trials that are behind go on
    from the weights of a better one, with changed settings; ``none`` lets all run to the end."""
    trials: int = Field(default=24, ge=1)
    """Trials at most; a grid may have fewer."""
    hours: float | None = Field(default=None, gt=0)
    """Hours at most, those before a kill included; what then runs ends at its next validation."""
    steps: int | None = Field(default=None, ge=1)
    """Optimiser steps of all trials together at most; the same."""
    points: int = Field(default=3, ge=2)
    """Values that a grid takes of a range."""
    grace: float = Field(default=1 / 9, gt=0, le=1)
    """The first rung of ``asha``, and the time between changes of ``pbt``, as a share of a trial's
    schedule. For BC-DNN it must lie behind the first textual phase: images mean nothing there."""
    reduction: int = Field(default=3, ge=2)
    """One of so many trials goes on beyond a rung of ``asha``; the next rung is so much higher."""
    patience: int | None = Field(default=None, ge=1)
    """A trial ends after so many validations without a better one; none lets it go on."""
    seed: int = 0
    """Decides what the samplers draw."""

    @model_validator(mode="after")
    def _population_is_drawn(self) -> SweepConfig:
        if self.scheduler == "pbt" and self.sampler != "random":
            raise ValueError(
                "sweep.scheduler = 'pbt' needs sweep.sampler = 'random': the population is drawn "
                "first, and changes itself later"
            )
        return self
