"""A trained BC-DNN as a space: find images by text, recognise relationships in images.

It holds both branches, the words it knows, the relationships by name, and the vectors (not the
pixels) of a gallery.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import load_file, save_file
from torch import Tensor

from mmkrl.data.views.knowledge import Knowledge
from mmkrl.data.views.words import WordVectors
from mmkrl.encoders.config import ExtractConfig
from mmkrl.models.bcdnn.config import BCDNNConfig
from mmkrl.models.bcdnn.learner import BCDNNLearner
from mmkrl.models.bcdnn.model import BCDNN
from mmkrl.models.pixels import PixelFeatures
from mmkrl.spaces.linking import Linker, Triple
from mmkrl.spaces.space import (
    Answer,
    QueryOptions,
    Reply,
    Row,
    Space,
    Task,
    best_answers,
    read_description,
    with_vectors,
)

_WEIGHTS, _VECTORS = "weights.safetensors", "vectors.safetensors"
_FREQUENT_WORDS = 50_000  # kept so that queries may use words no relationship has


class KnowledgeSpace(Space):
    """Both branches of a trained model with what they are asked about.

    Args:
        model: The trained network.
        words: Vectors of the words it knows.
        relationships: The relationships it can recognise.
        gallery: Image ids, and their unit vectors of shape (G, D).
        extract: How pixels become the features it was trained on.
    """

    kind = "bcdnn"
    columns = {"text": "string", "image": "binary"}  # noqa: RUF012 - declared a ClassVar

    def __init__(
        self,
        model: BCDNN,
        words: WordVectors,
        relationships: Sequence[Triple],
        gallery: tuple[list[str], Tensor],
        extract: ExtractConfig,
    ) -> None:
        self._model = model.eval()
        self._words = words
        self._relationships = list(relationships)
        self._image_ids, self._gallery_GD = gallery
        self._pixels = PixelFeatures(extract)
        self._linker = Linker(words, self._relationships)
        self._relationship_RD = self.embed_triples(self._relationships)

    @property
    def tasks(self) -> Mapping[str, Task]:
        """What it can be asked.

        * ``embed_text``: the vector of ``text``;
        * ``embed_image``: the vector of ``image``, encoded bytes;
        * ``retrieve``: the best images of the gallery for ``text``;
        * ``recognise``: the best relationships for ``image``.
        """
        return {
            "embed_text": Task(("text",), self._embed_texts),
            "embed_image": Task(("image",), self._embed_images),
            "retrieve": Task(("text",), self._retrieve),
            "recognise": Task(("image",), self._recognise),
        }

    @property
    def example(self) -> Mapping[str, Any]:
        """A text of which it finds images."""
        return {"task": "retrieve", "text": " | ".join(self._relationships[0])}

    def link(self, text: str) -> Triple:
        """The relationship a text means; see :class:`~mmkrl.spaces.linking.Linker`."""
        return self._linker.link(text)

    @torch.inference_mode()
    def embed_triples(self, triples: Sequence[Triple]) -> Tensor:
        """Unit vectors of relationships, shape (len(triples), D)."""
        slots = [[self._words.phrase(part) for part in triple] for triple in triples]
        vectors: Tensor = self._model.text(torch.from_numpy(np.array(slots, dtype=np.float32)))
        return vectors

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors of free or explicit texts, shape (len(texts), D)."""
        return self.embed_triples([self.link(text) for text in texts])

    def embed_images(self, images: Sequence[bytes]) -> Tensor:
        """Unit vectors of encoded pictures, shape (len(images), D).

        Raises:
            UserError: one of them cannot be decoded.
        """
        return self.embed_features(self._pixels(images))

    @torch.inference_mode()
    def embed_features(self, feature_BF: Tensor) -> Tensor:
        """Unit vectors of images by their feature vectors, shape (B, D)."""
        return self._model.image.embed(feature_BF)

    def retrieve(
        self, text_BD: Tensor, count: int, among: Container[str] | None = None
    ) -> list[list[Answer]]:
        """The best images of the gallery for each text vector.

        Args:
            text_BD: Unit vectors of texts.
            count: How many.
            among: Ids of the images that may be found; None means all of the gallery.
        """
        if among is None:
            return best_answers(text_BD @ self._gallery_GD.T, self._image_ids, count)
        kept = [position for position, name in enumerate(self._image_ids) if name in among]
        names = [self._image_ids[position] for position in kept]
        return best_answers(text_BD @ self._gallery_GD[kept].T, names, count)

    def recognise(self, image_BD: Tensor, count: int) -> list[list[Answer]]:
        """The best relationships for each image vector."""
        names = [" | ".join(triple) for triple in self._relationships]
        return best_answers(image_BD @ self._relationship_RD.T, names, count)

    @property
    def features(self) -> int:
        """Length of the feature vectors it takes."""
        return int(self._model.image.feature_mean.shape[0])

    def knows(self, triple: Triple) -> bool:
        """Whether it has a vector of every word of a relationship."""
        return not self._words.unknown(triple)

    @property
    def relationships(self) -> list[Triple]:
        """The relationships it can recognise."""
        return self._relationships

    def save(self, folder: Path) -> None:
        """Write the space into a folder: safetensors and JSON only."""
        description = {
            "config": self._model.config.model_dump(mode="json"),
            "extract": self._pixels.config.model_dump(mode="json"),
            "features": self.features,
            "words": sorted(self._words.index, key=self._words.index.__getitem__),
            "relationships": self._relationships,
            "gallery": self._image_ids,
        }
        self._describe(folder, description)
        state = {k: v for k, v in self._model.state_dict().items() if k not in ("taught", "seen")}
        save_file({name: value.contiguous() for name, value in state.items()}, folder / _WEIGHTS)
        arrays = {"words": self._words.vector_VW, "gallery": self._gallery_GD.numpy()}
        save_arrays({k: np.ascontiguousarray(v) for k, v in arrays.items()}, folder / _VECTORS)

    @classmethod
    def load(cls, folder: Path) -> KnowledgeSpace:
        """Read a space that :meth:`save` wrote; nothing in it is executed."""
        description = read_description(folder)
        arrays = load_arrays(folder / _VECTORS)
        words = WordVectors(
            {word: row for row, word in enumerate(description["words"])}, arrays["words"]
        )
        config = BCDNNConfig.model_validate(description["config"])
        model = BCDNN(words.dimension, description["features"], 0, config)
        targets = {"taught": model.taught, "seen": model.seen}  # of no relationships
        model.load_state_dict(load_file(folder / _WEIGHTS) | targets)
        return cls(
            model,
            words,
            [(s, p, o) for s, p, o in description["relationships"]],
            (description["gallery"], torch.from_numpy(arrays["gallery"])),
            ExtractConfig.model_validate(description["extract"]),
        )

    def _embed_texts(self, rows: Sequence[Row], options: QueryOptions) -> list[Reply]:
        del options
        triples = [self.link(text) for (text,) in rows]
        understood = [" | ".join(triple) for triple in triples]
        return with_vectors(self.embed_triples(triples), understood=understood)

    def _embed_images(self, rows: Sequence[Row], options: QueryOptions) -> list[Reply]:
        del options
        return with_vectors(self.embed_images([image for (image,) in rows]))

    def _retrieve(self, rows: Sequence[Row], options: QueryOptions) -> list[Reply]:
        triples = [self.link(text) for (text,) in rows]
        text_BD = self.embed_triples(triples)
        understood = [" | ".join(triple) for triple in triples]
        return with_vectors(text_BD, self.retrieve(text_BD, options.count), understood)

    def _recognise(self, rows: Sequence[Row], options: QueryOptions) -> list[Reply]:
        image_BD = self.embed_images([image for (image,) in rows])
        return with_vectors(image_BD, self.recognise(image_BD, options.count))


def build_space(
    learner: BCDNNLearner, knowledge: Knowledge, words: WordVectors, extract: ExtractConfig
) -> KnowledgeSpace:
    """The space of a trained learner, with every image of the knowledge as its gallery.

    Args:
        learner: Trained.
        knowledge: What it was trained on.
        words: The word vectors it was trained with.
        extract: How its features were made.
    """
    texts = knowledge.relationships.texts
    every = np.arange(len(knowledge.images.ids))
    _, first = np.unique(knowledge.images.row_N, return_index=True)  # an image once
    image_ND = learner.image_vectors(every[np.sort(first)]).cpu()
    return KnowledgeSpace(
        learner.module.cpu(),
        words.restricted((part for text in texts for part in text), _FREQUENT_WORDS),
        texts,
        ([knowledge.images.ids[i] for i in np.sort(first)], image_ND),
        extract,
    )
