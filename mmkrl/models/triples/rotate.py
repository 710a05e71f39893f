"""RotatE: a relation turns each complex element of the head (Sun et al., ICLR 2019).

E(h, r, t) = sum of |h * r - t| with |r| = 1: a relation is stored as its angles. As published.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from mmkrl.evaluate.exact.scorer import Metric
from mmkrl.models.triples.base import TripleModel
from mmkrl.models.triples.config import TripleConfig
from mmkrl.models.triples.scores import complex_product


class RotatE(TripleModel):
    """RotatE.

    Args:
        entities: Number of entities.
        relations: Number of relations.
        config: Dimension and loss.
    """

    metric: Metric = "modulus"

    def __init__(self, entities: int, relations: int, config: TripleConfig) -> None:
        super().__init__(relations, config)
        self.add_tables(entities, relation_width=config.dimension // 2)
        ends = (config.margin + 2) / (config.dimension // 2)
        nn.init.uniform_(self.entity.weight, -ends, ends)
        nn.init.uniform_(self.relation.weight, -math.pi, math.pi)

    def tail_query(self, head_NK: Tensor, relation_NK: Tensor) -> Tensor:
        """The head, turned."""
        return complex_product(head_NK, _turn(relation_NK))

    def head_query(self, relation_NK: Tensor, tail_NK: Tensor) -> Tensor:
        """The tail, turned back."""
        return complex_product(tail_NK, _turn(relation_NK), conjugate=True)


def _turn(angle_NK: Tensor) -> Tensor:
    return torch.cat([angle_NK.cos(), angle_NK.sin()], dim=-1)
