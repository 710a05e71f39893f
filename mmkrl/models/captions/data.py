"""Where images and captions come from: a corpus and its features, or pairs of given vectors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mmkrl.config import check
from mmkrl.data.dataset import Dataset
from mmkrl.data.views.captions import Captions, CaptionSplit, load_captions
from mmkrl.data.views.mapped_features import Backbones
from mmkrl.data.views.mapped_pictures import map_pictures
from mmkrl.data.views.wikipedia import wikipedia_captions
from mmkrl.encoders.config import ExtractConfig
from mmkrl.encoders.engines import Source
from mmkrl.encoders.views import Pictures
from mmkrl.errors import UserError
from mmkrl.models.captions.config import FineTuneConfig


class CaptionData(Protocol):
    """What dual encoders learn from; it must pickle."""

    @property
    def words(self) -> str:
        """Pretrained word vectors; see :func:`mmkrl.data.views.words.load_words`."""
        ...

    def load(self) -> Captions:
        """Images and captions."""
        ...

    def pictures(self, captions: Captions, tune: FineTuneConfig) -> Pictures:
        """The captioned images themselves, for the backbone that gave their features.

        Args:
            captions: The data, loaded.
            tune: What the backbone shall see.
        """
        ...


@dataclass(frozen=True)
class CorpusCaptions:
    """The captioned images of a corpus.

    Attributes:
        corpus: Output of the job ``ingest``.
        extracted: Features of its images.
        features: Whose features; see :func:`~mmkrl.data.views.mapped_features.map_features`.
        words: Pretrained word vectors; see :func:`mmkrl.data.views.words.load_words`.
        division: How images are divided whose source does not say.
        cache: Folder on the worker's disk for mapped features and pictures.
    """

    corpus: Dataset
    extracted: Dataset
    features: Backbones
    words: str
    division: CaptionSplit
    cache: Path

    def load(self) -> Captions:
        """Images and captions."""
        return load_captions(
            self.corpus,
            self.extracted,
            self.cache,
            backbones=self.features,
            division=self.division,
        )

    def pictures(self, captions: Captions, tune: FineTuneConfig) -> Pictures:
        """The images, decoded as they were for their features but in the size asked for."""
        extract = check(self.extracted.manifest.config, ExtractConfig)
        size = tune.image_size or extract.image_size
        extract = extract.only(self.features).model_copy(update={"image_size": size})
        source = Source.configured(extract, extract.backbones[0])
        return Pictures(map_pictures(self.corpus, captions.ids, self.cache), extract, source)


@dataclass(frozen=True)
class GivenPairs:
    """Pairs of an image and a text that come as vectors.

    Attributes:
        path: File with the pairs; see :func:`~mmkrl.data.views.wikipedia.wikipedia_captions`.
        words: Pretrained word vectors, which such texts have no use for.
        division: Its validation share is held out of the training pairs.
    """

    path: str
    words: str
    division: CaptionSplit

    def load(self) -> Captions:
        """Images and captions."""
        division = self.division
        return wikipedia_captions(self.path, validation=division.validation, seed=division.seed)

    def pictures(self, captions: Captions, tune: FineTuneConfig) -> Pictures:  # noqa: ARG002 - the protocol's
        """There are none.

        Raises:
            UserError: always.
        """
        raise UserError(f"fine_tune needs pictures, and {self.path} has vectors alone")
