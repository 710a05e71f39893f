"""What a user says about an evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field, PositiveFloat, field_validator

from mmkrl.config import Section
from mmkrl.errors import UsageError
from mmkrl.evaluate.metrics.registry import check_metric


class Swap(Section):
    """A word that is taken away and one that is put in its place, each with its other forms."""

    remove: tuple[str, ...] = Field(min_length=1)
    """The word w1, then other forms of it (plurals) that captions may use."""
    add: tuple[str, ...] = Field(min_length=1)
    """The word w2, then its other forms."""

    @property
    def name(self) -> str:
        """How it is written: minus the one, plus the other."""
        return f"- {self.remove[0]} + {self.add[0]}"


class EvaluateConfig(Section):
    """How results are measured and shown."""

    renamed: ClassVar[Mapping[str, str]] = {"ranks_by": "cluster.evaluation.ranks_by"}

    resamples: int = Field(default=2000, ge=100)
    """Bootstrap resamples behind every interval."""
    metrics: tuple[str, ...] = ()
    """Metrics besides those of each task, for all tasks that rank: built-in ones such as ``MRR`` or
    ``Hits@50``, those of installed packages, or ``python:MODULE:NAME`` for one of your own."""
    seed: int = 0
    """Seed of the bootstrap and of the random baseline."""
    ridge_strengths: tuple[PositiveFloat, ...] = Field(
        default=(1.0, 10.0, 100.0, 1e3, 1e4, 1e5), min_length=1
    )
    """Penalties tried for the ridge baselines; the best on validation relationships is used."""
    gallery_queries: int = Field(default=12, ge=0)
    """Held-out relationships shown with their best images in the gallery."""
    swaps: tuple[Swap, ...] = ()
    """Vector arithmetic to try on captioned images: words to ``remove`` and to ``add``, each with
    its other forms."""

    @field_validator("metrics")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        try:
            return tuple(check_metric(name) for name in names)
        except UsageError as error:
            raise ValueError(str(error)) from None
