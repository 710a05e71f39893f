"""One training run of a dual encoder: what every worker does, and what is left of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from mmkrl.data.dataset import Dataset, write_file
from mmkrl.data.manifest import FileEntry
from mmkrl.data.views.captions import Captions
from mmkrl.data.views.vocabulary import Vocabulary, read_vocabulary
from mmkrl.data.views.words import load_words
from mmkrl.io.storage import Location
from mmkrl.models.captions.config import CaptionConfig
from mmkrl.models.captions.data import CaptionData
from mmkrl.models.captions.learner import CaptionLearner, vocabulary_of
from mmkrl.models.captions.registry import caption_learner
from mmkrl.models.weights import load_weights, member_name
from mmkrl.train.config import LoopConfig
from mmkrl.train.context import TrainContext
from mmkrl.train.loop import fit

CAPTIONS = "captions.json"
"""What was read of the captions and what was not, beside the trained models."""


@dataclass(frozen=True)
class CaptionRun:
    """What to train.

    Attributes:
        config: The model.
        loop: The training loop.
        data: Images and captions.
        seed: Decides initial weights, the order of captions and dropout.
    """

    config: CaptionConfig
    loop: LoopConfig
    data: CaptionData
    seed: int

    def learner(self, captions: Captions, vocabulary: Vocabulary | None = None) -> CaptionLearner:
        """The model before training, with its data.

        Args:
            captions: The data, loaded.
            vocabulary: That of an earlier run; by default the training captions' own.
        """
        config, data = self.config, self.data
        words = load_words(data.words) if config.pretrained else None
        pictures = data.pictures(captions, config.fine_tune) if config.fine_tune else None
        torch.manual_seed(self.seed)
        return caption_learner(
            captions,
            config,
            pictures=pictures,
            vocabulary=vocabulary,
            words=words,
            seed=self.seed,
        )

    def trained(self, captions: Captions, trained: Dataset, name: str) -> CaptionLearner:
        """The model after training.

        Args:
            captions: The data, loaded.
            trained: Output of training.
            name: What the model is called there.

        Raises:
            UserError: it is not there, or has another vocabulary.
        """
        vocabulary = None
        if self.config.reads_words:
            entry = trained.file(vocabulary_path(name))
            place = str(trained.location / entry.path)
            vocabulary = read_vocabulary(trained.read_bytes(entry), place)
        learner = self.learner(captions, vocabulary)
        learner.module.load_state_dict(load_weights(trained.location, member_name(name, self.seed)))
        learner.module.eval()
        return learner


def vocabulary_path(name: str) -> str:
    """Where the vocabulary of a model, which its seeds share, lies in the dataset."""
    return f"models/{name}/vocabulary.json"


def write_vocabularies(
    location: Location, data: CaptionData, configs: Mapping[str, CaptionConfig]
) -> list[FileEntry]:
    """Write what goes with trained models: their vocabularies, and what was not read of the data.

    Args:
        location: The dataset's folder.
        data: What the models learned from.
        configs: Models by name.

    Returns:
        The files written: a vocabulary a model, and captions.json.
    """
    captions = data.load()
    files, read = [], {}
    for name, config in configs.items():
        if config.reads_words:
            vocabulary = vocabulary_of(captions, config)
            encoded = vocabulary.encode(captions.texts)
            files.append(write_file(location, vocabulary_path(name), vocabulary.to_json()))
            read[name] = {
                "words": len(vocabulary.words),
                "unknown_words": encoded.unknown,
                "truncated_captions": encoded.truncated,
            }
    text = json.dumps({"statistics": dict(captions.statistics), "models": read}, indent=1)
    return [*files, write_file(location, CAPTIONS, text.encode())]


def train_captions(run: CaptionRun, context: TrainContext) -> None:
    """Train, or go on from the context's last checkpoint."""
    fit(run.learner(run.data.load()), run.loop, context, seed=run.seed)
