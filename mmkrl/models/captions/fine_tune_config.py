"""Configuration of a backbone that learns along with the dual encoder."""

from __future__ import annotations

from pydantic import Field

from mmkrl.config import Section


class FineTuneConfig(Section):
    """A last phase in which the images' backbone learns, too, from the pictures themselves.

    The backbone is the one of the features (``train.features``), with the weights, the fit and the
    limits of ``extract``, so it starts where those features came from.
    """

    epochs: float = Field(default=5, gt=0)
    """Passes over the training captions, after those on features; validated once in each."""
    rate: float = Field(default=0.1, gt=0, json_schema_extra={"search": [0.03, 0.3]})
    """Peak learning rate of this phase, as a share of ``learning_rate`` (VSE++: 2e-5 after
    2e-4)."""
    backbone_rate: float = Field(default=1.0, ge=0, json_schema_extra={"search": [0.1, 1.0]})
    """The backbone's learning rate, as a share of the rest's; 0 leaves it as it is."""
    image_size: int | None = Field(default=None, ge=32, le=1024)
    """Side of the square that it sees, in pixels; none means that of ``extract``."""
    crop: float = Field(default=0.875, gt=0.2, le=1)
    """Side of the part of a picture that a step sees, as a share of the picture's, at random
    places; 1 shows the whole picture. Elsewhere than in training, all of it is seen."""
    mirror: bool = True
    """Whether a step sees half of the pictures, at random, as their mirror images."""
