"""RotatE: a relation turns each complex element of the head (Sun et al., ICLR 2019).

E(h, r, t) = sum of |h * r - t| with |r| = 1: a relation is stored as its angles. As published.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from mmkrl.evaluate.exact.scores import GraphScore, Modulus
from mmkrl.models.triples.base import GraphInputs, TripleModel
from mmkrl.models.triples.bilinear import complex_product
from mmkrl.models.triples.config import TripleConfig


class RotatE(TripleModel):
    """RotatE.

    Args:
        inputs: Sizes of the graph.
        config: Dimension and loss.
    """

    score: GraphScore = Modulus()
    complex_valued = True

    def __init__(self, inputs: GraphInputs, config: TripleConfig) -> None:
        super().__init__(inputs, config)
        self.add_tables(inputs.entities, relation_width=config.dimension // 2)
        ends = (config.margin + 2) / (config.dimension // 2)
        nn.init.uniform_(self.entity.weight, -ends, ends)
        nn.init.uniform_(self.relation.weight, -math.pi, math.pi)

    def tail_query(self, head_NK: Tensor, relation_NK: Tensor) -> Tensor:
        """The head, turned."""
        return complex_product(head_NK, _turn(relation_NK))

    def head_query(self, relation_NK: Tensor, tail_NK: Tensor) -> Tensor:
        """The tail, turned back."""
        # |h r - t| = |h - t conj(r)| as |r| = 1: the same score compares it with heads.
        return complex_product(tail_NK, _turn(relation_NK), conjugate=True)


def _turn(angle_NK: Tensor) -> Tensor:
    return torch.cat([angle_NK.cos(), angle_NK.sin()], dim=-1)
