"""What the job ``evaluate`` needs to know."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveFloat, field_validator

from mmkrl.config import OPERATIONAL, Section
from mmkrl.errors import UsageError
from mmkrl.evaluate.metrics.registry import check_metric
from mmkrl.evaluate.tasks.arithmetic import Swap


class EvaluateConfig(Section):
    """How results are measured and shown."""

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
    ranks_by: Literal["triples", "entities"] = Field(
        default="triples", json_schema_extra=OPERATIONAL
    )
    """How the ranking of test triples is shared among tasks of the cluster: each takes some of the
    ``triples`` and holds all entities, or takes some of the ``entities`` (for tables that no
    worker can hold twice). The ranks are the same."""
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
