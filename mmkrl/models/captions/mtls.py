"""MTLS: two branches that also learn each other's local structure (Dong, Jian, Lu 2020).

"Learning multimodal representations by symmetrically transferring local structures", Symmetry
12(9), 1504, of which the abstract and the beginning of the introduction are known here.

The paper's: coordinated spaces of multi-layer branches, aligned by a bidirectional retrieval loss;
"customised soft metric learning" that transfers intra-modal local structures symmetrically; and
"iterative parameter learning".

Ours: every formula and the order of the turns. The branches and the retrieval loss are those of
:mod:`mmkrl.models.captions.dual_encoder`, the losses of the transfer are in
:mod:`mmkrl.losses.structure`. Both branches learn the retrieval loss first; then, in every round,
images learn with the texts frozen, and texts with the images frozen. A turn begins with the other
side's structure: that of the raw features in the first round, then more and more of what was
learned. Every branch takes as many steps as in a joint training of as many epochs. What a loss
learns beside the branches (a temperature) learns only where both of them do.

The structure of a modality is unit vectors whose inner products say who is near whom. Two
structures are mixed by putting their vectors side by side, each scaled by the root of its share,
which mixes their inner products.
"""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize, pad

from mmkrl.arrays import IntArray
from mmkrl.data.splits.names import TRAIN
from mmkrl.data.views.captions import Captions
from mmkrl.data.views.vocabulary import Vocabulary, caption_words
from mmkrl.data.views.words import WordVectors
from mmkrl.errors import UserError
from mmkrl.evaluate.exact.exact_search import nearest_neighbours
from mmkrl.losses.structure import (
    hard_triplets,
    neighbour_divergence,
    soft_triplets,
    unit_distances,
)
from mmkrl.models.captions.config import CaptionConfig, TransferConfig
from mmkrl.models.captions.dual_encoder import DualEncoder
from mmkrl.models.captions.learner import WARM, CaptionLearner
from mmkrl.train.distributed import all_gather_with_grad
from mmkrl.train.learner import Batch, Phase

Side: TypeAlias = Literal["image", "text"]
SIDES: tuple[Side, ...] = ("image", "text")
NO_PARTNER = -1
ALONE, JOINT = "alone", "joint"


class MTLS(DualEncoder):
    """Both branches, and the structures they teach each other (mutual relational distillation).

    Args:
        features: Length of the images' feature vectors.
        source: The vocabulary of the captions, or the length of given text features.
        config: Branches and losses; ``config.transfer`` must be set.
        words: Pretrained word vectors.
        images: Number of training images, whose structure is kept.
    """

    image_structure_NS: Tensor
    text_structure_NS: Tensor
    image_neighbour_NK: Tensor
    text_neighbour_NK: Tensor

    def __init__(
        self,
        features: int,
        source: Vocabulary | int,
        config: CaptionConfig,
        *,
        words: WordVectors | None = None,
        images: int,
    ) -> None:
        super().__init__(features, source, config, words=words)
        assert config.transfer is not None
        self.transfer: TransferConfig = config.transfer
        width = self.transfer.raw_dimension + config.dimension
        neighbours = max(1, min(self.transfer.neighbours, images - 1))
        for side in ("image", "text"):
            self.register_buffer(f"{side}_structure_NS", torch.zeros(images, width))
            shape = images, neighbours
            self.register_buffer(f"{side}_neighbour_NK", torch.zeros(shape, dtype=torch.int64))

    def forward(self, branch: str, batch: Batch) -> dict[str, Tensor]:  # noqa: ARG002 - the learner freezes
        """The named losses of one step; their sum is minimised.

        Args:
            branch: Which branch learns; empty for both.
            batch: As for the dual encoder. If structure is transferred, also ``place``, the number
                of each pair's image among the training images, and ``partner``, the row of an
                anchor's neighbour in the global batch, or :data:`NO_PARTNER`; and the setting
                ``student``, the side that learns from the other's structure.
        """
        image_BD, text_BD = self.encode(batch)
        losses = {"ranking": self.ranking(batch, image_BD, text_BD)}
        if "partner" in batch.rows:
            image_learns = batch.settings["student"] == "image"
            structure = (
                self._structure(batch, image_BD, self.structure_of("text"))
                if image_learns
                else self._structure(batch, text_BD, self.structure_of("image"))
            )
            losses["structure"] = self.transfer.weight * structure
        return losses

    def structure_of(self, side: Side) -> tuple[Tensor, Tensor]:
        """The structure of a modality and its nearest neighbours, of shapes (N, S) and (N, k)."""
        if side == "image":
            return self.image_structure_NS, self.image_neighbour_NK
        return self.text_structure_NS, self.text_neighbour_NK

    def _structure(self, batch: Batch, vector_BD: Tensor, taught: tuple[Tensor, Tensor]) -> Tensor:
        """What this process's anchors have to learn, of all items of the global batch."""
        index_B, partner_B = batch.rows["place"], batch.rows["partner"]
        structure_NS, neighbour_NK = taught
        anchor_B = partner_B != NO_PARTNER
        index_A, index_T = index_B[anchor_B], all_gather_with_grad(index_B)
        teacher_AT = unit_distances(structure_NS[index_A], structure_NS[index_T])
        student_AT = unit_distances(vector_BD[anchor_B], all_gather_with_grad(vector_BD))
        itself_AT = index_A[:, None] == index_T[None]
        near_AT = (neighbour_NK[index_A][:, None] == index_T[None, :, None]).any(dim=2)
        # Half of the rows are anchors and half their neighbours; the processes' shares need not be
        # equal in it, so all divide by the same number.
        config, count = self.transfer, max(1, len(index_B) // 2)
        if config.structure == "snn":
            others = teacher_AT, student_AT, ~itself_AT
            return neighbour_divergence(*others, temperature=config.temperature, count=count)
        triplets = teacher_AT, student_AT, partner_B[anchor_B], ~(itself_AT | near_AT)
        if config.structure == "hard":
            return hard_triplets(*triplets, margin=config.margin, count=count)
        return soft_triplets(*triplets, temperature=config.temperature, count=count)


class MTLSLearner(CaptionLearner):
    """MTLS with its captions and schedule.

    Args:
        captions: Images and captions by split.
        config: Model, losses and schedule, with a section ``transfer``.
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
        if config.epochs <= config.transfer.warmup_epochs:
            raise UserError(
                f"epochs = {config.epochs:g} and transfer.warmup_epochs = "
                f"{config.transfer.warmup_epochs:g}: the warm-up must leave epochs for the turns"
            )
        super().__init__(captions, config, words=words, seed=seed)
        self._start_J = np.searchsorted(captions.image_C, np.arange(len(captions.ids) + 1))

    def _make(self, words: WordVectors | None) -> MTLS:
        images = len(self._image_N)
        return MTLS(self._features, self._source, self._config, words=words, images=images)

    def phases(self) -> list[Phase]:
        """The turns; a branch's learning rate falls over all of its steps as in one phase."""
        config, transfer = self._config, self._transfer
        phases = [phase for phase in super().phases() if phase.name == WARM]
        if transfer.warmup_epochs:
            phases.append(self._turn(ALONE, "", 0, transfer.warmup_epochs))
        rest = config.epochs - transfer.warmup_epochs
        if transfer.joint:
            return [*phases, self._turn(JOINT, "", transfer.warmup_epochs, rest)]
        each = rest / transfer.rounds
        for n in range(transfer.rounds):
            begun = transfer.warmup_epochs + n * each
            phases += [self._turn(f"{side}_{n + 1}", side, begun, each) for side in SIDES]
        return phases

    def _turn(self, name: str, branch: str, begun: float, epochs: float) -> Phase:
        """A phase of so many epochs, after ``begun`` epochs of training."""
        config = self._config
        steps = math.ceil(epochs * len(self._train_N) / config.batch_size)
        every = math.ceil(2 * config.epochs * len(self._train_N) / config.batch_size)
        # The learning rate falls on one line over all epochs; a turn takes a stretch of it.
        rates = [
            1 - (1 - config.final_learning_rate) * at / config.epochs
            for at in (begun, begun + epochs)
        ]
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
        student = students[step % len(students)]
        drawn = self._epochs.batch(phase.name, step, self._config.batch_size // 2)
        anchor_A = self._train_N[drawn]
        generator = np.random.default_rng(seed)
        caption_B = np.stack(
            [anchor_A, self._neighbours(anchor_A, _other(student), generator)], axis=1
        ).reshape(-1)
        rows = self.pairs(caption_B)
        partner_B = np.where(
            np.arange(len(caption_B)) % 2, NO_PARTNER, np.arange(len(caption_B)) + 1
        )
        # An anchor is in every even row, and its neighbour in the next.
        rows["place"] = torch.from_numpy(self._image_index(caption_B))
        rows["partner"] = torch.from_numpy(partner_B)
        return Batch(rows, seed=seed, settings={"student": student})

    def _students(self, phase: Phase) -> list[Side]:
        """Which branches learn structure in a phase."""
        asked = {"image": self._transfer.to_image, "text": self._transfer.to_text}
        return [
            side for side in SIDES if phase.name == JOINT or (phase.branch == side and asked[side])
        ]

    def _neighbours(
        self, caption_A: IntArray, teacher: Side, generator: np.random.Generator
    ) -> IntArray:
        """A caption of one of the nearest neighbours, to the teacher, of each caption's image."""
        _, neighbour_NK = self.module.structure_of(teacher)
        near_AK = neighbour_NK.cpu().numpy()[self._image_index(caption_A)]
        column_A = generator.integers(0, near_AK.shape[1], len(near_AK))
        image_A = self._image_N[near_AK[np.arange(len(near_AK)), column_A]]
        chosen_A: IntArray = generator.integers(self._start_J[image_A], self._start_J[image_A + 1])
        return chosen_A

    def _image_index(self, caption_B: IntArray) -> IntArray:
        """The number of each caption's image among the training images."""
        index_B: IntArray = np.searchsorted(self._image_N, self._captions.image_C[caption_B])
        return index_B

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
        index_C = torch.from_numpy(self._image_index(self._train_N)).to(vector_CD.device)
        total_ND = vector_CD.new_zeros(len(self._image_N), vector_CD.shape[1])
        return normalize(total_ND.index_add_(0, index_C, vector_CD), dim=1)


def _other(side: Side) -> Side:
    return "text" if side == "image" else "image"


def _rounds_before(phase: Phase) -> int:
    return 0 if phase.name == JOINT else int(phase.name.rpartition("_")[2]) - 1


def raw_images(captions: Captions, image_N: IntArray, dimension: int) -> Tensor:
    """Unit vectors of images from their features, shape (N, dimension).

    Each feature gets the mean 0 and the deviation 1; what lies in the principal directions is kept.

    Args:
        captions: Where the features are.
        image_N: Positions of the images.
        dimension: Directions; filled up with zeros if there are not so many.
    """
    feature_NF = captions.features(image_N)
    deviation_F = feature_NF.std(dim=0)
    floor = 0.05 * deviation_F.mean().clamp(min=1e-12)
    return _principal(
        (feature_NF - feature_NF.mean(dim=0)) / deviation_F.clamp(min=floor), dimension
    )


def raw_texts(captions: Captions, image_N: IntArray, dimension: int) -> Tensor:
    """Unit vectors of the images' texts, shape (N, dimension).

    Words: all captions of an image are one document; its words by frequency and rarity (tf-idf) in
    the principal directions (latent semantic analysis). Given vectors: their mean, centred.

    Args:
        captions: Where the texts are.
        image_N: Positions of the images.
        dimension: Directions; filled up with zeros if there are not so many.
    """
    if captions.text_CF is not None:
        total_IF = torch.zeros(len(captions.ids), captions.text_CF.shape[1])
        total_IF.index_add_(
            0, torch.from_numpy(captions.image_C), torch.from_numpy(captions.text_CF)
        )
        mean_NF = normalize(total_IF[torch.from_numpy(image_N)], dim=1)
        return _principal(mean_NF - mean_NF.mean(dim=0), dimension)
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    start_I = np.searchsorted(captions.image_C, np.arange(len(captions.ids) + 1))
    documents = [" ".join(captions.texts[start_I[i] : start_I[i + 1]]) for i in image_N]
    weighting = TfidfVectorizer(analyzer=caption_words, sublinear_tf=True)
    weight_NV = weighting.fit_transform(documents)
    directions = min(dimension, min(weight_NV.shape) - 1)
    if directions < 1:
        return _filled(torch.from_numpy(weight_NV.toarray()).float()[:, :dimension], dimension)
    vector_NS = TruncatedSVD(directions, random_state=0).fit_transform(weight_NV)
    return _filled(torch.from_numpy(vector_NS).float(), dimension)


def mixed(
    raw_NS: Tensor, former_NS: Tensor, learned_ND: Tensor, *, memory: float, rounds: int
) -> Tensor:
    """The structure of a round, shape (N, S + D).

    Args:
        raw_NS: That of the raw features.
        former_NS: That of the round before, of shape (N, S + D).
        learned_ND: Unit vectors as they were learned until now.
        memory: Share of the former structure.
        rounds: How many rounds were before; in the first one the raw structure is all there is.
    """
    width = raw_NS.shape[1]
    share = memory**rounds
    before_ND = former_NS[:, width:]
    newest_ND = learned_ND
    if rounds > 1:
        newest_ND = normalize(
            memory * normalize(before_ND, dim=1) + (1 - memory) * learned_ND, dim=1
        )
    return torch.cat([share**0.5 * raw_NS, (1 - share) ** 0.5 * newest_ND], dim=1)


def _principal(vector_NF: Tensor, dimension: int) -> Tensor:
    """Unit vectors in the principal directions, by a decomposition with a seed of its own."""
    kept = min(dimension, *vector_NF.shape)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        more = min(kept + 16, *vector_NF.shape)
        *_, direction_FQ = torch.svd_lowrank(vector_NF, q=more, niter=3)
    return _filled(vector_NF @ direction_FQ[:, :kept], dimension)


def _filled(vector_NS: Tensor, dimension: int) -> Tensor:
    return normalize(pad(vector_NS, (0, dimension - vector_NS.shape[1])), dim=1)
