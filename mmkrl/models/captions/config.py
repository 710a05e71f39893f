"""Configuration of the dual encoder of images and captions, and of its training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field, SerializeAsAny, field_validator, model_validator

from mmkrl.config import Section
from mmkrl.losses.config import LossConfig, TripletConfig, loss_settings
from mmkrl.models.config import ModelConfig
from mmkrl.train.config import OptimizerName


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
    warmup_epochs: float = Field(default=5.0, ge=0)
    """Epochs, of all, in which both sides learn the ranking loss alone, before the first round."""
    memory: float = Field(default=0.5, ge=0, lt=1)
    """Share of its former self in a structure that is computed anew for the next round."""
    raw_dimension: int = Field(default=256, ge=1)
    """Principal directions of the raw features, in which the first structures are measured."""

    renamed: ClassVar[Mapping[str, str]] = {"warm_epochs": "warmup_epochs"}

    @model_validator(mode="after")
    def _transfers(self) -> TransferConfig:
        if self.joint and not (self.to_image and self.to_text):
            raise ValueError("joint = true has no turns to leave out: set to_image and to_text")
        return self


class FineTuneConfig(Section):
    """A last phase in which the images' backbone learns, too, from the pictures themselves.

    The backbone is the one of the features (``train.features``), with the weights, the fit and the
    limits of ``extract``, so it starts where those features came from.
    """

    epochs: float = Field(default=5, gt=0)
    """Passes over the training captions, after those on features; validated once in each."""
    learning_rate_scale: float = Field(default=0.1, gt=0, json_schema_extra={"search": [0.03, 0.3]})
    """Peak learning rate of this phase, as a share of ``learning_rate`` (VSE++: 2e-5 after
    2e-4)."""
    backbone_learning_rate_scale: float = Field(
        default=1.0, ge=0, json_schema_extra={"search": [0.1, 1.0]}
    )
    """The backbone's learning rate, as a share of the rest's; 0 leaves it as it is."""
    image_size: int | None = Field(default=None, ge=32, le=1024)
    """Side of the square that it sees, in pixels; None means that of ``extract``."""
    crop: float = Field(default=0.875, gt=0.2, le=1)
    """Side of the part of a picture that a step sees, as a share of the picture's, at random
    places; 1 shows the whole picture. Elsewhere than in training, all of it is seen."""
    mirror: bool = True
    """Whether a step sees half of the pictures, at random, as their mirror images."""

    renamed: ClassVar[Mapping[str, str]] = {
        "rate": "learning_rate_scale",
        "backbone_rate": "backbone_learning_rate_scale",
    }


class CaptionConfig(ModelConfig):
    """A dual encoder and how it is trained."""

    family: str = "captions"
    dimension: int = Field(default=1024, ge=2, json_schema_extra={"search": [256, 512, 1024]})
    """Length of the vectors in the common space; of a GRU, its state."""
    measure: Literal["cosine", "order"] = "cosine"
    """How an image and a caption are compared; ``order`` takes vectors' absolute values and wants
    ``loss.margin`` 0.05 (Vendrov et al. 2016)."""
    image: Literal["linear", "mlp"] = "linear"
    """From features to the common space: one linear map, as published (UVS, VSE++), or two with a
    hidden layer between them (MTLS)."""
    scale: Literal["unit", "standard"] = "unit"
    """What the image branch sees: features of unit length, as published, or each with the mean 0
    and the deviation 1 over the training images."""
    text: Literal["gru", "bigru", "mean", "features"] = "gru"
    """From words to the common space: the last state of a GRU, the mean of the last states of one
    each way, a linear map of the words' mean; or ``features``, given vectors through two layers."""
    words: Literal["random", "tuned", "fixed", "both"] = "random"
    """Word vectors: ``random`` at the start; those of ``train.words``, ``tuned`` further or
    ``fixed``; or ``both``, the fixed ones beside random ones."""
    word_dimension: int = Field(default=300, ge=1)
    """Length of random word vectors; pretrained ones have their own."""
    hidden: int = Field(default=1024, ge=1)
    """Width of the hidden layer of ``mlp`` and of given text features."""
    dropout: float = Field(default=0.0, ge=0, lt=1, json_schema_extra={"search": [0.0, 0.5]})
    """Probability of dropping a number of the features, the word vectors or a hidden layer."""
    minimum_count: int = Field(default=1, ge=1)
    """Occurrences in training captions that a word needs to be known."""
    longest: int = Field(default=100, ge=1)
    """Most words of a caption that are read."""
    loss: SerializeAsAny[LossConfig] = TripletConfig()
    """What is minimised: ``triplet`` ranking, ``infonce`` (CLIP), ``siglip``, or one of your own;
    its name alone, or ``name`` and settings of the loss (:mod:`mmkrl.losses.config`); without a
    name, settings of ``triplet``."""
    warmup_epochs: float = Field(default=0.0, ge=0, json_schema_extra={"search": [0.0, 5.0]})
    """Epochs before the others in which ``triplet`` takes the sum of all negatives: the hardest of
    untrained vectors say little."""
    masked: bool = True
    """Whether other captions of an image are no negatives of it."""
    optimizer: OptimizerName = "adam"
    """How the weights move."""
    learning_rate: float = Field(default=2e-4, gt=0, json_schema_extra={"search": [1e-4, 2e-3]})
    """Peak."""
    warmup: float = Field(default=0.0, ge=0, lt=1)
    """Share of the steps during which the learning rate rises from zero."""
    final_learning_rate: float = Field(default=0.05, ge=0, le=1)
    """Share of the peak that is left at the end, after a linear decay."""
    epochs: float = Field(default=30, gt=0)
    """Passes over the training captions, those of the warm-up not counted."""
    batch_size: int = Field(default=128, ge=2, json_schema_extra={"search": [128, 256, 512]})
    """Captions, each with its image, of a global batch; the negatives are of all workers."""
    micro_batch_size: int | None = Field(default=None, ge=1)
    """Rows of a worker's batch whose activations are in memory at once; they are computed again
    when gradients pass (GradCache). None keeps those of all; the gradients are the same."""
    precision: Literal["bfloat16", "float32"] = "bfloat16"
    """Of the encoders' products; vectors, losses and weights are float32."""
    validations: int = Field(default=30, ge=1)
    """Validations of a phase, evenly spread; the best weights are kept."""
    patience: int | None = Field(default=None, ge=1)
    """A phase ends after so many validations without a better one; None never ends it early."""

    transfer: TransferConfig | None = None
    """Local structures that the modalities teach each other: MTLS; None is the dual encoder."""
    fine_tune: FineTuneConfig | None = None
    """A last phase in which the backbone learns, too, from pictures; None keeps its features."""

    renamed: ClassVar[Mapping[str, str]] = {
        "margin": "loss.margin",
        "mining": "loss.mining",
        "hardest": "loss.top_k",
        "warm_epochs": "warmup_epochs",
        "final_rate": "final_learning_rate",
        "held": "micro_batch_size",
    }

    @field_validator("loss", mode="before")
    @classmethod
    def _loss_by_name(cls, given: object) -> object:
        return loss_settings(given)

    @model_validator(mode="after")
    def _consistent(self) -> CaptionConfig:
        if self.warmup_epochs and not self.loss.has_warmup:
            mining = getattr(self.loss, "mining", None)
            with_ = f"loss.mining = {mining!r}" if mining else f"loss = {self.loss.name!r}"
            raise ValueError(
                f"warmup_epochs = {self.warmup_epochs:g}: with {with_} there is nothing to warm up "
                "for; set epochs alone, or loss.mining other than 'sum'"
            )
        if self.optimizer in ("sgd", "adagrad") and self.text in ("gru", "bigru"):
            raise ValueError(f"optimizer = {self.optimizer!r}: a GRU learns with 'adam' or 'adamw'")
        if self.transfer is not None and self.fine_tune is not None:
            raise ValueError("fine_tune and transfer: MTLS learns from features; leave one out")
        return self

    @property
    def reads_words(self) -> bool:
        """Whether captions are read as words."""
        return self.text != "features"

    @property
    def pretrained(self) -> bool:
        """Whether the word vectors of ``train.words`` are used."""
        return self.reads_words and self.words != "random"

    @property
    def knows_words(self) -> bool:
        """Whether single words have vectors that can be added and subtracted."""
        return self.reads_words and self.measure == "cosine"
