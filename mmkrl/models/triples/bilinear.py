"""DistMult and ComplEx: a relation weighs the products of head and tail.

Both as published; with reciprocal relations and the cross-entropy against all entities they are
the models of Lacroix et al. (ICML 2018), whose small random start is used here, too.
"""

from __future__ import annotations

from torch import Tensor, nn

from mmkrl.models.triples.base import TripleModel
from mmkrl.models.triples.config import TripleConfig
from mmkrl.models.triples.scores import complex_product, modulus

_START = 1e-3


class DistMult(TripleModel):
    """s(h, r, t) = sum of h * r * t (Yang et al., ICLR 2015).

    Args:
        entities: Number of entities.
        relations: Number of relations.
        config: Dimension and loss.
    """

    def __init__(self, entities: int, relations: int, config: TripleConfig) -> None:
        super().__init__(relations, config)
        self.add_tables(entities)
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

    def tail_query(self, head_NK: Tensor, relation_NK: Tensor) -> Tensor:
        """What is multiplied with the tail: h * r."""
        return complex_product(head_NK, relation_NK)

    def head_query(self, relation_NK: Tensor, tail_NK: Tensor) -> Tensor:
        """What is multiplied with the head: t * conj(r)."""
        return complex_product(tail_NK, relation_NK, conjugate=True)

    def moduli(self, row_NK: Tensor) -> Tensor:
        """The moduli of the complex elements."""
        return modulus(row_NK)
