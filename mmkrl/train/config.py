"""What the job ``train`` needs to know."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from mmkrl.config import OPERATIONAL, Section
from mmkrl.data.words import GLOVE
from mmkrl.models.bcdnn import BCDNNConfig
from mmkrl.train.loop import LoopConfig

_SERVED = ("full", "text_to_image")


class TrainConfig(Section):
    """Which models to train, on how many workers."""

    model: Literal["bcdnn"] = "bcdnn"
    """The model; its own section has the same name."""
    variants: tuple[Literal["full", "text_to_image", "text_only", "image_only"], ...] = ("full",)
    """The model and its ablations; each is trained on its own, the first is the one served."""
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)
    """Every variant is trained once a seed."""
    features: str | None = None
    """The backbone whose features to learn from; none means the first of ``extract.backbones``."""
    words: str = GLOVE
    """Word vectors: ``glove-6b-50d`` (installed) or the path of a text file."""
    workers: int = Field(default=1, ge=1)
    """Training processes of one run; their gradients are averaged."""
    threads: int = Field(default=1, ge=1)
    """Compute threads of each process."""
    concurrent_runs: int | None = Field(default=None, ge=1, json_schema_extra=OPERATIONAL)
    """Variants and seeds trained at the same time; none means as many as cores (or GPUs) allow."""
    batch_size: int = Field(default=256, ge=2)
    """Rows of a global batch, shared among the workers."""
    retries: int = Field(default=3, ge=0, json_schema_extra=OPERATIONAL)
    """How often a run whose worker dies is taken up again from its last checkpoint."""
    loop: LoopConfig = LoopConfig()
    """Optimisation."""
    bcdnn: BCDNNConfig = BCDNNConfig()
    """The network."""

    @model_validator(mode="after")
    def _divisible(self) -> TrainConfig:
        if self.batch_size % self.workers:
            raise ValueError(
                f"train.batch_size = {self.batch_size} cannot be divided among train.workers = "
                f"{self.workers}; make it a multiple"
            )
        if not self.variants or self.variants[0] not in _SERVED:
            raise ValueError(
                f"train.variants must start with {' or '.join(_SERVED)}: the first one is served, "
                "and needs both branches"
            )
        return self

    @property
    def members(self) -> list[tuple[str, int]]:
        """Every (variant, seed) to train."""
        return [(variant, seed) for variant in self.variants for seed in self.seeds]
