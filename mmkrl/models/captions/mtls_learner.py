"""How MTLS's branches take turns: phases, structures, and batches with neighbours in them.

Ours, since the paper's order is unknown: both branches learn the ranking loss; then, in every
round, images learn with the texts frozen, and texts with the images frozen. A turn begins with the
other side's structure: that of the raw features in the first round, then more and more of what was
learned. Every branch takes as many steps as in a joint training of as many epochs.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from mmkrl.arrays import IntArray
from mmkrl.data.splits.names import TRAIN
from mmkrl.data.views.captions import Captions
from mmkrl.data.views.vocabulary import Vocabulary
from mmkrl.data.views.words import WordVectors
from mmkrl.errors import UserError
from mmkrl.evaluate.exact.exact_search import nearest_neighbours
from mmkrl.models.captions.config import CaptionConfig
from mmkrl.models.captions.learner import WARM, CaptionLearner
from mmkrl.models.captions.mtls import MTLS, NO_PARTNER, Side
from mmkrl.models.captions.mtls_config import TransferConfig
from mmkrl.models.captions.structures import mixed, raw_images, raw_texts
from mmkrl.train.learner import Batch, Phase

ALONE, JOINT = "alone", "joint"
SIDES: tuple[Side, ...] = ("image", "text")


class MTLSLearner(CaptionLearner):
    """MTLS with its captions and schedule.

    Args:
        captions: Images and captions by split.
        config: Model, losses and schedule, with a section ``transfer``.
        vocabulary: That of an earlier run; by default the training captions' own.
        words: Pretrained word vectors, where the configuration wants them.
        seed: Decides the order of the captions.

    Raises:
        UserError: as for the dual encoder; a schedule or a batch that cannot be cut.
    """

    module: MTLS

    def __init__(
        self,
        captions: Captions,
        config: CaptionConfig,
        *,
        vocabulary: Vocabulary | None = None,
        words: WordVectors | None = None,
        seed: int,
    ) -> None:
        assert config.transfer is not None
        self._transfer: TransferConfig = config.transfer
        self._image_N = captions.images(TRAIN)
        if len(self._image_N) < 2 or config.batch_size % 2:
            raise UserError(
                f"{len(self._image_N)} training images and a batch of {config.batch_size}: the "
                "transfer of structures needs two images and an even batch_size"
            )
        if config.epochs <= config.transfer.warm_epochs:
            raise UserError(
                f"epochs = {config.epochs:g} and transfer.warm_epochs = "
                f"{config.transfer.warm_epochs:g}: the warm-up must leave epochs for the turns"
            )
        super().__init__(captions, config, vocabulary=vocabulary, words=words, seed=seed)
        self._start_J = np.searchsorted(captions.image_C, np.arange(len(captions.ids) + 1))

    def _make(self, words: WordVectors | None) -> MTLS:
        images = len(self._image_N)
        return MTLS(self._features, self._source, self._config, words=words, images=images)

    def phases(self) -> list[Phase]:
        """The turns; a branch's rate falls over all of its steps as it would in one phase."""
        config, transfer = self._config, self._transfer
        phases = [phase for phase in super().phases() if phase.name == WARM]
        if transfer.warm_epochs:
            phases.append(self._turn(ALONE, "", 0, transfer.warm_epochs))
        rest = config.epochs - transfer.warm_epochs
        if transfer.joint:
            return [*phases, self._turn(JOINT, "", transfer.warm_epochs, rest)]
        each = rest / transfer.rounds
        for n in range(transfer.rounds):
            begun = transfer.warm_epochs + n * each
            phases += [self._turn(f"{side}_{n + 1}", side, begun, each) for side in SIDES]
        return phases

    def _turn(self, name: str, branch: str, begun: float, epochs: float) -> Phase:
        """A phase of so many epochs; what learns in it has learned for some before."""
        config = self._config
        steps = math.ceil(epochs * len(self._train_N) / config.batch_size)
        every = math.ceil(2 * config.epochs * len(self._train_N) / config.batch_size)
        rates = [1 - (1 - config.final_rate) * at / config.epochs for at in (begun, begun + epochs)]
        return Phase(
            name,
            steps,
            config.learning_rate * rates[0],
            branch,
            optimizer=config.optimizer,
            warmup=0.0 if begun else config.warmup,
            final=rates[1] / rates[0],
            validate_steps=min(steps, math.ceil(every / config.validations)),
            patience=config.patience,
        )

    @torch.no_grad()
    def begin(self, phase: Phase) -> None:
        """Compute the structures that are taught in the phase."""
        for student in self._students(phase):
            teacher = _other(student)
            structure_NS, neighbour_NK = self.module.structure_of(teacher)
            newest_NS = self._newest(teacher, structure_NS, _rounds_before(phase))
            found = nearest_neighbours(newest_NS.cpu(), neighbour_NK.shape[1])
            structure_NS.copy_(newest_NS)
            neighbour_NK.copy_(torch.from_numpy(found.item_QK))

    def batch(self, phase: Phase, step: int, seed: int) -> Batch:
        """The global batch of a step; half of it are neighbours, where structure is transferred."""
        students = self._students(phase)
        if not students:
            return super().batch(phase, step, seed)
        self.module.mining = self._config.mining
        self.module.student = students[step % len(students)]
        drawn = self._epochs.batch(phase.name, step, self._config.batch_size // 2)
        anchor_A = self._train_N[drawn]
        generator = np.random.default_rng(seed)
        caption_B = np.stack([anchor_A, self._neighbours(anchor_A, generator)], axis=1).reshape(-1)
        rows = self.pairs(caption_B)
        partner_B = np.where(
            np.arange(len(caption_B)) % 2, NO_PARTNER, np.arange(len(caption_B)) + 1
        )
        rows["place"] = torch.from_numpy(self._place(caption_B))
        rows["partner"] = torch.from_numpy(partner_B)
        return Batch(rows, seed=seed)

    def _students(self, phase: Phase) -> list[Side]:
        """Which branches learn structure in a phase."""
        asked = {"image": self._transfer.to_image, "text": self._transfer.to_text}
        return [
            side for side in SIDES if phase.name == JOINT or (phase.branch == side and asked[side])
        ]

    def _neighbours(self, caption_A: IntArray, generator: np.random.Generator) -> IntArray:
        """A caption of one of the nearest neighbours of each caption's image, as it is taught."""
        _, neighbour_NK = self.module.structure_of(_other(self.module.student))
        near_AK = neighbour_NK.cpu().numpy()[self._place(caption_A)]
        column_A = generator.integers(0, near_AK.shape[1], len(near_AK))
        image_A = self._image_N[near_AK[np.arange(len(near_AK)), column_A]]
        chosen_A: IntArray = generator.integers(self._start_J[image_A], self._start_J[image_A + 1])
        return chosen_A

    def _place(self, caption_B: IntArray) -> IntArray:
        """The number of each caption's image among the training images."""
        place_B: IntArray = np.searchsorted(self._image_N, self._captions.image_C[caption_B])
        return place_B

    def _newest(self, side: Side, former_NS: Tensor, rounds: int) -> Tensor:
        """The structure of a side for a round that has so many before it."""
        raw = {"image": raw_images, "text": raw_texts}[side]
        raw_NS = raw(self._captions, self._image_N, self._transfer.raw_dimension)
        raw_NS = raw_NS.to(former_NS.device)
        learned_ND = former_NS.new_zeros(len(former_NS), self._config.dimension)
        if rounds:
            learned_ND = self._learned(side)
        memory = self._transfer.memory
        return mixed(raw_NS, former_NS, learned_ND, memory=memory, rounds=rounds)

    def _learned(self, side: Side) -> Tensor:
        """Unit vectors of the training images, or of the means of their captions."""
        if side == "image":
            return self.image_vectors(self._image_N)
        vector_CD = self.text_vectors(self._train_N)
        place_C = torch.from_numpy(self._place(self._train_N)).to(vector_CD.device)
        total_ND = vector_CD.new_zeros(len(self._image_N), vector_CD.shape[1])
        return normalize(total_ND.index_add_(0, place_C, vector_CD), dim=1)


def _other(side: Side) -> Side:
    return "text" if side == "image" else "image"


def _rounds_before(phase: Phase) -> int:
    return 0 if phase.name == JOINT else int(phase.name.rpartition("_")[2]) - 1
