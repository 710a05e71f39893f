"""What a user says about BC-DNN."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from mmkrl.models.config import ModelConfig


class BCDNNConfig(ModelConfig):
    """The network and how its branches teach each other."""

    family: str = "bcdnn"
    variant: Literal["full", "text_to_image", "text_only", "image_only"] = "full"
    """``full``; or an ablation: ``text_to_image`` (vision never teaches text, same number of
    steps), ``text_only`` (the text phases alone), ``image_only`` (images regress to the mean of the
    word vectors, text learns nothing)."""
    dimension: int = Field(default=300, ge=8, json_schema_extra={"search": [128, 300, 512]})
    """Dimension of the knowledge space."""
    hidden: int = Field(default=1024, ge=8, json_schema_extra={"search": [512, 1024]})
    """Width of each branch's hidden layer."""
    projection: int | None = Field(
        default=512, ge=8, json_schema_extra={"search": [256, 512, 1024]}
    )
    """Principal directions of the training images' features that the visual branch sees, whitened;
    null, or more than the features have, leaves the features as they are."""
    dropout: float = Field(default=0.3, ge=0, lt=1, json_schema_extra={"search": [0.1, 0.6]})
    """Probability of dropping a hidden unit."""
    strategy: Literal["graded", "triplet", "translation"] = "graded"
    """Text loss: ``graded`` order of shared slots; ``triplet``, the plain triplets; or
    ``translation``, TransE's energy of the parts alone."""
    margin: float = Field(default=0.2, gt=0, le=1, json_schema_extra={"search": [0.05, 0.5]})
    """Margin of every triplet, in cosine."""
    translation_weight: float = Field(default=0.1, ge=0)
    """Weight of the parts' TransE consistency beside the other text losses."""
    rounds: int = Field(default=3, ge=1, le=20)
    """K, how often the branches teach each other."""
    text_steps: int = Field(default=200, ge=1)
    """Optimiser steps of each textual phase."""
    image_steps: int = Field(default=600, ge=1)
    """Optimiser steps of each visual phase."""
    text_learning_rate: float = Field(
        default=5e-4, gt=0, json_schema_extra={"search": [1e-4, 2e-3]}
    )
    """Peak learning rate of the textual branch."""
    image_learning_rate: float = Field(
        default=1e-3, gt=0, json_schema_extra={"search": [2e-4, 5e-3]}
    )
    """Peak learning rate of the visual branch."""
    memory: float = Field(default=0.8, ge=0, le=1, json_schema_extra={"search": [0.2, 0.95]})
    """Alpha: share of its former vector in what a relationship is pulled towards; the rest is its
    visual prototype."""
    distillation_weight: float = Field(default=1.0, ge=0)
    """Beta: weight of that pull."""
    cross_modal_weight: float = Field(
        default=30.0, ge=0, json_schema_extra={"search": [3.0, 100.0]}
    )
    """Gamma: weight of the triplets between text vectors and visual prototypes. They are small
    beside the other losses: on validation, 1 is hardly felt and 30 to 100 are best."""
    pool: int = Field(default=256, ge=2)
    """Relationships drawn each step as cross-modal negatives."""
    top_k: int = Field(default=10, ge=1)
    """How many of them, the hardest, count for each anchor."""

    renamed: ClassVar[Mapping[str, str]] = {
        "text_rate": "text_learning_rate",
        "image_rate": "image_learning_rate",
        "hardest": "top_k",
    }
