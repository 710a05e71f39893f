"""A trained dual encoder as a space: find images by text, and texts by image.

It holds both encoders (with the image encoder, if that was fine-tuned), the vocabulary, and the
vectors of a gallery of images and of captions. Where images and texts came as vectors, questions
are vectors too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import load_file, save_file
from torch import Tensor

from mmkrl.data.views.captions import Captions
from mmkrl.data.views.vocabulary import Vocabulary, caption_words
from mmkrl.data.views.words import WordVectors
from mmkrl.encoders.config import ExtractConfig
from mmkrl.encoders.engines import FromPixels, Source
from mmkrl.errors import UserError
from mmkrl.losses.captions import SCORES
from mmkrl.models.captions.config import CaptionConfig
from mmkrl.models.captions.dual_encoder import DualEncoder
from mmkrl.models.captions.fine_tuning import FineTuned
from mmkrl.models.captions.learner import CaptionLearner, text_rows
from mmkrl.models.pixels import PixelFeatures, decoded
from mmkrl.spaces.space import (
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
_PARTS = ("image.", "text.", "vocabulary_digest", "backbone.", "begun")  # what answering takes
_MOST_CAPTIONS = 50_000


class DualEncoderSpace(Space):
    """Both encoders of a trained model with what they are asked about.

    Args:
        model: The trained network.
        vocabulary: The words it reads; None where texts came as vectors.
        images: Image ids, and their unit vectors of shape (G, D).
        captions: Captions, and their unit vectors of shape (C, D).
        extract: How pixels become features; None where images came as vectors.
        word_dimension: Length of the pretrained word vectors it was made with; 0 without any.
        text_features: Length of the vectors of texts, where they came as such.
    """

    kind = "captions"
    columns = {  # noqa: RUF012 - declared a ClassVar
        "text": "string",
        "image": "binary",
        "text_vector": "array",
        "image_vector": "array",
    }

    def __init__(
        self,
        model: DualEncoder,
        vocabulary: Vocabulary | None,
        images: tuple[list[str], Tensor],
        captions: tuple[list[str], Tensor],
        extract: ExtractConfig | None,
        *,
        word_dimension: int = 0,
        text_features: int | None = None,
    ) -> None:
        self._model = model.eval()
        self._vocabulary = vocabulary
        self._image_ids, self._image_GD = images
        self._captions, self._text_CD = captions
        self._extract = extract
        self._word_dimension = word_dimension
        self._text_features = text_features
        self._pixels = PixelFeatures(extract) if extract else None

    @property
    def tasks(self) -> Mapping[str, Task]:
        """What it can be asked.

        * ``embed_text``, ``embed_image``: the vector of ``text``, of ``image`` (encoded bytes);
        * ``retrieve``: the best images of the gallery for ``text``;
        * ``recognise``: the best captions for ``image``.

        Where texts or images came as vectors, ``text_vector`` and ``image_vector`` take their
        place.
        """
        text = "text" if self._vocabulary else "text_vector"
        image = "image" if self._pixels else "image_vector"
        return {
            "embed_text": Task((text,), lambda rows, _: with_vectors(self._texts(rows))),
            "embed_image": Task((image,), lambda rows, _: with_vectors(self._images(rows))),
            "retrieve": Task((text,), self._retrieve),
            "recognise": Task((image,), self._recognise),
        }

    @property
    def example(self) -> Mapping[str, Any]:
        """A text of which it finds images."""
        if self._vocabulary:
            return {"task": "retrieve", "text": self._captions[0]}
        assert self._text_features is not None
        return {"task": "retrieve", "text_vector": [1.0] * self._text_features}

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors of texts, shape (len(texts), D).

        Raises:
            UserError: none of the words of a text is known.
        """
        assert self._vocabulary is not None
        known = set(self._vocabulary.words)
        for text in texts:
            if not known.intersection(caption_words(text)):
                raise UserError(f"text {text!r}: the model knows none of its words")
        rows = text_rows(self._vocabulary.encode(texts), np.arange(len(texts)))
        return self._model.text_vectors(rows)

    @torch.inference_mode()
    def embed_images(self, images: Sequence[bytes]) -> Tensor:
        """Unit vectors of encoded pictures, shape (len(images), D).

        Raises:
            UserError: one of them cannot be decoded.
        """
        assert self._extract is not None
        assert self._pixels is not None
        if isinstance(self._model, FineTuned):
            pixels = torch.from_numpy(decoded(images, self._extract))
            return self._model.image_vectors(self._model.features_of({"pixel": pixels}))
        return self._model.image_vectors(self._pixels(images))

    def save(self, folder: Path) -> None:
        """Write the space into a folder: safetensors and JSON only."""
        vocabulary = self._vocabulary
        features = len(self._model.image.mean_F)
        description = {
            "config": self._model.config.model_dump(mode="json"),
            "extract": self._extract.model_dump(mode="json") if self._extract else None,
            "features": features,
            "text_features": self._text_features,
            "words": list(vocabulary.words) if vocabulary else None,
            "word_dimension": self._word_dimension,
            "gallery": self._image_ids,
            "captions": self._captions,
        }
        self._describe(folder, description)
        state = {k: v for k, v in self._model.state_dict().items() if k.startswith(_PARTS)}
        save_file({name: value.contiguous() for name, value in state.items()}, folder / _WEIGHTS)
        arrays = {"images": self._image_GD, "captions": self._text_CD}
        halves = {name: vectors.numpy().astype(np.float16) for name, vectors in arrays.items()}
        save_arrays(halves, folder / _VECTORS)

    @classmethod
    def load(cls, folder: Path) -> DualEncoderSpace:
        """Read a space that :meth:`save` wrote; nothing in it is executed."""
        description = read_description(folder)
        config = CaptionConfig.model_validate(description["config"])
        extract = description["extract"] and ExtractConfig.model_validate(description["extract"])
        vocabulary = None
        if description["words"]:
            vocabulary = Vocabulary(tuple(description["words"]), config.longest)
        dimension, text_features = description["word_dimension"], description["text_features"]
        source = vocabulary or int(text_features)
        words = WordVectors({}, np.zeros((0, dimension), np.float32)) if dimension else None
        state = load_file(folder / _WEIGHTS)
        features = description["features"]
        model = DualEncoder(features, source, config, words=words)
        if config.fine_tune is not None and extract:
            untrained = extract.model_copy(update={"weights": {extract.backbones[0]: "random"}})
            encoder = FromPixels(Source.configured(untrained, extract.backbones[0]))
            model = FineTuned(encoder, features, source, config, words=words)
        model.load_state_dict(state)
        arrays = load_arrays(folder / _VECTORS)
        image_GD, text_CD = (
            torch.from_numpy(arrays[name].astype(np.float32)) for name in ("images", "captions")
        )
        return cls(
            model,
            vocabulary,
            (description["gallery"], image_GD),
            (description["captions"], text_CD),
            extract,
            word_dimension=dimension,
            text_features=text_features,
        )

    def _texts(self, rows: Sequence[Row]) -> Tensor:
        values = [value for (value,) in rows]
        if self._vocabulary:
            return self.embed_texts(values)
        with torch.inference_mode():
            return self._model.text_vectors({"text_feature": _vectors(values)})

    def _images(self, rows: Sequence[Row]) -> Tensor:
        values = [value for (value,) in rows]
        if self._pixels:
            return self.embed_images(values)
        with torch.inference_mode():
            return self._model.image_vectors(_vectors(values))

    def _retrieve(self, rows: Sequence[Row], options: QueryOptions) -> list[Reply]:
        text_BD = self._texts(rows)
        score_BG = self._scores(self._image_GD, text_BD).T
        return with_vectors(text_BD, best_answers(score_BG, self._image_ids, options.count))

    def _recognise(self, rows: Sequence[Row], options: QueryOptions) -> list[Reply]:
        image_BD = self._images(rows)
        score_BC = self._scores(image_BD, self._text_CD)
        return with_vectors(image_BD, best_answers(score_BC, self._captions, options.count))

    def _scores(self, image_ID: Tensor, text_CD: Tensor) -> Tensor:
        """Of all images for all captions, by the measure that was trained, shape (I, C)."""
        return SCORES[self._model.config.measure](image_ID, text_CD)


def build_space(
    learner: CaptionLearner, captions: Captions, extract: ExtractConfig | None
) -> DualEncoderSpace:
    """The space of a trained learner, with all images as its gallery.

    Of the different captions at most 50,000 can be found, evenly spread over all.

    Args:
        learner: Trained.
        captions: What it was trained on.
        extract: How pixels became features; None where images came as vectors.
    """
    _, first = np.unique(captions.texts, return_index=True)
    kept = np.sort(first)
    if len(kept) > _MOST_CAPTIONS:
        kept = kept[np.linspace(0, len(kept) - 1, _MOST_CAPTIONS).astype(np.int64)]
    given = captions.text_CF
    every = np.arange(len(captions.ids))
    return DualEncoderSpace(
        learner.module.cpu(),
        learner.vocabulary,
        (captions.ids, learner.image_vectors(every).cpu()),
        ([captions.texts[i] for i in kept], learner.text_vectors(kept).cpu()),
        extract,
        word_dimension=learner.word_dimension,
        text_features=None if given is None else given.shape[1],
    )


def _vectors(rows: Sequence[Any]) -> Tensor:
    return torch.tensor(np.array([np.asarray(row, np.float32) for row in rows]))
