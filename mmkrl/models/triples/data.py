"""What models of triples learn from: a graph, and what they may look at beside it."""

from __future__ import annotations

from functools import cached_property

from mmkrl.arrays import BoolArray
from mmkrl.data.views.entity_texts import EntityTexts, entity_texts
from mmkrl.data.views.graph import EntityImages, Graph, entity_images, load_graph, pictured
from mmkrl.data.views.words import load_words
from mmkrl.models.config import FEATURES, GRAPH
from mmkrl.models.family import Sources


class TripleData:
    """A graph with its images and texts, each loaded when it is first wanted.

    Args:
        sources: Where they come from.
    """

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    @cached_property
    def graph(self) -> Graph:
        """Triples by split."""
        return load_graph(self._sources.datasets[GRAPH])

    @cached_property
    def pictured_E(self) -> BoolArray:
        """Which entities have an image, shape (E,)."""
        return pictured(self.graph, self._sources.datasets[GRAPH])

    def texts(self, lexical: int) -> EntityTexts:
        """The vectors of the entities' texts.

        Args:
            lexical: Length of the random projection of the texts' words.
        """
        words = load_words(self._sources.config.words)
        return entity_texts(self.graph, self._sources.datasets[GRAPH], words, lexical)

    def images(self) -> EntityImages | None:
        """The features of the entities' images; None if none were extracted."""
        sources = self._sources
        extracted = sources.datasets.get(FEATURES)
        if extracted is None:
            return None
        graph, features = sources.datasets[GRAPH], sources.config.features
        return entity_images(self.graph, graph, extracted, sources.cache, backbones=features)
