"""How a model of triples is seen by its evaluation: queries, candidates and a metric.

Every energy here is a distance or a product between a query made of two parts of a triple and a
vector of the third, so all models are ranked by the same few kernels; where the vectors come from
does not matter.
"""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias

from torch import Tensor

Metric: TypeAlias = Literal["l1", "l2", "modulus", "dot", "order"]
"""How near a candidate is: minus the sum of absolute differences; minus the Euclidean distance;
minus the sum of the moduli of complex differences (a vector holds all real parts, then all
imaginary ones); the inner product; or minus the sum of the squares by which it exceeds the query.
Higher is more plausible."""


class Scorer(Protocol):
    """A model of triples, frozen.

    Relations and entities are positions, int64 tensors of shape (Q,).
    """

    @property
    def metric(self) -> Metric:
        """How queries and candidates are compared."""
        ...

    @property
    def candidate_ED(self) -> Tensor:
        """Every entity as an answer, float32."""
        ...

    def tail_query(self, head_Q: Tensor, relation_Q: Tensor) -> Tensor:
        """What a tail is compared with, shape (Q, D)."""
        ...

    def head_query(self, relation_Q: Tensor, tail_Q: Tensor) -> Tensor:
        """What a head is compared with, shape (Q, D)."""
        ...
