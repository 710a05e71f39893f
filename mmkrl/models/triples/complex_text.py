r"""ComplEx beside what is written of entities and what they look like. Ours.

Most graphs say of their entities what they are; a triple between entities that training has seen
in no other relation can be told from that alone. To ComplEx's score is added, for every relation,
how well the texts of head and tail agree: the name of one with the name of the other, its gloss
with the other's name, and so on (:mod:`mmkrl.data.views.entity_texts`), and how alike their images
are:

.. math:: s(h, r, t) = \mathrm{Re} \langle e_h, r, \bar e_t \rangle
    + w \sum_{v, u} \alpha_{r v u} \langle x_h^v, x_t^u \rangle

The texts' and images' vectors x are frozen; a relation learns only the few weights alpha. Each of
the two parts has a loss of its own beside that of their sum: the structure would else explain all
training triples, and the weights of the texts would stay what chance made them.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from mmkrl.data.views.graph import EntityImages
from mmkrl.losses.triples import nuclear_3_norm, one_vs_all
from mmkrl.models.triples.base import GraphInputs, Measure, RowScorer, best_weight
from mmkrl.models.triples.bilinear import ComplEx
from mmkrl.models.triples.config import WHOLE, TripleConfig
from mmkrl.train.dropout import ShardInvariantDropout
from mmkrl.train.learner import Batch

AGREEMENT_WEIGHTS = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0)
"""Weights that texts and images may have beside the structure."""


class ComplExText(ComplEx):
    """ComplEx with agreement of texts and images; trained against all entities.

    :attr:`weight` is w, chosen on validation triples; in training it is 1. :attr:`shapes` are
    those of an entity's frozen vectors, (views, dimension) by space.

    The row of an entity holds its structure vector, then its frozen vectors, view by view and
    space by space; that of a relation its vector, then its weights alpha.

    Args:
        inputs: Sizes of the graph, what is written of all entities, and their images if they are
            to count.
        config: Sizes and the section ``complex_text``.
    """

    views = (WHOLE, "structure", "agreement")
    """By all it has; by ComplEx alone, and without it."""
    weight: Tensor
    frozen_EK: Tensor

    def __init__(self, inputs: GraphInputs, config: TripleConfig) -> None:
        super().__init__(inputs, config)
        texts, images = inputs.texts, inputs.images
        assert texts is not None
        spaces = [texts.lexical_EVD, texts.semantic_EVW]
        if images is not None:
            spaces.append(mean_images(images)[:, None])
        self.shapes = [tuple(space_EVD.shape[1:]) for space_EVD in spaces]
        frozen_EK = torch.cat([space_EVD.flatten(1) for space_EVD in spaces], dim=1)
        self.register_buffer("frozen_EK", frozen_EK, persistent=False)
        weights = sum(views * views for views, _ in self.shapes)
        self.agreement = nn.Embedding(len(self.relation.weight), weights)
        nn.init.zeros_(self.agreement.weight)  # starts as plain ComplEx
        self.register_buffer("weight", torch.ones(()))

    @classmethod
    def looks_at_images(cls, config: TripleConfig) -> bool:
        """If it is told to."""
        return config.complex_text.images

    @classmethod
    def lexical_dimension(cls, config: TripleConfig) -> int | None:
        """It always looks at texts."""
        return config.complex_text.lexical

    @classmethod
    def problems(cls, config: TripleConfig) -> Iterator[str]:
        """Those of every model, and any other loss."""
        yield from super().problems(config)
        if config.loss != "one_vs_all":
            yield f"loss = {config.loss!r}: complex_text learns with loss = 'one_vs_all' alone"

    def entity_rows(self, entity_N: Tensor) -> Tensor:
        """Structure and frozen vectors."""
        return torch.cat([self.entity(entity_N), self.frozen_EK[entity_N]], dim=1)

    def relation_rows(self, relation_N: Tensor) -> Tensor:
        """Vectors and weights."""
        return torch.cat([self.relation(relation_N), self.agreement(relation_N)], dim=1)

    def tail_query(self, head_NK: Tensor, relation_NK: Tensor) -> Tensor:
        """What is multiplied with the row of the tail."""
        width = self.config.dimension
        structure_ND = super().tail_query(head_NK[:, :width], relation_NK[:, :width])
        agreement_NX = self._sought(head_NK[:, width:], relation_NK[:, width:])
        return torch.cat([structure_ND, agreement_NX], dim=1)

    def _sought(self, frozen_NK: Tensor, weight_NW: Tensor) -> Tensor:
        """Of each view the weighted sum of the head's vectors of the same space."""
        parts = []
        for views, length in self.shapes:
            x_NVD, frozen_NK = _cut(frozen_NK, views * length, (views, length))
            alpha_NVU, weight_NW = _cut(weight_NW, views * views, (views, views))
            parts.append((alpha_NVU.mT @ x_NVD).flatten(1))
        return torch.cat(parts, dim=1)

    def forward(self, branch: str, batch: Batch) -> dict[str, Tensor]:  # noqa: ARG002 - the loop's
        """The losses of the sum of both parts, and of each part alone."""
        triple_B3, config = batch.rows["triple"], self.config
        head_B, relation_B, tail_B = triple_B3.unbind(dim=1)
        known_N, asked_N = torch.cat([head_B, tail_B]), torch.cat([tail_B, head_B])
        relation_N = torch.cat([relation_B, relation_B + self.relations])
        known_NK, relation_NK = self.entity_rows(known_N), self.relation_rows(relation_N)
        query_NK, width = self.tail_query(known_NK, relation_NK), config.dimension
        structure_ND = self._dropped(query_NK[:, :width], batch)
        structure_NE = self.among_all(structure_ND, self.entity.weight)
        agreement_NE = self.among_all(query_NK[:, width:], self.frozen_EK)
        losses = {
            "one_vs_all": one_vs_all(structure_NE + agreement_NE, asked_N),
            "structure": one_vs_all(structure_NE, asked_N),
            "agreement": one_vs_all(agreement_NE, asked_N),
        }
        if config.n3:
            parts = known_NK[:, :width], relation_NK[:, :width], self.entity(asked_N)
            losses["n3"] = config.n3 * nuclear_3_norm(*map(self.moduli, parts))
        return losses

    @torch.no_grad()
    def scorer(self) -> RowScorer:
        """Both parts, with the weight that was best on validation triples."""
        return self.weighted(1.0, float(self.weight))

    def view(self, name: str, measure: Measure) -> RowScorer:  # noqa: ARG002 - w is chosen already
        """By all it has, or by one of the two parts."""
        if name == WHOLE:
            return self.scorer()
        return self.weighted(*((1.0, 0.0) if name == "structure" else (0.0, 1.0)))

    def choose(self, measure: Measure) -> dict[str, float]:
        """Choose w, the weight of texts and images, and keep it in :attr:`weight`."""
        weight, metrics = best_weight(AGREEMENT_WEIGHTS, partial(self.weighted, 1.0), measure)
        self.weight.fill_(weight)
        return metrics

    @torch.no_grad()
    def served_tables(self) -> tuple[Tensor, Tensor]:
        """The scorer weighs queries by w; to weigh the answers comes to the same."""
        row_EK = self.every_row()
        answer_EK = row_EK.clone()
        answer_EK[:, self.config.dimension :] *= self.weight
        return row_EK, answer_EK

    def _dropped(self, query_ND: Tensor, batch: Batch) -> Tensor:
        drop = ShardInvariantDropout(batch.seed, batch.start, batch.total)
        rate = self.config.complex_text.dropout
        # First the queries for tails, then those for heads of the same rows; masks depend on row
        # and layer, so each half is a layer of its own.
        halves = query_ND.chunk(2)
        return torch.cat([drop(half, rate, layer) for layer, half in enumerate(halves)])

    @torch.no_grad()
    def weighted(self, structure: float, agreement: float) -> RowScorer:
        """A scorer by both parts, weighted.

        Args:
            structure: Weight of ComplEx's score.
            agreement: Weight of the texts' and images'.
        """
        row_EK, width = self.every_row(), self.config.dimension
        weight_K = torch.full((row_EK.shape[1],), agreement, device=row_EK.device)
        weight_K[:width] = structure

        def ask(known_QK: Tensor, relation_Q: Tensor) -> Tensor:
            return self.tail_query(known_QK, self.relation_rows(relation_Q)) * weight_K

        return RowScorer(
            self.score,
            row_EK,
            row_EK,
            ask_tail=ask,
            ask_head=lambda tail_QK, relation_Q: ask(tail_QK, relation_Q + self.relations),
        )


def mean_images(images: EntityImages) -> Tensor:
    """The mean of an entity's unit feature vectors, as a unit vector; zeros without images."""
    count_E = np.diff(images.start_E1)
    owner_I = torch.from_numpy(np.repeat(np.arange(len(count_E)), count_E))
    feature_IF = torch.from_numpy(images.feature_MD[images.row_I].astype(np.float32))
    centred_IF = functional.normalize(feature_IF - feature_IF.mean(dim=0), dim=1)
    total_EF = torch.zeros(len(count_E), feature_IF.shape[1]).index_add(0, owner_I, centred_IF)
    return functional.normalize(total_EF, dim=1)


def _cut(row_NK: Tensor, length: int, shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """The first numbers of each row in another shape, and the rest."""
    return row_NK[:, :length].unflatten(1, shape), row_NK[:, length:]
