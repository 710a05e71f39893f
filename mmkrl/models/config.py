"""What a user says about training."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from mmkrl.config import OPERATIONAL, Section
from mmkrl.data.views.config import GLOVE, CaptionSplit
from mmkrl.models.bcdnn.config import BCDNNConfig
from mmkrl.models.captions.config import CaptionConfig
from mmkrl.models.triples.config import TripleConfig
from mmkrl.train.config import LoopConfig

_SERVED = ("full", "text_to_image")
_NAME = re.compile(r"\w+")  # it names folders and runs


class TrainConfig(Section):
    """Which models to train, and on what."""

    renamed: ClassVar[Mapping[str, str]] = {
        name: f"cluster.training.{name}"
        for name in ("workers", "threads", "concurrent_runs", "gpu_share", "retries")
    }

    model: Literal["bcdnn", "triples", "captions"] = "bcdnn"
    """``bcdnn`` learns from mined relationships, ``triples`` from a knowledge graph, ``captions``
    from images with captions; the section of the same name says how."""
    variants: tuple[Literal["full", "text_to_image", "text_only", "image_only"], ...] = ("full",)
    """BC-DNN and its ablations; each is trained on its own, the first is the one served."""
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)
    """Every variant, or named model, is trained once a seed."""
    features: tuple[str, ...] | None = Field(default=None, min_length=1)
    """The backbones whose features to learn from; unit vectors side by side if there are several;
    none means the first of ``extract.backbones``."""
    words: str = GLOVE
    """Word vectors: ``glove-6b-50d`` (installed) or the path of a text file."""
    batch_size: int = Field(default=256, ge=2)
    """Rows of a global batch, shared among the workers."""
    loop: LoopConfig = LoopConfig()
    """Optimisation."""
    bcdnn: BCDNNConfig = BCDNNConfig()
    """The network."""
    triples: dict[str, TripleConfig] = Field(default_factory=dict)
    """Models of triples by a name of yours; the first is the one that others are compared with."""
    captions: dict[str, CaptionConfig] = Field(default_factory=dict)
    """Models of captions by a name of yours; the first is the one that others are compared with."""
    captions_from: str | None = Field(default=None, json_schema_extra=OPERATIONAL)
    """File of image-text pairs that come as vectors, local or ``s3://``, instead of a corpus and
    its features: the Wikipedia features as Parquet (:mod:`mmkrl.data.views.wikipedia`)."""
    caption_split: CaptionSplit = CaptionSplit()
    """How captioned images are divided whose source does not say."""

    @field_validator("features", mode="before")
    @classmethod
    def _one_backbone_is_a_list_of_one(cls, features: object) -> object:
        return (features,) if isinstance(features, str) else features

    @model_validator(mode="after")
    def _first_variant_has_both_branches(self) -> TrainConfig:
        if not self.variants or self.variants[0] not in _SERVED:
            raise ValueError(
                f"train.variants must start with {' or '.join(_SERVED)}: the first one is served, "
                "and needs both branches"
            )
        return self

    @model_validator(mode="after")
    def _one_backbone_is_fine_tuned(self) -> TrainConfig:
        tuned = [name for name, one in self.captions.items() if one.fine_tune]
        if tuned and len(self.features or ()) > 1:
            raise ValueError(
                f"train.captions: {', '.join(tuned)} would fine-tune a backbone, and "
                f"train.features names {len(self.features or ())}; name one"
            )
        return self

    @model_validator(mode="after")
    def _models_are_named(self) -> TrainConfig:
        if self.model in self._named and not self._named[self.model]:
            raise ValueError(
                f"train.model = {self.model!r} needs train.{self.model}: a model by its name"
            )
        for section, models in self._named.items():
            for name in models:
                if not _NAME.fullmatch(name):
                    raise ValueError(
                        f"train.{section} has a model called {name!r}: letters, digits and _ make "
                        "a name"
                    )
        return self

    @property
    def _named(self) -> dict[str, tuple[str, ...]]:
        """The names of models, by the sections that have some."""
        return {"triples": tuple(self.triples), "captions": tuple(self.captions)}

    @property
    def members(self) -> list[tuple[str, int]]:
        """Every (variant or name of a model, seed) to train."""
        names = self._named.get(self.model, self.variants)
        return [(name, seed) for name in names for seed in self.seeds]

    @property
    def batch_sizes(self) -> dict[str, int]:
        """Rows of the batches that a run's workers share, by key."""
        named = {f"train.captions.{name}": one.batch_size for name, one in self.captions.items()}
        return {"train.batch_size": self.batch_size} | {
            f"{key}.batch_size": rows for key, rows in named.items()
        }

    @property
    def looks_at_images(self) -> bool:
        """Whether anything that is trained needs image features."""
        return self.model == "bcdnn" or any(one.pictured for one in self.triples.values())
