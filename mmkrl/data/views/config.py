"""What a user says about the views of the data that models learn from."""

from __future__ import annotations

from typing import TypeAlias

from pydantic import Field

from mmkrl.config import Section

GLOVE = "glove-6b-50d"
Backbones: TypeAlias = tuple[str, ...] | None
"""Whose features: one backbone's as they are, several's :func:`joined`; None means the first of
those that were extracted."""


class CaptionSplit(Section):
    """How images are divided whose source does not say; a source that says is obeyed."""

    validation: float = Field(default=0.1, gt=0, lt=0.5)
    """Share of the images held out for all tuning."""
    test: float = Field(default=0.1, gt=0, lt=0.5)
    """Share of the images held out for the final numbers."""
    seed: int = 0
    """Seed of the draw."""
