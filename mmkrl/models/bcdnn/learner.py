"""How BC-DNN's branches take turns: phases, targets, batches and validation.

The alternation (``models`` of the paper are unknown; this order is ours): the text branch learns
alone, then K rounds of *text teaches vision* (images regress to the vectors of what they show)
and *vision teaches text* (vectors move towards their visual prototypes).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from mmkrl.data.sampling.relationships import RelationshipSampler
from mmkrl.data.splits.names import TRAIN, VALIDATION
from mmkrl.data.views.knowledge import Knowledge, chunks
from mmkrl.evaluate.metrics.metric import measure
from mmkrl.evaluate.metrics.ranking import retrieval_metrics
from mmkrl.evaluate.metrics.recognition import recognition
from mmkrl.evaluate.metrics.registry import metrics
from mmkrl.evaluate.tasks.pools import Pool
from mmkrl.models.bcdnn.config import BCDNNConfig
from mmkrl.models.bcdnn.model import BCDNN
from mmkrl.train.learner import Batch, Phase

_PROJECTED = 8192  # training images, spread over all, that the principal directions come from


class BCDNNLearner:
    """BC-DNN with its data and schedule.

    Args:
        knowledge: Relationships and images.
        config: Network, alternation and which variant of it.
    """

    def __init__(self, knowledge: Knowledge, config: BCDNNConfig) -> None:
        self._knowledge = knowledge
        self._config = config
        relationships, images = knowledge.relationships, knowledge.images
        self._train = relationships.index(TRAIN)
        self._train_images = images.index(TRAIN)
        self._sampler = RelationshipSampler(relationships.part_R3[self._train])
        self._slot_words = slot_words(relationships.part_R3, relationships.word_R3W)
        words, features = relationships.word_R3W.shape[2], images.feature_MD.shape[1]
        self.module = BCDNN(words, features, len(relationships.ids), config)
        self.module.text.fit_whitening(relationships.word_R3W[self._train])
        self.module.image.fit_scale(*images.scale(self._train_images))
        few = np.unique(np.linspace(0, len(self._train_images) - 1, _PROJECTED).astype(np.int64))
        self.module.image.fit_directions(images.features(self._train_images[few]))

    def phases(self) -> list[Phase]:
        """The schedule of the variant; every variant's branches get the same number of steps."""
        c = self._config
        image = Phase("image", c.image_steps * c.rounds, c.image_learning_rate, "image")
        text = Phase("text", c.text_steps * (c.rounds + 1), c.text_learning_rate, "text")
        if self._config.variant == "image_only":
            return [image]
        if self._config.variant == "text_only":
            return [text]
        if self._config.variant == "text_to_image":
            return [text, image]
        phases = [Phase("text_0", c.text_steps, c.text_learning_rate, "text")]
        for k in range(1, c.rounds + 1):
            phases.append(Phase(f"image_{k}", c.image_steps, c.image_learning_rate, "image"))
            phases.append(Phase(f"text_{k}", c.text_steps, c.text_learning_rate, "text"))
        return phases

    @torch.no_grad()
    def begin(self, phase: Phase) -> None:
        """Compute the targets of this phase with the frozen branch."""
        self.module.eval()
        if phase.branch == "image":
            self.module.taught.copy_(self.text_vectors())
        elif phase.name not in ("text_0", "text"):  # those learn before any image has
            self.module.taught.copy_(self.text_vectors())
            self.module.seen.copy_(self._prototypes())

    def batch(self, phase: Phase, step: int, seed: int) -> Batch:  # noqa: ARG002 - the seed tells all
        """The global batch of a step."""
        generator = np.random.default_rng(seed)
        if phase.branch == "image":
            return self._image_batch(generator, seed)
        return self._text_batch(phase, generator, seed)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Zero-shot text-to-image retrieval and recognition over validation relationships."""
        self.module.eval()
        pool = Pool.of(self._knowledge, VALIDATION)
        text_RD = self.text_vectors().cpu()
        image_UD = self.image_vectors(pool.image_U.numpy()).cpu()
        retrieval = retrieval_metrics(
            text_RD[pool.label_R],
            image_UD,
            relevance=pool.images_of_texts,
            metrics=metrics("mAP"),
        )
        candidate_C = torch.from_numpy(self._knowledge.relationships.index(VALIDATION))
        ranking = recognition(
            image_UD[pool.place_N],
            text_RD[candidate_C],
            target_Q=torch.searchsorted(candidate_C, pool.label_N),
            right=pool.right(candidate_C),
        )
        return {
            "text_to_image_map": float(retrieval.values["mAP"].mean()),
            "recognition_top_1": float(measure(ranking, metrics("top-1"))["top-1"].mean()),
        }

    @torch.no_grad()
    def text_vectors(self) -> Tensor:
        """Unit vectors of all relationships, shape (R, D); of ``image_only``, mean word vectors."""
        word_R3W = self._knowledge.relationships.word_R3W.to(self._device)
        if self._config.variant != "image_only":
            vectors: Tensor = self.module.text(word_R3W)
            return vectors
        return mean_word_vectors(word_R3W, self._train, self._config.dimension)

    @torch.no_grad()
    def image_vectors(self, index: npt.NDArray[np.int64]) -> Tensor:
        """Unit vectors of images by their positions, shape (len(index), D)."""
        return torch.cat(
            [
                self.module.image.embed(self._knowledge.images.features(part).to(self._device))
                for part in chunks(index)
            ]
        )

    def every_image(self) -> Tensor:
        """Unit vectors of all images on the CPU, shape (N, D)."""
        return self.image_vectors(np.arange(len(self._knowledge.images.ids))).cpu()

    @property
    def _device(self) -> torch.device:
        return self.module.taught.device

    def _prototypes(self) -> Tensor:
        """The normalised mean vector of each relationship's training images, shape (R, D)."""
        # Training images alone; relationships without any keep zeros.
        total_RD = torch.zeros_like(self.module.seen)
        for part in chunks(self._train_images):
            label_N = torch.from_numpy(self._knowledge.images.label_N[part]).to(self._device)
            total_RD.index_add_(0, label_N, self.image_vectors(part))
        return functional.normalize(total_RD, dim=1)

    def _image_batch(self, generator: np.random.Generator, seed: int) -> Batch:
        images = self._knowledge.images
        drawn = self._train_images[
            generator.integers(0, len(self._train_images), self._config.batch_size)
        ]
        rows = {
            "feature": images.features(drawn),
            "label": torch.from_numpy(images.label_N[drawn]),
        }
        return Batch(rows, seed=seed)

    def _text_batch(self, phase: Phase, generator: np.random.Generator, seed: int) -> Batch:
        relationships = self._knowledge.relationships
        drawn = self._sampler.anchors(self._config.batch_size, generator)
        part_B3 = relationships.part_R3[self._train[drawn]]
        rows = {
            "label": torch.from_numpy(self._train[drawn]),
            "anchor": self._words(part_B3),
            "shares_two": self._words(self._sampler.corrupt(part_B3, 1, generator)),
            "shares_one": self._words(self._sampler.corrupt(part_B3, 2, generator)),
        }
        pool = self._train[self._sampler.anchors(self._config.pool, generator)]
        shared = {
            "pool": torch.from_numpy(pool),
            "pool_words": relationships.word_R3W[torch.from_numpy(pool)],
        }
        bi_enhanced = phase.name not in ("text_0", "text")
        return Batch(rows, shared, seed=seed, settings={"bi_enhanced": bi_enhanced})

    def _words(self, part_B3: npt.NDArray[np.int64]) -> Tensor:
        """Word vectors of relationships given by their parts, shape (B, 3, W)."""
        return self._slot_words[torch.from_numpy(part_B3)]


def slot_words(part_R3: npt.NDArray[np.int64], word_R3W: Tensor) -> Tensor:
    """The word vector of every part, shape (P, W)."""
    word_PW = torch.zeros(int(part_R3.max()) + 1, word_R3W.shape[2])
    word_PW[torch.from_numpy(part_R3.reshape(-1))] = word_R3W.reshape(-1, word_R3W.shape[2])
    return word_PW


def mean_word_vectors(
    word_R3W: Tensor, train: npt.NDArray[np.int64], dimension: int | None = None
) -> Tensor:
    """The centred, normalised mean word vector of each relationship, shape (R, dimension).

    Args:
        word_R3W: Word vectors by slot.
        train: Training relationships; their mean is subtracted.
        dimension: Length to pad with zeros (or cut) to; None keeps the word vectors' own.
    """
    mean_RW = word_R3W.mean(dim=1)
    centred_RW = mean_RW - mean_RW[torch.from_numpy(train)].mean(dim=0)
    if dimension is not None:
        centred_RW = functional.pad(centred_RW, (0, dimension - centred_RW.shape[1]))
    return functional.normalize(centred_RW, dim=1)
