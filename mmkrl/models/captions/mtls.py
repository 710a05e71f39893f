"""MTLS: two branches that also learn each other's local structure (Dong, Jian, Lu 2020).

"Multi-modal transfer of local structures" (Symmetry 12(9), 1504) is public as an abstract. From
the paper: coordinated spaces of multi-layer branches, aligned by a bidirectional retrieval loss;
"customised soft metric learning" that transfers intra-modal local structures symmetrically; and
"iterative parameter learning". Ours: every formula. The branches and the retrieval loss are those
of :mod:`mmkrl.models.captions.dual_encoder`; the transfer is in :mod:`mmkrl.losses.structure`; the
turns are taken in :mod:`mmkrl.models.captions.mtls_learner`.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import Tensor

from mmkrl.data.views.vocabulary import Vocabulary
from mmkrl.data.views.words import WordVectors
from mmkrl.losses.structure import (
    hard_triplets,
    neighbour_divergence,
    soft_triplets,
    unit_distances,
)
from mmkrl.models.captions.config import CaptionConfig
from mmkrl.models.captions.dual_encoder import DualEncoder
from mmkrl.models.captions.mtls_config import TransferConfig
from mmkrl.train.gathered import gathered
from mmkrl.train.learner import Batch

Side: TypeAlias = Literal["image", "text"]
NO_PARTNER = -1


class MTLS(DualEncoder):
    """Both branches, and the structures they teach each other.

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
        self.student: Side = "image"  # the learner's phases change it
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
                anchor's neighbour in the global batch, or :data:`NO_PARTNER`.
        """
        image_BD, text_BD = self.encode(batch)
        losses = {"ranking": self.ranking(batch, image_BD, text_BD)}
        if "partner" in batch.rows:
            student_BD = image_BD if self.student == "image" else text_BD
            losses["structure"] = self.transfer.weight * self._structure(batch, student_BD)
        return losses

    def structure_of(self, side: Side) -> tuple[Tensor, Tensor]:
        """The structure of a modality and its nearest neighbours, of shapes (N, S) and (N, k)."""
        if side == "image":
            return self.image_structure_NS, self.image_neighbour_NK
        return self.text_structure_NS, self.text_neighbour_NK

    def _structure(self, batch: Batch, vector_BD: Tensor) -> Tensor:
        """What this process's anchors have to learn, of all items of the global batch."""
        place_B, partner_B = batch.rows["place"], batch.rows["partner"]
        structure_NS, neighbour_NK = self.structure_of(
            "text" if self.student == "image" else "image"
        )
        anchor_B = partner_B != NO_PARTNER
        place_A, place_T = place_B[anchor_B], gathered(place_B)
        teacher_AT = unit_distances(structure_NS[place_A], structure_NS[place_T])
        student_AT = unit_distances(vector_BD[anchor_B], gathered(vector_BD))
        itself_AT = place_A[:, None] == place_T[None]
        near_AT = (neighbour_NK[place_A][:, None] == place_T[None, :, None]).any(dim=2)
        config, count = self.transfer, max(1, len(place_B) // 2)
        if config.structure == "snn":
            others = teacher_AT, student_AT, ~itself_AT
            return neighbour_divergence(*others, temperature=config.temperature, count=count)
        triplets = teacher_AT, student_AT, partner_B[anchor_B], ~(itself_AT | near_AT)
        if config.structure == "hard":
            return hard_triplets(*triplets, margin=config.margin, count=count)
        return soft_triplets(*triplets, temperature=config.temperature, count=count)
