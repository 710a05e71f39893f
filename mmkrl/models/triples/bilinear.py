"""DistMult and ComplEx (bilinear models): a relation weighs the products of head and tail.

Both as published; with reciprocal relations and the cross-entropy against all entities they are
the models of Lacroix et al. (ICML 2018), whose small random start is used here, too.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmkrl.evaluate.exact.scores import modulus
from mmkrl.models.triples.base import GraphInputs, TripleModel
from mmkrl.models.triples.config import TripleConfig

_START = 1e-3


class DistMult(TripleModel):
    """s(h, r, t) = sum of h * r * t (Yang et al., ICLR 2015).

    Args:
        inputs: Sizes of the graph.
        config: Dimension and loss.
    """

    def __init__(self, inputs: GraphInputs, config: TripleConfig) -> None:
        super().__init__(inputs, config)
        self.add_tables(inputs.entities)
        start = _START if config.loss == "one_vs_all" else config.dimension**-0.5
        for table in (self.entity, self.relation):
            nn.init.normal_(table.weight, std=start)

    def tail_query(self, head_NK: Tensor, relation_NK: Tensor) -> Tensor:
        """What is multiplied with the tail."""
        return head_NK * relation_NK

    def head_query(self, relation_NK: Tensor, tail_NK: Tensor) -> Tensor:
        """What is multiplied with the head."""
        return tail_NK * relation_NK


class ComplEx(DistMult):
    """s(h, r, t) = Re(sum of h * r * conj(t)), complex vectors (Trouillon et al., ICML 2016).

    A vector holds all real parts, then all imaginary ones.
    """

    complex_valued = True

    def tail_query(self, head_NK: Tensor, relation_NK: Tensor) -> Tensor:
        """What is multiplied with the tail: h * r."""
        return complex_product(head_NK, relation_NK)

    def head_query(self, relation_NK: Tensor, tail_NK: Tensor) -> Tensor:
        """What is multiplied with the head: t * conj(r)."""
        # Re(h r conj(t)) = Re(h conj(t conj(r))), and Re(x conj(y)) is the plain inner product of
        # both layouts; so heads and tails are ranked by the same score.
        return complex_product(tail_NK, relation_NK, conjugate=True)

    def moduli(self, row_NK: Tensor) -> Tensor:
        """The moduli of the complex elements."""
        return modulus(row_NK)


def complex_product(left_ND: Tensor, right_ND: Tensor, *, conjugate: bool = False) -> Tensor:
    """The elementwise product of complex vectors, in the same layout.

    Args:
        left_ND: All real parts, then all imaginary ones.
        right_ND: The same.
        conjugate: Take the conjugate of the right one.
    """
    a, b = left_ND.chunk(2, dim=-1)
    c, d = right_ND.chunk(2, dim=-1)
    if conjugate:
        d = -d
    return torch.cat([a * c - b * d, a * d + b * c], dim=-1)
