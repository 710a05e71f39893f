"""TransE: a relation is a translation (Bordes et al., NIPS 2013).

E(h, r, t) = |h + r - t|, L1 or L2; any other graph score may compare h + r with t. The energy, the
margin loss and the unit sphere are the paper's; the unit ball is that of later released codes
(Fast-TransX, IKRL). On CPUs, with a margin loss and sparse tables, loss and gradients of L1 and L2
come from a compiled loop; otherwise from torch.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from mmkrl.evaluate.exact.scores import L1, L2, GraphScore
from mmkrl.kernels.translation import Pairs, translation_hinge
from mmkrl.models.triples.base import GraphInputs, TripleModel
from mmkrl.models.triples.config import TripleConfig
from mmkrl.train.config import Bound
from mmkrl.train.learner import Batch

_NORMS: dict[type[GraphScore], int] = {L1: 1, L2: 2}
"""Scores that the compiled loop knows, and what it calls them."""


class TransE(TripleModel):
    """TransE.

    Args:
        inputs: Sizes of the graph.
        config: Dimension, score, bound and loss.
    """

    score: GraphScore = L1()
    takes_score = True

    def __init__(self, inputs: GraphInputs, config: TripleConfig) -> None:
        super().__init__(inputs, config)
        self.add_tables(inputs.entities)
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
        weights, norm = (self.entity.weight, self.relation.weight), _NORMS.get(type(self.score))
        plain = self.config.loss == "margin" and "pool" not in batch.shared
        if norm is None or not (plain and self.config.sparse and weights[0].is_cpu):
            return super().forward(branch, batch)
        pairs = Pairs(*(batch.rows[name].numpy() for name in ("triple", "other", "slot")))
        how = self.config.margin, norm
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
        # The differences that the loss sums are those that the gradient needs; a backward pass of
        # its own would read all rows again.
        tables = entity_ED.detach().numpy(), relation_RD.detach().numpy()
        loss, grad = translation_hinge(*tables, pairs, margin, norm)
        entities, relations = grad.used_2
        parts = slice(entities), slice(len(grad.row_U) - relations, None)
        context.grads = [(grad.row_U[part], grad.value_UD[part]) for part in parts]
        context.shapes = entity_ED.shape, relation_RD.shape
        return entity_ED.new_tensor(loss)

    @staticmethod
    def backward(context: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of the rows that were touched."""
        gradients = []
        for (row_U, value_UD), shape in zip(context.grads, context.shapes, strict=True):
            values = torch.from_numpy(value_UD)
            # The loop adds losses up, so this is 1, and scaling all rows would be for nothing.
            if float(grad) != 1:
                values = values * grad
            index = torch.from_numpy(row_U)[None]
            gradients.append(torch.sparse_coo_tensor(index, values, shape, check_invariants=False))
        return (*gradients, None, None, None)
