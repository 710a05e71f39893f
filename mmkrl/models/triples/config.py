"""Configuration of models of triples and of their training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, TypeAlias

from pydantic import Field, model_validator

from mmkrl.config import Section
from mmkrl.data.sampling.config import NegativesConfig
from mmkrl.models.config import ModelConfig
from mmkrl.train.config import Bound, OptimizerName

Energy: TypeAlias = Literal["ss", "ii", "si", "is"]
ENERGIES: tuple[Energy, ...] = ("ss", "ii", "si", "is")
PRODUCTS = ("distmult", "complex", "described")
"""Models whose score is an inner product."""
WHOLE = "all"
"""The view of a model by all it has."""
VIEWS = {
    "ikrl": (WHOLE, "sbr", "ibr", "union"),
    "described": (WHOLE, "structure", "agreement"),
}
"""Further views, by model, in which its triples can be scored: of IKRL by the structure alone, by
the images alone, and by both, weighted; of ``described`` by ComplEx alone, and without it."""


class IKRLConfig(Section):
    """What IKRL adds to TransE."""

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
    warm_epochs: int = Field(default=100, ge=0)
    """Epochs of TransE alone before images take part."""
    projection_epochs: int = Field(default=0, ge=0)
    """Epochs in which the projection of images learns alone, between the two: without them, images
    that say nothing yet pull the relations they share with the structure away from it."""
    learning_rate: float | None = Field(default=None, gt=0)
    """Peak learning rate once images take part; none means the same as before."""

    @model_validator(mode="after")
    def _symmetric(self) -> IKRLConfig:
        if not self.energies or len(set(self.energies)) != len(self.energies):
            raise ValueError(f"energies = {self.energies}: give different ones, at least one")
        if ("si" in self.energies) != ("is" in self.energies):
            raise ValueError(f"energies = {self.energies}: give si and is together, or neither")
        return self


class DescribedConfig(Section):
    """What ``described`` adds to ComplEx."""

    images: bool = False
    """Whether the entities' images count beside their texts."""
    lexical: int = Field(default=512, ge=8)
    """Length of the random projection of the texts' words."""
    dropout: float = Field(default=0.3, ge=0, lt=1, json_schema_extra={"search": [0.0, 0.5]})
    """Probability of dropping a number of ComplEx's query."""


class TripleConfig(ModelConfig):
    """A model of triples and how it is trained."""

    family: str = "triples"
    model: Literal["transe", "distmult", "complex", "rotate", "ikrl", "described"] = "transe"
    """Which model; ``described`` is ComplEx beside the entities' texts, and images if wanted."""
    dimension: int = Field(default=100, ge=2, json_schema_extra={"search": [50, 100, 200]})
    """Real numbers of an entity's vector; a complex one has half as many elements."""
    norm: Literal[1, 2] = 1
    """Length of TransE's differences: L1 or L2. IKRL's is L1: a sum of L2 lengths is none."""
    bound: Bound = "ball"
    """How TransE and IKRL hold vectors after each step: entities and relations within the unit
    ``ball`` (IKRL's released code), entities on the unit ``sphere`` (Bordes et al. 2013), or
    ``free``."""
    loss: Literal["margin", "self_adversarial", "one_vs_all"] = "margin"
    """Against drawn corruptions with a ``margin``, or weighted by what the model believes of them;
    or cross-entropy against all entities, with reciprocal relations (``distmult``, ``complex`` and
    ``described`` alone, this one always)."""
    margin: float = Field(default=4.0, ge=0, json_schema_extra={"search": [1.0, 12.0]})
    """Gamma, in the unit of the energies."""
    temperature: float = Field(default=1.0, ge=0, json_schema_extra={"search": [0.5, 1.0, 2.0]})
    """Alpha of the self-adversarial weights."""
    n3: float = Field(default=0.0, ge=0, json_schema_extra={"search": [0.001, 0.1]})
    """Weight of the N3 norm; for ``distmult``, ``complex`` and ``described``."""
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
    """A phase ends after so many validations without a better one; none never ends it early."""
    validation_triples: int = Field(default=2000, ge=1)
    """Validation triples ranked each time, at most; drawn once, the same for all seeds."""
    ikrl: IKRLConfig = IKRLConfig()
    """For the model of that name."""
    described: DescribedConfig = DescribedConfig()
    """For the model of that name."""

    renamed: ClassVar[Mapping[str, str]] = {"final_rate": "final_learning_rate"}

    @model_validator(mode="after")
    def _consistent(self) -> TripleConfig:
        problem = next(iter(_problems(self)), None)
        if problem is not None:
            raise ValueError(problem)
        return self

    @property
    def pictured(self) -> bool:
        """Whether the model looks at images."""
        return self.model == "ikrl" or (self.textual and self.described.images)

    @property
    def textual(self) -> bool:
        """Whether the model looks at texts."""
        return self.model == "described"

    @property
    def views(self) -> tuple[str, ...]:
        """The ways in which the model can be asked."""
        return VIEWS.get(self.model, (WHOLE,))

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


def _problems(config: TripleConfig) -> list[str]:
    """What does not fit together."""
    model, negatives = config.model, config.negatives
    found = []
    if model == "ikrl" and config.norm != 1:
        found.append(f"norm = {config.norm}: ikrl compares with norm = 1")
    if model in ("complex", "rotate", "described") and config.dimension % 2:
        found.append(f"dimension = {config.dimension}: {model} needs an even number")
    if config.loss == "one_vs_all" and model not in PRODUCTS:
        found.append(f"loss = 'one_vs_all' is for {', '.join(PRODUCTS)}, not for {model}")
    if config.loss != "one_vs_all" and model == "described":
        found.append(f"loss = {config.loss!r}: described learns with loss = 'one_vs_all' alone")
    if config.loss != "one_vs_all" and config.precision != "float32":
        found.append(f"precision = {config.precision!r} is for loss = 'one_vs_all' alone")
    if config.loss != "one_vs_all" and not negatives.entities + negatives.relations:
        found.append("negatives: entities and relations are 0, but the loss needs corruptions")
    if config.batch_size % negatives.shared_by:
        found.append(
            f"batch_size = {config.batch_size} is no multiple of negatives.shared_by = "
            f"{negatives.shared_by}"
        )
    if model == "ikrl" and config.ikrl.objective == "each" and negatives.shared_by > 1:
        found.append("negatives.shared_by > 1 compares sums of energies; set ikrl.objective=summed")
    return found
