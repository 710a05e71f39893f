"""How a model of triples is seen by its evaluation: queries, candidates and a score.

Every energy here compares a query made of two parts of a triple with a vector of the third, so all
models are ranked in the same way; where the vectors come from does not matter.
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from mmkrl.evaluate.exact.scores import GraphScore


class Scorer(Protocol):
    """A model of triples, frozen.

    Relations and entities are positions, int64 tensors of shape (Q,).
    """

    @property
    def score(self) -> GraphScore:
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
