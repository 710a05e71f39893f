"""What a model of triples learns against."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mmkrl.config import Section


class NegativesConfig(Section):
    """What a model of triples learns against."""

    entities: int = Field(default=1, ge=0, json_schema_extra={"search": [1, 10, 64]})
    """Corruptions of each triple whose head or tail is replaced. Where they are shared, the number
    drawn for the heads and again for the tails of a chunk."""
    relations: int = Field(default=0, ge=0, json_schema_extra={"search": [0, 1]})
    """Further corruptions of each triple whose relation is replaced."""
    kind: Literal["uniform", "bernoulli"] = "uniform"
    """``uniform``: head or tail with equal probability; ``bernoulli``: the head more often where a
    head has many tails (Wang et al., AAAI 2014)."""
    shared_by: int = Field(default=1, ge=1)
    """Triples side by side that share the entities drawn for them. From 2 on, every triple is
    compared with all that its chunk drew, as a matrix product."""
