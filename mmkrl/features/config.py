"""Which features to extract, and how: the configuration, which needs no torch."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import Field

from mmkrl.config import Section
from mmkrl.data.pictures import Limits

BackboneName: TypeAlias = Literal["efficientnet_lite0", "alexnet", "vgg19", "resnet50"]


class ExtractConfig(Section):
    """Which features to extract, and how."""

    backbone: BackboneName = "efficientnet_lite0"
    """Pretrained network: efficientnet_lite0 (ships with its package), alexnet, vgg19, resnet50."""
    weights: str | None = None
    """Path of a state dict, local or ``s3://``; none means the backbone's published weights,
    ``random`` means untrained ones (the report says so)."""
    image_size: int = Field(default=224, ge=32, le=1024)
    """Side of the square every picture is resized to, in pixels; cost grows with its square."""
    batch_size: int = Field(default=32, ge=1)
    """Pictures in one forward pass."""
    max_bytes: int = Field(default=32 << 20, ge=1)
    """Largest encoded picture, in bytes."""
    max_pixels: int = Field(default=64_000_000, ge=1)
    """Largest picture, width times height."""
    unit_rows: int = Field(default=256, ge=1)
    """Pictures in one piece of work: what a kill can lose, and what travels between workers."""
    workers: int | None = Field(default=None, ge=1)
    """Inference workers; none means one a GPU, or one a core where there is no GPU."""

    @property
    def limits(self) -> Limits:
        """The limits for one picture."""
        return Limits(self.max_bytes, self.max_pixels)
