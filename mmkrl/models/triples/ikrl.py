"""IKRL: entities have a structure vector and images (Xie, Liu, Luan, Sun; IJCAI 2017).

From the paper and its released code: four energies that share a relation, E_SS + E_II + E_SI +
E_IS, each the L1 length of head + relation - tail with structure vectors (S) or image vectors (I);
image vectors p = M f of frozen unit features f, one matrix M without bias for all entities; their
aggregation by attention softmax(p . e_S), by the image of highest attention, or by the mean; no
gradient through the attention; a start from TransE.

Ours: an entity without any image is its own structure, e_I := e_S. It then keeps its structural
energies in the scale of the others, and without any image at all the sum of energies is four times
TransE's: the same ranks, and the loss four times TransE's with a quarter of the margin. Relation
corruptions count in all energies (in the released code in E_SS alone); its soft penalty on image
vectors longer than 1 is left out; so is the weight of the vectors of UNION, which the paper does
not tell: it is chosen on validation triples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from mmkrl.evaluate.exact.scores import L1, GraphScore
from mmkrl.models.triples.base import (
    GraphInputs,
    Measure,
    RowScorer,
    Stage,
    TripleModel,
    best_weight,
)
from mmkrl.models.triples.config import WHOLE, TripleConfig
from mmkrl.models.triples.transe import TransE
from mmkrl.train.config import Bound
from mmkrl.train.learner import Batch

STRUCTURE, IMAGE = "s", "i"
UNION_WEIGHTS = tuple(i / 10 for i in range(11))
"""Weights of the structure that UNION may have; the image vectors have the rest."""
_TINY = 1e-12
_ROWS = 4096  # images whose features are read at once


class IKRL(TripleModel):
    """IKRL. The row of an entity holds its structure vector, then its image vector.

    Args:
        inputs: Sizes of the graph, and the images of all entities.
        config: Sizes, loss and the section ``ikrl``.
    """

    score: GraphScore = L1()
    views = (WHOLE, "sbr", "ibr", "union")
    """By all energies; by the structure alone, by the images alone, and by both, weighted."""
    mean: Tensor

    def __init__(self, inputs: GraphInputs, config: TripleConfig) -> None:
        super().__init__(inputs, config)
        images = inputs.images
        assert images is not None
        alone = GraphInputs(inputs.entities, inputs.relations)
        self.structure = TransE(alone, _of_structure(config))
        self.images = images
        features = images.feature_MD.shape[1]
        self.register_buffer("mean", torch.zeros(features), persistent=False)
        if config.ikrl.centred:
            self.mean = self._mean_of_images()
        self.projection = nn.Linear(features, config.dimension, bias=False)
        deviation = features**-0.5
        nn.init.trunc_normal_(
            self.projection.weight, std=deviation, a=-6 * deviation, b=6 * deviation
        )

    @classmethod
    def looks_at_images(cls, config: TripleConfig) -> bool:  # noqa: ARG003 - whatever it says
        """Always."""
        return True

    @classmethod
    def problems(cls, config: TripleConfig) -> Iterator[str]:
        """Those of every model, and that each energy's loss needs corruptions of its own."""
        yield from super().problems(config)
        if config.ikrl.objective == "each" and config.negatives.shared_by > 1:
            yield "negatives.shared_by > 1 compares sums of energies; set ikrl.objective=summed"

    def stages(self) -> list[Stage]:
        """The structure alone, the projection of images alone, then both."""
        config, own = self.config, self.config.ikrl
        rate = own.learning_rate or config.learning_rate
        return [
            Stage("structure", own.warmup_epochs, config.learning_rate, "structure"),
            Stage("projection", own.projection_epochs, rate, "projection"),
            Stage("joint", config.epochs, rate),
        ]

    def tables(self) -> tuple[nn.Embedding, nn.Embedding]:
        """The structure's tables."""
        return self.structure.tables()

    def bounds(self) -> dict[str, Bound]:
        """The structure's bounds."""
        return {f"structure.{name}": bound for name, bound in self.structure.bounds().items()}

    def forward(self, branch: str, batch: Batch) -> dict[str, Tensor]:
        """The named losses of one step; those of TransE while the structure learns alone."""
        if branch == "structure":
            losses: dict[str, Tensor] = self.structure("", batch)
            return losses
        return super().forward(branch, batch)

    def entity_rows(self, entity_N: Tensor) -> Tensor:
        """Structure and image vectors, shape (N, 2 D)."""
        structure_ND: Tensor = self.structure.entity(entity_N)
        return torch.cat([structure_ND, self.image_vectors(entity_N, structure_ND)], dim=1)

    def image_vectors(self, entity_N: Tensor, structure_ND: Tensor) -> Tensor:
        """Aggregated image vectors; the structure vector of an entity without any image."""
        start_N, stop_N = (
            self.images.start_E1[entity_N.cpu().numpy() + end].astype(np.int64) for end in (0, 1)
        )
        imaged_G = np.flatnonzero(stop_N > start_N)
        owner_I, image_I = _ranges(start_N[imaged_G], stop_N[imaged_G])
        device = structure_ND.device
        imaged = torch.from_numpy(imaged_G).to(device)
        owner = torch.from_numpy(owner_I).to(device)
        projected_ID = self.project(self.features(image_I).to(device))
        weight_I = self._weights(projected_ID, owner, structure_ND[imaged])
        vector_GD = projected_ID.new_zeros(len(imaged), projected_ID.shape[1])
        vector_GD = vector_GD.index_add(0, owner, weight_I[:, None] * projected_ID)
        return structure_ND.index_copy(0, imaged, vector_GD)

    def features(self, image_I: np.ndarray) -> Tensor:
        """Feature vectors of images given by their positions, float32."""
        return torch.from_numpy(self.images.feature_MD[self.images.row_I[image_I]]).float()

    def project(self, feature_IF: Tensor) -> Tensor:
        """M f of the features scaled to unit length, less their mean if wanted, shape (I, D)."""
        projected_ID: Tensor = self.projection(feature_IF) / _lengths(feature_IF)
        if self.config.ikrl.centred:
            projected_ID = projected_ID - self.projection(self.mean)
        return projected_ID

    def _mean_of_images(self) -> Tensor:
        """The mean of the unit features of all entities' images, shape (F,)."""
        total_F, images = torch.zeros_like(self.mean), len(self.images.row_I)
        for start in range(0, images, _ROWS):
            feature_IF = self.features(np.arange(start, min(start + _ROWS, images)))
            total_F += (feature_IF / _lengths(feature_IF)).sum(dim=0)
        return total_F / max(images, 1)

    def _weights(self, projected_ID: Tensor, owner_I: Tensor, structure_GD: Tensor) -> Tensor:
        """How much each image counts for its entity, shape (I,); they sum to 1 for each."""
        groups, config = len(structure_GD), self.config.ikrl
        if config.aggregation == "avg":
            return 1 / torch.bincount(owner_I, minlength=groups)[owner_I].to(projected_ID)
        if not config.attention_gradient:
            projected_ID, structure_GD = projected_ID.detach(), structure_GD.detach()
        attention_I = (projected_ID * structure_GD[owner_I]).sum(dim=1)
        highest_G = attention_I.detach().new_full((groups,), -torch.inf)
        highest_G = highest_G.scatter_reduce(0, owner_I, attention_I.detach(), "amax")
        if config.aggregation == "max":
            return _first_of(attention_I.detach() == highest_G[owner_I], owner_I, groups)
        # A softmax within each entity. Its highest value is subtracted so that no exponential
        # overflows; as it cancels, it needs no gradient.
        share_I = (attention_I - highest_G[owner_I]).exp()
        total_G = share_I.new_zeros(groups).index_add(0, owner_I, share_I)
        return share_I / total_G[owner_I]

    def triple_scores(self, head_NK: Tensor, relation_NK: Tensor, tail_NK: Tensor) -> Tensor:
        """Minus the energies: their sum, or each in a column of its own."""
        head, tail = _parts(head_NK), _parts(tail_NK)
        score_NS = torch.stack(
            [
                -(head[energy[0]] + relation_NK - tail[energy[1]]).abs().sum(dim=1)
                for energy in self.config.ikrl.energies
            ],
            dim=1,
        )
        if self.config.ikrl.objective == "each":
            return score_NS
        return score_NS.sum(dim=1, keepdim=True)

    def answers(self, row_NK: Tensor) -> Tensor:
        """The first vectors of all energies side by side: one table for heads and tails."""
        return weighted_answers(row_NK, self._energies())

    def tail_query(self, head_NK: Tensor, relation_NK: Tensor) -> Tensor:
        """What the tail's vectors are compared with, energy by energy."""
        return weighted_query(head_NK, relation_NK, self._energies())

    def head_query(self, relation_NK: Tensor, tail_NK: Tensor) -> Tensor:
        """What the head's vectors are compared with, energy by energy."""
        return weighted_query(tail_NK, -relation_NK, self._energies())

    def _energies(self) -> dict[str, float]:
        return dict.fromkeys(map(str, self.config.ikrl.energies), 1.0)

    def view(self, name: str, measure: Measure) -> RowScorer:
        """By all it has, or by :meth:`weighted` energies of structure and images."""
        if name == WHOLE:
            return self.scorer()
        fixed = {"sbr": 1.0, "ibr": 0.0}
        structure = fixed[name] if name in fixed else self.union_weight(measure)
        return self.weighted({"ss": structure, "ii": 1 - structure})

    def union_weight(self, measure: Measure) -> float:
        """UNION's weight of the structure with the best validation MRR, the smallest of equals."""
        row_EK = self.every_row()

        def union(weight: float) -> RowScorer:
            return self.weighted({"ss": weight, "ii": 1 - weight}, row_EK)

        return best_weight(UNION_WEIGHTS, union, measure)[0]

    @torch.no_grad()
    def weighted(self, energies: Mapping[str, float], row_EK: Tensor | None = None) -> RowScorer:
        """A scorer by weighted energies: SBR is ``{"ss": 1}``, IBR ``{"ii": 1}``, UNION has both.

        Args:
            energies: Weight of each energy; the mixed ones together and alike, or neither.
            row_EK: All entities' rows, if they are there already.
        """
        rows = self.every_row() if row_EK is None else row_EK
        kept = {energy: weight for energy, weight in energies.items() if weight}

        def ask(known_QK: Tensor, relation_Q: Tensor, sign: int) -> Tensor:
            return weighted_query(known_QK, sign * self.relation_rows(relation_Q), kept)

        return RowScorer(
            self.score,
            weighted_answers(rows, kept),
            rows,
            ask_tail=lambda head_QK, relation_Q: ask(head_QK, relation_Q, 1),
            ask_head=lambda tail_QK, relation_Q: ask(tail_QK, relation_Q, -1),
        )


def _of_structure(config: TripleConfig) -> TripleConfig:
    """How the structure learns alone: its energy has its share of what the sum is held to."""
    if config.ikrl.objective == "each":
        return config
    # n like energies: n E against a margin m is E against m / n, and the weights softmax(-a n E) of
    # self-adversarial sampling are those of E with a n.
    energies = len(config.ikrl.energies)
    share = {"margin": config.margin / energies, "temperature": config.temperature * energies}
    return config.model_copy(update=share)


def weighted_answers(row_NK: Tensor, energies: Mapping[str, float]) -> Tensor:
    """Entities as answers: of each energy the first vector, times its weight."""
    part = _parts(row_NK)
    return torch.cat([weight * part[energy[0]] for energy, weight in energies.items()], dim=1)


def weighted_query(
    known_NK: Tensor, translation_NK: Tensor, energies: Mapping[str, float]
) -> Tensor:
    """Queries that meet :func:`weighted_answers`: of each energy the second vector, translated.

    As the mixed energies come together, the sum over energies is the same for heads and tails.
    """
    part = _parts(known_NK)
    return torch.cat(
        [weight * (part[energy[1]] + translation_NK) for energy, weight in energies.items()], dim=1
    )


def _lengths(feature_IF: Tensor) -> Tensor:
    length_I1: Tensor = feature_IF.norm(dim=1, keepdim=True).clamp(min=_TINY)
    return length_I1


def _parts(row_NK: Tensor) -> dict[str, Tensor]:
    structure_ND, image_ND = row_NK.chunk(2, dim=1)
    return {STRUCTURE: structure_ND, IMAGE: image_ND}


def _ranges(start_G: np.ndarray, stop_G: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All whole numbers of the ranges, one range after another, and which range each is of."""
    count_G = stop_G - start_G
    owner_I = np.repeat(np.arange(len(count_G)), count_G)
    before_G = np.cumsum(count_G) - count_G
    return owner_I, np.arange(len(owner_I)) - before_G[owner_I] + start_G[owner_I]


def _first_of(marked_I: Tensor, owner_I: Tensor, groups: int) -> Tensor:
    """1 at the first marked image of each owner, 0 elsewhere."""
    index_I = torch.where(marked_I, torch.arange(len(owner_I), device=owner_I.device), len(owner_I))
    first_G = index_I.new_full((groups,), len(owner_I)).scatter_reduce(0, owner_I, index_I, "amin")
    return (index_I == first_G[owner_I]).float()
