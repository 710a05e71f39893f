"""A contrastive loss: the mean square of what is not as it should be."""

from typing import ClassVar

from pydantic import Field

from mmkrl.losses.config import LossConfig
from mmkrl.losses.contrastive import ContrastiveLoss


class SquaresConfig(LossConfig):
    """Its settings."""

    implementation: ClassVar[str] = f"{__name__}:Square"

    wanted: float = Field(default=1.0, json_schema_extra={"search": [0.5, 1.0]})


class Square(ContrastiveLoss):
    """Matches shall score as wanted, negatives zero."""

    def __init__(self, settings):
        super().__init__()
        self.wanted = settings.wanted

    def forward(self, pairs, *, warmup=False):
        score_BN = pairs.image_to_text_BN
        match_B1 = score_BN.gather(1, pairs.match_B[:, None])
        negative_BN = score_BN.masked_fill(~pairs.negative_BN, 0.0)
        return (match_B1 - self.wanted).square().mean() + negative_BN.square().mean()
