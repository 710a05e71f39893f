"""Configuration of what MTLS adds to the dual encoder: the transfer of local structures."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from mmkrl.config import Section


class TransferConfig(Section):
    """How each modality learns from the local structure of the other."""

    to_image: bool = True
    """Whether images learn from the structure of texts."""
    to_text: bool = True
    """Whether texts learn from the structure of images."""
    structure: Literal["soft", "hard", "snn"] = "soft"
    """What is transferred: ``soft`` beliefs who of two is nearer, ``hard`` decisions about it, or
    whole neighbourhoods (``snn``)."""
    joint: bool = False
    """Both sides learn at once from the raw structures, instead of in turns from each other's
    newest."""
    weight: float = Field(default=0.5, ge=0, json_schema_extra={"search": [0.1, 1.0]})
    """Lambda: weight of the structure beside the ranking loss."""
    temperature: float = Field(default=0.1, gt=0, json_schema_extra={"search": [0.05, 0.5]})
    """Tau: difference of distances (``snn``: of squared ones) at which a belief is fairly sure."""
    margin: float = Field(default=0.1, gt=0, json_schema_extra={"search": [0.05, 0.4]})
    """Least difference of distances that ``hard`` decisions ask for."""
    neighbours: int = Field(default=10, ge=1, json_schema_extra={"search": [5, 10, 20]})
    """k of the nearest-neighbour graphs."""
    rounds: int = Field(default=5, ge=1, le=10)
    """How often each side takes its turn."""
    warm_epochs: float = Field(default=5.0, ge=0)
    """Epochs, of all, in which both sides learn the ranking loss alone, before the first round."""
    memory: float = Field(default=0.5, ge=0, lt=1)
    """Share of its former self in a structure that is computed anew for the next round."""
    raw_dimension: int = Field(default=256, ge=1)
    """Principal directions of the raw features, in which the first structures are measured."""

    @model_validator(mode="after")
    def _transfers(self) -> TransferConfig:
        if self.joint and not (self.to_image and self.to_text):
            raise ValueError("joint = true has no turns to leave out: set to_image and to_text")
        return self
