"""Configuration of the dual encoder of images and captions, and of its training."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from mmkrl.losses.config import Mining
from mmkrl.models.captions.fine_tune_config import FineTuneConfig
from mmkrl.models.captions.mtls_config import TransferConfig
from mmkrl.models.config import ModelConfig
from mmkrl.train.config import OptimizerName


class CaptionConfig(ModelConfig):
    """A dual encoder and how it is trained."""

    family: str = "captions"
    dimension: int = Field(default=1024, ge=2, json_schema_extra={"search": [256, 512, 1024]})
    """Length of the vectors in the common space; of a GRU, its state."""
    measure: Literal["cosine", "order"] = "cosine"
    """How an image and a caption are compared; ``order`` takes vectors' absolute values and wants a
    margin of 0.05 (Vendrov et al. 2016)."""
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
    margin: float = Field(default=0.2, gt=0, json_schema_extra={"search": [0.05, 0.4]})
    """Least difference of the scores of a match and a negative."""
    mining: Mining = "sum"
    """Negatives that count: all of the batch in a ``sum``, the hardest (``max``, VSE++), the mean
    of the ``top_k`` hardest (MTLS), or the hardest below the match (``semi_hard``)."""
    hardest: int = Field(default=10, ge=1)
    """k of ``top_k``."""
    warm_epochs: float = Field(default=0.0, ge=0, json_schema_extra={"search": [0.0, 5.0]})
    """Epochs with the ``sum`` of all negatives before ``mining``: the hardest of untrained vectors
    say little."""
    masked: bool = True
    """Whether other captions of an image are no negatives of it."""
    optimizer: OptimizerName = "adam"
    """How the weights move."""
    learning_rate: float = Field(default=2e-4, gt=0, json_schema_extra={"search": [1e-4, 2e-3]})
    """Peak."""
    warmup: float = Field(default=0.0, ge=0, lt=1)
    """Share of the steps during which the rate rises from zero."""
    final_rate: float = Field(default=0.05, ge=0, le=1)
    """Share of the peak rate that is left at the end, after a linear decay."""
    epochs: float = Field(default=30, gt=0)
    """Passes over the training captions, those of the warm-up not counted."""
    batch_size: int = Field(default=128, ge=2, json_schema_extra={"search": [128, 256, 512]})
    """Captions, each with its image, of a global batch; the negatives are of all workers."""
    held: int | None = Field(default=None, ge=1)
    """Rows of a worker's batch whose activations are held at once; the rest are computed again
    when gradients pass. None holds all; the gradients are the same."""
    precision: Literal["bfloat16", "float32"] = "bfloat16"
    """Of the encoders' products; vectors, losses and weights are float32."""
    validations: int = Field(default=30, ge=1)
    """Validations of a phase, evenly spread; the best weights are kept."""
    patience: int | None = Field(default=None, ge=1)
    """A phase ends after so many validations without a better one; none never ends it early."""

    transfer: TransferConfig | None = None
    """Local structures that the modalities teach each other: MTLS; none is the dual encoder."""
    fine_tune: FineTuneConfig | None = None
    """A last phase in which the backbone learns, too, from pictures; none keeps its features."""

    @model_validator(mode="after")
    def _consistent(self) -> CaptionConfig:
        if self.mining == "sum" and self.warm_epochs:
            raise ValueError(
                f"warm_epochs = {self.warm_epochs:g}: with mining = 'sum' there is nothing to warm "
                "up for; set epochs alone, or another mining"
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
