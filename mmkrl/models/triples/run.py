"""One training run of a model of triples: what every worker does, and what is left of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from mmkrl.data.dataset import Dataset
from mmkrl.data.views.entity_texts import EntityTexts, entity_texts
from mmkrl.data.views.graph import EntityImages, Graph, entity_images, load_graph
from mmkrl.data.views.mapped_features import Backbones
from mmkrl.data.views.words import load_words
from mmkrl.models.triples.config import TripleConfig
from mmkrl.models.triples.learner import TripleLearner
from mmkrl.train.context import TrainContext
from mmkrl.train.loop import LoopConfig, fit


@dataclass(frozen=True)
class TripleData:
    """What models of triples learn from.

    Attributes:
        graph: Output of the job ``graph``.
        extracted: Features of its images, if there are any.
        features: Whose features; see :func:`~mmkrl.data.views.mapped_features.map_features`.
        words: Pretrained word vectors; see :func:`mmkrl.data.views.words.load_words`.
        cache: Folder on the worker's disk for mapped features.
    """

    graph: Dataset
    extracted: Dataset | None
    features: Backbones
    words: str
    cache: Path

    def load(self) -> Graph:
        """The graph."""
        return load_graph(self.graph)

    def texts(self, graph: Graph, lexical: int) -> EntityTexts:
        """The vectors of the entities' texts."""
        return entity_texts(graph, self.graph, load_words(self.words), lexical)

    def images(self, graph: Graph) -> EntityImages | None:
        """The features of the entities' images; None if none were extracted."""
        if self.extracted is None:
            return None
        return entity_images(graph, self.graph, self.extracted, self.cache, backbones=self.features)


@dataclass(frozen=True)
class TripleRun:
    """What to train.

    Attributes:
        config: The model.
        loop: The training loop.
        data: The graph and its images.
        seed: Decides initial weights, the order of triples and their corruptions.
    """

    config: TripleConfig
    loop: LoopConfig
    data: TripleData
    seed: int

    def learner(self, graph: Graph) -> TripleLearner:
        """The model before training, with its data.

        Args:
            graph: The data's graph, loaded.
        """
        config, data = self.config, self.data
        images = data.images(graph) if config.pictured else None
        texts = None if config.lexical is None else data.texts(graph, config.lexical)
        torch.manual_seed(self.seed)
        return TripleLearner(graph, config, images=images, texts=texts, seed=self.seed)


def train_triples(run: TripleRun, context: TrainContext) -> None:
    """Train, or go on from the context's last checkpoint."""
    fit(run.learner(run.data.load()), run.loop, context, seed=run.seed)
