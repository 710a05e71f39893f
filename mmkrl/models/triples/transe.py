"""TransE: a relation is a translation (Bordes et al., NIPS 2013).

E(h, r, t) = |h + r - t|, L1 or L2. The energy, the margin loss and the unit sphere are the paper's;
the unit ball is that of later released codes (Fast-TransX, IKRL). On CPUs, with a margin loss and
sparse tables, loss and gradients come from a compiled loop; otherwise from torch.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from mmkrl.evaluate.exact.scorer import Metric
from mmkrl.kernels.translation import Pairs, translation_hinge
from mmkrl.models.triples.base import TripleModel
from mmkrl.models.triples.config import TripleConfig
from mmkrl.train.config import Bound
from mmkrl.train.learner import Batch


class TransE(TripleModel):
    """TransE.

    Args:
        entities: Number of entities.
        relations: Number of relations.
        config: Dimension, norm, bound and loss.
    """

    def __init__(self, entities: int, relations: int, config: TripleConfig) -> None:
        super().__init__(relations, config)
        self.add_tables(entities)
        self.metric: Metric = "l1" if config.norm == 1 else "l2"
        ends = 6 / config.dimension**0.5
        for table in (self.entity, self.relation):
            torch.nn.init.uniform_(table.weight, -ends, ends)
            if config.bound != "free":
                table.weight.data = functional.normalize(table.weight.data, dim=1)

    def tail_query(self, head_NK: Tensor, relation_NK: Tensor) -> Tensor:
        """Where the tail should be."""
        return head_NK + relation_NK

    def head_query(self, relation_NK: Tensor, tail_NK: Tensor) -> Tensor:
        """Where the head should be."""
        return tail_NK - relation_NK

    def bounds(self) -> dict[str, Bound]:
        """Entities are held; relations within the ball, too (Bordes et al. leave them free)."""
        bound = self.config.bound
        return {"entity.weight": bound, "relation.weight": "free" if bound == "sphere" else bound}

    def forward(self, branch: str, batch: Batch) -> dict[str, Tensor]:
        """The named losses of one step."""
        weights = self.entity.weight, self.relation.weight
        plain = self.config.loss == "margin" and "pool" not in batch.shared
        if not (plain and self.config.sparse and weights[0].is_cpu):
            return super().forward(branch, batch)
        pairs = Pairs(*(batch.rows[name].numpy() for name in ("triple", "other", "slot")))
        how = self.config.margin, self.config.norm
        loss: Tensor = TranslationHinge.apply(*weights, pairs, *how)  # type: ignore[no-untyped-call]
        return {"margin": loss}


class TranslationHinge(torch.autograd.Function):
    """The compiled margin loss, with sparse gradients of both tables."""

    @staticmethod
    def forward(
        context: Any,
        entity_ED: Tensor,
        relation_RD: Tensor,
        pairs: Pairs,
        margin: float,
        norm: int,
    ) -> Tensor:
        """The loss; its gradients are computed on the way."""
        tables = entity_ED.detach().numpy(), relation_RD.detach().numpy()
        loss, slopes = translation_hinge(*tables, pairs, margin, norm)
        entities, relations = slopes.used_2
        parts = slice(entities), slice(len(slopes.row_U) - relations, None)
        context.slopes = [(slopes.row_U[part], slopes.value_UD[part]) for part in parts]
        context.shapes = entity_ED.shape, relation_RD.shape
        return entity_ED.new_tensor(loss)

    @staticmethod
    def backward(context: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of the rows that were touched."""
        gradients = []
        for (row_U, value_UD), shape in zip(context.slopes, context.shapes, strict=True):
            values = torch.from_numpy(value_UD)
            if float(slope) != 1:
                values = values * slope
            index = torch.from_numpy(row_U)[None]
            gradients.append(torch.sparse_coo_tensor(index, values, shape, check_invariants=False))
        return (*gradients, None, None, None)
