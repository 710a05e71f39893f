"""A trained knowledge space, loaded from one folder: embed, retrieve, recognise.

The folder holds everything a query needs and nothing of the training data: both branches, the
words it knows, the relationships by name, and the vectors (not the pixels) of a gallery.
"""

from __future__ import annotations

import json
from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import load_file, save_file
from torch import Tensor

from mmkrl.data.pictures import Limits, decode
from mmkrl.data.views.mapped_features import joined
from mmkrl.data.views.words import WordVectors
from mmkrl.encoders.config import ExtractConfig
from mmkrl.encoders.extractor import Extractor
from mmkrl.models.bcdnn.config import BCDNNConfig
from mmkrl.models.bcdnn.model import BCDNN
from mmkrl.spaces.linking import Linker, Triple

_WEIGHTS, _VECTORS, _DESCRIPTION = "weights.safetensors", "vectors.safetensors", "space.json"


@dataclass(frozen=True)
class Answer:
    """One thing found: an image id or a relationship, and its cosine."""

    name: str
    score: float


class KnowledgeSpace:
    """Both branches of a trained model with what they are asked about.

    Args:
        model: The trained network.
        words: Vectors of the words it knows.
        relationships: The relationships it can recognise.
        gallery: Image ids, and their unit vectors of shape (G, D).
        extract: How pixels become the features it was trained on.
    """

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
        self._extract = extract
        self._extractor: Extractor | None = None
        self._linker = Linker(words, self._relationships)
        self._relationship_RD = self.embed_triples(self._relationships)

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

    @torch.inference_mode()
    def embed_images(self, images: Sequence[bytes]) -> Tensor:
        """Unit vectors of encoded pictures, shape (len(images), D).

        Raises:
            UnusablePicture: one of them cannot be decoded.
        """
        if self._extractor is None:
            self._extractor = Extractor(
                self._extract, dict.fromkeys(self._extract.backbones, "torch")
            )
        config = self._extract
        limits = Limits(config.max_bytes, config.max_pixels)
        pixels = [decode(i, limits, size=config.image_size, fit=config.fit) for i in images]
        shape = (0, config.image_size, config.image_size, 3)
        features = self._extractor(np.stack(pixels) if pixels else np.zeros(shape, np.uint8))
        feature_BF = joined([features[name] for name in config.backbones])
        return self.embed_features(torch.from_numpy(feature_BF).float())

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
            among: Ids of the images that may be found; none means all of the gallery.
        """
        if among is None:
            return _best(text_BD, self._gallery_GD, self._image_ids, count)
        kept = [place for place, name in enumerate(self._image_ids) if name in among]
        names = [self._image_ids[place] for place in kept]
        return _best(text_BD, self._gallery_GD[kept], names, count)

    def recognise(self, image_BD: Tensor, count: int) -> list[list[Answer]]:
        """The best relationships for each image vector."""
        names = [" | ".join(triple) for triple in self._relationships]
        return _best(image_BD, self._relationship_RD, names, count)

    def save(self, folder: Path) -> None:
        """Write the space into a folder: safetensors and JSON only."""
        folder.mkdir(parents=True, exist_ok=True)
        state = {k: v for k, v in self._model.state_dict().items() if k not in ("taught", "seen")}
        save_file({name: value.contiguous() for name, value in state.items()}, folder / _WEIGHTS)
        arrays = {"words": self._words.vector_VW, "gallery": self._gallery_GD.numpy()}
        save_arrays({k: np.ascontiguousarray(v) for k, v in arrays.items()}, folder / _VECTORS)
        description = {
            "config": self._model.config.model_dump(mode="json"),
            "extract": self._extract.model_dump(mode="json"),
            "features": self.features,
            "words": sorted(self._words.index, key=self._words.index.__getitem__),
            "relationships": self._relationships,
            "gallery": self._image_ids,
        }
        (folder / _DESCRIPTION).write_text(json.dumps(description), encoding="utf-8")

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

    @staticmethod
    def lies_in(folder: Path) -> bool:
        """Whether a folder holds a space, and not another kind of model."""
        return (folder / _DESCRIPTION).is_file()

    @classmethod
    def load(cls, folder: Path) -> KnowledgeSpace:
        """Read a space that :meth:`save` wrote; nothing in it is executed."""
        description = json.loads((folder / _DESCRIPTION).read_text(encoding="utf-8"))
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


def _best(
    query_BD: Tensor, gallery_GD: Tensor, names: Sequence[str], count: int
) -> list[list[Answer]]:
    if not len(names):
        return [[] for _ in query_BD]
    found = torch.topk(query_BD @ gallery_GD.T, min(count, len(names)), dim=1)
    return [
        [Answer(names[i], score) for i, score in zip(row, scores, strict=True)]
        for row, scores in zip(found.indices.tolist(), found.values.tolist(), strict=True)
    ]
