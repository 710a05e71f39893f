"""Which models are trained, with which seeds, on which features."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar

from pydantic import (
    BeforeValidator,
    Field,
    SerializeAsAny,
    ValidationError,
    field_validator,
    model_validator,
)

from mmkrl.config import OPERATIONAL, Section, nested_errors
from mmkrl.data.views.config import GLOVE, CaptionSplit
from mmkrl.errors import UsageError
from mmkrl.plugins import Registry
from mmkrl.train.config import LoopConfig

CORPUS, RELATIONSHIPS, FEATURES, GRAPH = "corpus", "relationships", "features", "graph"
"""The kinds of datasets that models learn from."""

FAMILIES: Registry[Any] = Registry(
    "model family",
    "mmkrl.families",
    {
        "bcdnn": "mmkrl.models.bcdnn.family:BCDNNFamily",
        "captions": "mmkrl.models.captions.family:CaptionsFamily",
        "triples": "mmkrl.models.triples.family:TriplesFamily",
    },
)
"""Classes of :class:`mmkrl.models.family.Family`."""

_NAME = re.compile(r"\w[\w-]*")  # it names folders, runs and keys


class ModelConfig(Section):
    """One named model: what all families have in common."""

    family: str
    """``bcdnn`` learns from mined relationships, ``triples`` from a knowledge graph, ``captions``
    from images with captions; or a family of an installed package, or ``python:module:Name``."""
    batch_size: int = Field(default=256, ge=2)
    """Rows of a global batch, shared among the workers."""


def _model(name: str, values: Any) -> ModelConfig:
    """A model's section, checked by its family."""
    if isinstance(values, ModelConfig):
        return values
    if not _NAME.fullmatch(name):
        raise ValueError(f"a model is called {name!r}: letters, digits, _ and - make a name")
    if not isinstance(values, Mapping) or not isinstance(values.get("family"), str):
        raise ValueError(f"{name}: say which family, such as {name}: {{family: bcdnn}}")
    try:
        schema = FAMILIES.get(values["family"]).config
    except UsageError as error:
        raise ValueError(f"{name}.family: {error}") from error
    try:
        found: ModelConfig = schema.model_validate(values)
    except ValidationError as error:
        raise nested_errors(error.errors(), schema, name) from error
    return found


def _models(given: Any) -> Any:
    if not isinstance(given, Mapping):
        return given
    return {str(name): _model(str(name), values) for name, values in given.items()}


class TrainConfig(Section):
    """Which models to train, and what they share."""

    renamed: ClassVar[Mapping[str, str]] = {
        "model": "the family of each model: train.models: {NAME: {family: bcdnn}}",
        "variants": "a model each: train.models: {full: {family: bcdnn}, text_only: "
        "{family: bcdnn, variant: text_only}}",
        "bcdnn": "a named model: train.models: {NAME: {family: bcdnn, ...}}",
        "triples": "named models of a family: train.models: {NAME: {family: triples, ...}}",
        "captions": "named models of a family: train.models: {NAME: {family: captions, ...}}",
        "batch_size": "a setting of each model: train.models.NAME.batch_size",
        **{
            name: f"cluster.training.{name}"
            for name in ("workers", "threads", "concurrent_runs", "gpu_share", "retries")
        },
    }

    models: Annotated[
        dict[str, SerializeAsAny[ModelConfig]], BeforeValidator(_models), Field(min_length=1)
    ] = Field(default={"bcdnn": {"family": "bcdnn"}}, validate_default=True)
    """Models by a name of yours, each with its ``family`` and the settings of that family; all are
    trained and measured side by side. The first is served, and others are compared with it."""
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)
    """Every model is trained once a seed."""
    features: tuple[str, ...] | None = Field(default=None, min_length=1)
    """The encoders whose features to learn from; unit vectors side by side if there are several;
    null means the first of ``extract.backbones``."""
    words: str = GLOVE
    """Word vectors: ``glove-6b-50d`` (installed) or the path of a text file."""
    loop: LoopConfig = LoopConfig()
    """Optimisation."""
    captions_from: str | None = Field(default=None, json_schema_extra=OPERATIONAL)
    """File of image-text pairs that come as vectors, local or ``s3://``, instead of a corpus and
    its features: the Wikipedia features as Parquet (:mod:`mmkrl.data.views.wikipedia`)."""
    caption_split: CaptionSplit = CaptionSplit()
    """How captioned images are divided whose source does not say."""

    @field_validator("features", mode="before")
    @classmethod
    def _one_encoder_is_a_list_of_one(cls, features: object) -> object:
        return (features,) if isinstance(features, str) else features

    @model_validator(mode="after")
    def _fits_together(self) -> TrainConfig:
        first, model = next(iter(self.models.items()))
        why = FAMILIES.get(model.family)().not_servable(model)
        if why:
            raise ValueError(f"train.models.{first} is the first, which is served: {why}")
        for name, models in self.families.items():
            for problem in FAMILIES.get(name)().problems(models, self):
                raise ValueError(problem)
        return self

    @property
    def families(self) -> dict[str, dict[str, ModelConfig]]:
        """The models by name, by family, in their order."""
        found: dict[str, dict[str, ModelConfig]] = {}
        for name, model in self.models.items():
            found.setdefault(model.family, {})[name] = model
        return found

    @property
    def members(self) -> list[tuple[str, int]]:
        """Every (name of a model, seed) to train."""
        return [(name, seed) for name in self.models for seed in self.seeds]

    @property
    def batch_sizes(self) -> dict[str, int]:
        """The rows of a global batch of every model, by the key that sets them."""
        return {f"train.models.{name}.batch_size": m.batch_size for name, m in self.models.items()}

    @property
    def served(self) -> tuple[str, int]:
        """The model and the seed that are served: the first."""
        return self.members[0]

    @property
    def inputs(self) -> tuple[str, ...]:
        """The kinds of datasets that the models learn from."""
        return tuple(dict.fromkeys(self._inputs()))

    def _inputs(self) -> Iterator[str]:
        for name, models in self.families.items():
            yield from FAMILIES.get(name)().inputs(models, self)
