"""The dual encoder with its captions and schedule, as the training loop sees it."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from mmkrl.arrays import IntArray
from mmkrl.data.sampling.epochs import ShuffledEpochs
from mmkrl.data.splits.names import TRAIN, VALIDATION
from mmkrl.data.views.captions import Captions
from mmkrl.data.views.moments import mean_and_deviation
from mmkrl.data.views.vocabulary import EncodedTexts, Vocabulary, build_vocabulary
from mmkrl.data.views.words import WordVectors
from mmkrl.errors import UserError
from mmkrl.evaluate.tasks.caption_retrieval import (
    IMAGE_TEXT,
    TEXT_IMAGE,
    CaptionSpace,
    caption_tasks,
    recall_sum,
)
from mmkrl.models.captions.config import CaptionConfig
from mmkrl.models.captions.dual_encoder import DualEncoder
from mmkrl.train.learner import Batch, Phase

logger = logging.getLogger(__name__)

_CHUNK = 512  # images or captions encoded at once where nothing is learned
WARM, MAIN = "warm", "train"


class CaptionLearner:
    """A dual encoder, trained on captioned images.

    Args:
        captions: Images and captions by split.
        config: Model, loss and schedule.
        words: Pretrained word vectors, where the configuration wants them.
        seed: Decides the order of the captions.

    Raises:
        UserError: captions that come as words for a model that wants vectors, or none.
    """

    def __init__(
        self,
        captions: Captions,
        config: CaptionConfig,
        *,
        words: WordVectors | None = None,
        seed: int,
    ) -> None:
        self._captions, self._config = captions, config
        self._train_N = captions.captions(TRAIN)
        self._epochs = ShuffledEpochs(len(self._train_N), seed)
        self.vocabulary: Vocabulary | None = None
        self.word_dimension = words.dimension if words else 0
        self._encoded: EncodedTexts | None = None
        if config.reads_words:
            self.vocabulary = vocabulary_of(captions, config)
            self._encoded = self.vocabulary.encode(captions.texts)
            self._log_unread()
        elif captions.text_CF is None:
            raise UserError(
                "text = 'features' needs captions that come as vectors, and these come as words: "
                "use text = 'gru', 'bigru' or 'mean'"
            )
        self.module = self._make(words)
        if config.scale == "standard":
            self.module.image.fit_scale(*self._scale())

    def _make(self, words: WordVectors | None) -> DualEncoder:
        return DualEncoder(self._features, self._source, self._config, words=words)

    @property
    def _features(self) -> int:
        """Length of the images' feature vectors."""
        return int(self._captions.feature_MD.shape[1])

    @property
    def _source(self) -> Vocabulary | int:
        """What the text encoder reads: words of the vocabulary, or vectors of some length."""
        if self.vocabulary is not None:
            return self.vocabulary
        assert self._captions.text_CF is not None
        return int(self._captions.text_CF.shape[1])

    def phases(self) -> list[Phase]:
        """Training, after a warm-up with the sum of all negatives if there is one."""
        config = self._config
        phases = [self._phase(MAIN, config.epochs, config.final_learning_rate)]
        if config.warmup_epochs:
            phases.insert(0, self._phase(WARM, config.warmup_epochs, 1.0))
        return phases

    def _phase(self, name: str, epochs: float, final: float) -> Phase:
        config = self._config
        steps = math.ceil(epochs * len(self._train_N) / config.batch_size)
        return Phase(
            name,
            steps,
            config.learning_rate,
            "",
            optimizer=config.optimizer,
            warmup=config.warmup,
            final=final,
            validate_steps=math.ceil(steps / config.validations),
            patience=config.patience,
        )

    def begin(self, phase: Phase) -> None:
        """Nothing to prepare."""

    def batch(self, phase: Phase, step: int, seed: int) -> Batch:
        """The global batch of a step: the next captions of shuffled epochs, with their images."""
        drawn = self._epochs.batch(phase.name, step, self._config.batch_size)
        rows = self.pairs(self._train_N[drawn])
        return Batch(rows, seed=seed, settings={"warmup": phase.name == WARM})

    def pairs(self, caption_B: IntArray) -> dict[str, Tensor]:
        """Captions and their images, as the model takes them.

        Args:
            caption_B: Positions of the captions.
        """
        image_B = self._captions.image_C[caption_B]
        rows = {"feature": self._captions.features(image_B), "image": torch.from_numpy(image_B)}
        return rows | self.text_rows(caption_B)

    def text_rows(self, caption_B: IntArray) -> dict[str, Tensor]:
        """Captions, as the model takes them."""
        if self._encoded is not None:
            return text_rows(self._encoded, caption_B)
        assert self._captions.text_CF is not None
        return {"text_feature": torch.from_numpy(self._captions.text_CF[caption_B])}

    def validate(self) -> dict[str, float]:
        """Retrieval both ways on the validation images and their captions; the sum of recalls."""
        tasks = caption_tasks(self.space(VALIDATION))
        return {
            "rsum": recall_sum(tasks),
            "annotation_r1": float(tasks[IMAGE_TEXT].values["R@1"].mean()),
            "search_r1": float(tasks[TEXT_IMAGE].values["R@1"].mean()),
        }

    def space(self, split: str) -> CaptionSpace:
        """The images and captions of a split in the common space, on the CPU."""
        return CaptionSpace(
            self.image_vectors(self._captions.images(split)).cpu(),
            self.text_vectors(self._captions.captions(split)).cpu(),
            self._captions.within(split),
            self._config.measure,
        )

    @torch.no_grad()
    def image_vectors(self, index_N: IntArray) -> Tensor:
        """Unit vectors of images, shape (N, D)."""
        self.module.eval()
        parts = [self.module.image_vectors(self.image_features(part)) for part in _chunks(index_N)]
        return torch.cat(parts)

    def image_features(self, index_B: IntArray) -> Tensor:
        """Feature vectors of images, shape (B, F)."""
        return self._captions.features(index_B).to(self._device)

    def text_vectors(self, index_N: IntArray) -> Tensor:
        """Unit vectors of captions, shape (N, D)."""
        if self._encoded is not None:
            return self._read(self._encoded, index_N)
        return torch.cat([self._vectors(self.text_rows(part)) for part in _chunks(index_N)])

    def vectors_of(self, texts: list[str]) -> Tensor:
        """Unit vectors of any texts, single words among them, shape (N, D)."""
        assert self.vocabulary is not None
        return self._read(self.vocabulary.encode(texts), np.arange(len(texts)))

    def _read(self, texts: EncodedTexts, index_N: IntArray) -> Tensor:
        """Vectors of texts, those of like length encoded together."""
        # A batch is padded to its longest text, so texts of one length waste nothing.
        order_N = np.argsort(np.diff(texts.start_C1)[index_N], kind="stable")
        parts = [self._vectors(text_rows(texts, index_N[part])) for part in _chunks(order_N)]
        sorted_ND = torch.cat(parts)
        vector_ND = torch.empty_like(sorted_ND)
        vector_ND[torch.from_numpy(order_N)] = sorted_ND
        return vector_ND

    @torch.no_grad()
    def _vectors(self, rows: dict[str, Tensor]) -> Tensor:
        self.module.eval()
        return self.module.text_vectors({k: v.to(self._device) for k, v in rows.items()})

    @property
    def _device(self) -> torch.device:
        return self.module.vocabulary_digest.device

    def _scale(self) -> tuple[Tensor, Tensor]:
        """Mean and deviation of the training images' features."""
        train_N = self._captions.images(TRAIN)
        return mean_and_deviation(self._captions.features(part) for part in _chunks(train_N))

    def _log_unread(self) -> None:
        """Log what is not read of the captions."""
        assert self._encoded is not None
        assert self.vocabulary is not None
        logger.info(
            "%d words known, %d words of captions unknown, %d captions cut at %d words",
            len(self.vocabulary.words),
            self._encoded.unknown,
            self._encoded.truncated,
            self.vocabulary.longest,
        )


def vocabulary_of(captions: Captions, config: CaptionConfig) -> Vocabulary:
    """The vocabulary of the training captions."""
    texts = (captions.texts[i] for i in captions.captions(TRAIN))
    return build_vocabulary(texts, minimum=config.minimum_count, longest=config.longest)


def text_rows(texts: EncodedTexts, index_B: IntArray) -> dict[str, Tensor]:
    """Texts as a text encoder takes them: words side by side, and their number."""
    word_BL, length_B = texts.padded(index_B)
    return {"word": torch.from_numpy(word_BL), "length": torch.from_numpy(length_B)}


def _chunks(index_N: IntArray) -> Iterator[IntArray]:
    return (index_N[start : start + _CHUNK] for start in range(0, len(index_N), _CHUNK))
