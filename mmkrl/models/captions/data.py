"""What dual encoders learn from: a captioned corpus and its features, or pairs of given vectors."""

from __future__ import annotations

from functools import cached_property

from mmkrl.data.views.captions import Captions, load_captions
from mmkrl.data.views.mapped_pictures import map_pictures
from mmkrl.data.views.wikipedia import wikipedia_captions
from mmkrl.data.views.words import WordVectors, load_words
from mmkrl.encoders.config import ExtractConfig
from mmkrl.encoders.engines import Source
from mmkrl.encoders.views import Pictures
from mmkrl.errors import UserError
from mmkrl.models.captions.config import FineTuneConfig
from mmkrl.models.config import CORPUS, FEATURES
from mmkrl.models.family import Sources


class CaptionData:
    """Images and captions, and what some models want beside them.

    Args:
        sources: Where they come from: ``train.captions_from``, or a corpus and its features.
    """

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    @cached_property
    def captions(self) -> Captions:
        """Images and captions by split."""
        config, datasets = self._sources.config, self._sources.datasets
        division = config.caption_split
        if config.captions_from is not None:
            validation, seed = division.validation, division.seed
            return wikipedia_captions(config.captions_from, validation=validation, seed=seed)
        return load_captions(
            datasets[CORPUS],
            datasets[FEATURES],
            self._sources.cache,
            backbones=config.features,
            division=division,
        )

    @cached_property
    def words(self) -> WordVectors:
        """Pretrained word vectors."""
        return load_words(self._sources.config.words)

    def extract(self, tune: FineTuneConfig | None) -> ExtractConfig | None:
        """How pictures become features; None where features came as such.

        Args:
            tune: Of a model whose encoder is fine-tuned; it may see another size.
        """
        if self._sources.config.captions_from is not None:
            return None
        extract = self._sources.extract
        size = tune.image_size if tune and tune.image_size else extract.image_size
        return extract.model_copy(update={"image_size": size})

    def pictures(self, tune: FineTuneConfig) -> Pictures:
        """The captioned images themselves, for the encoder that gave their features.

        They are decoded as they were for their features, but in the size asked for.

        Args:
            tune: What the encoder shall see.

        Raises:
            UserError: there are none, only vectors.
        """
        extract = self.extract(tune)
        if extract is None:
            given = self._sources.config.captions_from
            raise UserError(f"fine_tune needs pictures, and {given} has vectors alone")
        source = Source.configured(extract, extract.backbones[0])
        corpus, cache = self._sources.datasets[CORPUS], self._sources.cache
        return Pictures(map_pictures(corpus, self.captions.ids, cache), extract, source)
