"""Configuration of models of triples and of their training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal, Protocol, TypeAlias, cast

from pydantic import Field, field_validator, model_validator

from mmkrl.config import Section, check
from mmkrl.data.sampling.config import NegativesConfig
from mmkrl.errors import UsageError
from mmkrl.models.config import ModelConfig
from mmkrl.models.triples.registry import GRAPH_MODELS
from mmkrl.train.config import Bound, OptimizerName

Energy: TypeAlias = Literal["ss", "ii", "si", "is"]
ENERGIES: tuple[Energy, ...] = ("ss", "ii", "si", "is")
WHOLE = "all"
"""The view of a model by all it has; models may have others."""


class ModelClass(Protocol):
    """What a configuration asks of the class of its model.

    See :class:`mmkrl.models.triples.base.TripleModel`. It is imported, and torch with it, only
    where a model is configured.
    """

    views: ClassVar[tuple[str, ...]]
    options: ClassVar[type[Section]]

    @classmethod
    def problems(cls, config: TripleConfig) -> Iterator[str]:
        """What of a configuration does not fit the model, in words."""
        ...

    @classmethod
    def looks_at_images(cls, config: TripleConfig) -> bool:
        """Whether a model so configured learns from the entities' images."""
        ...

    @classmethod
    def lexical_dimension(cls, config: TripleConfig) -> int | None:
        """Length of the random projection of the texts' words; None if it looks at no texts."""
        ...


class IKRLConfig(Section):
    """What IKRL adds to TransE."""

    renamed: ClassVar[Mapping[str, str]] = {"warm_epochs": "warmup_epochs"}

    aggregation: Literal["att", "max", "avg"] = "att"
    """How an entity's images become one vector: ``att``, by attention of its structure vector;
    ``max``, the image with the highest attention alone; ``avg``, their mean."""
    attention_gradient: bool = False
    """Whether gradients pass through the weights of ``att`` (the published code has none)."""
    centred: bool = False
    """Whether the mean of all images' unit features is taken off each before it is projected
    (ours): what all pictures have in common tells no entity from another."""
    energies: tuple[Energy, ...] = ENERGIES
    """Which energies count, by head and tail: s structure, i image. The mixed ones, si and is, come
    together, so that one table of candidates serves heads and tails."""
    objective: Literal["summed", "each"] = "summed"
    """``summed``: one loss of the sum of energies, as in the paper; ``each``: the sum of a loss of
    each energy, as in the released code."""
    warmup_epochs: int = Field(default=100, ge=0)
    """Epochs of TransE alone before images take part."""
    projection_epochs: int = Field(default=0, ge=0)
    """Epochs in which the projection of images learns alone, between the two: without them, images
    that say nothing yet pull the relations they share with the structure away from it."""
    learning_rate: float | None = Field(default=None, gt=0)
    """Peak learning rate once images take part; None means the same as before."""

    @model_validator(mode="after")
    def _symmetric(self) -> IKRLConfig:
        if not self.energies or len(set(self.energies)) != len(self.energies):
            raise ValueError(f"energies = {self.energies}: give different ones, at least one")
        if ("si" in self.energies) != ("is" in self.energies):
            raise ValueError(f"energies = {self.energies}: give si and is together, or neither")
        return self


class ComplExTextConfig(Section):
    """What ``complex_text`` adds to ComplEx."""

    images: bool = False
    """Whether the entities' images count beside their texts."""
    lexical: int = Field(default=512, ge=8)
    """Length of the random projection of the texts' words."""
    dropout: float = Field(default=0.3, ge=0, lt=1, json_schema_extra={"search": [0.0, 0.5]})
    """Probability of dropping a number of ComplEx's query."""


class TripleConfig(ModelConfig):
    """A model of triples and how it is trained."""

    renamed: ClassVar[Mapping[str, str]] = {
        "described": "complex_text",
        "final_rate": "final_learning_rate",
        "norm": "score: l1 or l2",
    }

    family: str = "triples"
    model: str = "transe"
    """Which model: ``transe``, ``distmult``, ``complex``, ``rotate``, ``ikrl``; ``complex_text``,
    which is ComplEx beside the entities' texts, and images if wanted; one of an installed package
    by its name; or one of your own, ``python:MODULE:NAME``."""
    dimension: int = Field(default=100, ge=2, json_schema_extra={"search": [50, 100, 200]})
    """Real numbers of an entity's vector; a complex one has half as many elements."""
    score: str | None = None
    """How queries and answers are compared; None means the model's own. ``transe`` alone takes
    another than its ``l1``: ``l2``, or a graph score of your own, ``python:MODULE:NAME``."""
    bound: Bound = "ball"
    """How TransE and IKRL hold vectors after each step: entities and relations within the unit
    ``ball`` (IKRL's released code), entities on the unit ``sphere`` (Bordes et al. 2013), or
    ``free``."""
    loss: Literal["margin", "self_adversarial", "one_vs_all"] = "margin"
    """Against drawn corruptions with a ``margin``, or weighted by what the model believes of them;
    or cross-entropy against all entities, with reciprocal relations (models that score by an inner
    product alone; ``complex_text`` always)."""
    margin: float = Field(default=4.0, ge=0, json_schema_extra={"search": [1.0, 12.0]})
    """Gamma, in the unit of the energies."""
    temperature: float = Field(default=1.0, ge=0, json_schema_extra={"search": [0.5, 1.0, 2.0]})
    """Alpha of the self-adversarial weights."""
    n3: float = Field(default=0.0, ge=0, json_schema_extra={"search": [0.001, 0.1]})
    """Weight of the N3 norm; for models that score by an inner product."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the products with all entities in the loss ``one_vs_all``; weights, sums and evaluation
    are always float32."""
    negatives: NegativesConfig = NegativesConfig()
    """Corruptions to learn against."""
    optimizer: OptimizerName = "adagrad"
    """``sgd`` and ``adagrad`` touch only the rows that a batch uses (except against all)."""
    learning_rate: float = Field(default=0.1, gt=0, json_schema_extra={"search": [0.01, 1.0]})
    """Peak. For ``sgd`` it is the rate of a single pair of triples, as in the papers' codes: the
    loss being a mean, the step is this times the number of pairs of a batch."""
    warmup: float = Field(default=0.0, ge=0, lt=1)
    """Share of a phase's steps during which the rate rises from zero."""
    final_learning_rate: float = Field(default=0.2, ge=0, le=1)
    """Share of the peak that is left at the end of a phase, after a linear decay."""
    epochs: int = Field(default=100, ge=1)
    """Passes over the training triples (of IKRL: with images, after the warm start)."""
    batch_size: int = Field(default=1024, ge=1, json_schema_extra={"search": [256, 1024, 8192]})
    """Triples of a global batch, shared among the workers."""
    validations: int = Field(default=5, ge=1)
    """Validations of a phase, evenly spread; the best weights are kept."""
    patience: int | None = Field(default=None, ge=1)
    """A phase ends after so many validations without a better one; None never ends it early."""
    validation_triples: int = Field(default=2000, ge=1)
    """Validation triples ranked each time, at most; drawn once, the same for all seeds."""
    ikrl: IKRLConfig = IKRLConfig()
    """For the model of that name."""
    complex_text: ComplExTextConfig = ComplExTextConfig()
    """For the model of that name."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Settings of a model of your own, checked against the section that its class names."""

    @field_validator("model")
    @classmethod
    def _known(cls, model: str) -> str:
        if model == "described":
            raise ValueError("it is called complex_text now")
        return GRAPH_MODELS.check(model)

    @model_validator(mode="after")
    def _consistent(self) -> TripleConfig:
        model = self.model_class
        try:
            check(self.options, model.options)
        except UsageError as error:
            raise ValueError(f"options of {self.model}: {error}") from error
        for problem in (*model.problems(self), *_problems(self)):
            raise ValueError(problem)
        return self

    @property
    def model_class(self) -> ModelClass:
        """The model's class, imported where it is first asked for."""
        found = GRAPH_MODELS.get(self.model)
        if not hasattr(found, "lexical_dimension"):
            raise UsageError(
                f"{self.model!r} is no graph model: expected a subclass of TripleModel"
            )
        return cast("ModelClass", found)

    @property
    def pictured(self) -> bool:
        """Whether the model looks at images."""
        return self.model_class.looks_at_images(self)

    @property
    def lexical(self) -> int | None:
        """Length of the random projection of the texts' words; None if it looks at no texts."""
        return self.model_class.lexical_dimension(self)

    @property
    def views(self) -> tuple[str, ...]:
        """The ways in which the model can be asked."""
        return self.model_class.views

    @property
    def sparse(self) -> bool:
        """Whether the gradients of the tables hold only the rows of a batch."""
        return self.loss != "one_vs_all" and self.optimizer in ("sgd", "adagrad")

    @property
    def reciprocal(self) -> bool:
        """Whether a relation has a vector of its own for the way back."""
        return self.loss == "one_vs_all"

    @property
    def pairs(self) -> int:
        """Pairs of a true triple and a corruption in a batch."""
        drawn = self.negatives.entities * (1 if self.negatives.shared_by == 1 else 2)
        return self.batch_size * (drawn + self.negatives.relations)


def _problems(config: TripleConfig) -> Iterator[str]:
    """What does not fit together, whatever the model."""
    negatives = config.negatives
    if config.loss != "one_vs_all" and config.precision != "float32":
        yield f"precision = {config.precision!r} is for loss = 'one_vs_all' alone"
    if config.loss != "one_vs_all" and not negatives.entities + negatives.relations:
        yield "negatives: entities and relations are 0, but the loss needs corruptions"
    if config.batch_size % negatives.shared_by:
        yield (
            f"batch_size = {config.batch_size} is no multiple of negatives.shared_by = "
            f"{negatives.shared_by}"
        )
