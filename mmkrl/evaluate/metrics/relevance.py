"""What counts as a right answer: relevance of gallery items for a batch of queries.

Relevance is asked for one batch of queries at a time, so that no (queries x gallery) matrix is
ever held. This module knows labels and slots only: no score, no embedding, no metric.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from scipy.sparse import csr_array
from torch import Tensor

from mmkrl.errors import UserError


class Relevance(Protocol):
    """Binary relevance between a set of queries and a gallery."""

    @property
    def definition(self) -> str:
        """One sentence to print beside every number computed with this relevance."""
        ...

    @property
    def shape(self) -> tuple[int, int]:
        """Number of queries and number of gallery items."""
        ...

    def chunk(self, query_index_Q: Tensor) -> Tensor:
        """Relevance of every gallery item for these queries.

        Args:
            query_index_Q: shape (Q,), int64 on the CPU; indices into the whole set of queries.

        Returns:
            shape (Q, G), bool.
        """
        ...


class GradedRelevance(Relevance, Protocol):
    """Relevance that also has degrees."""

    def gain(self, query_index_Q: Tensor) -> Tensor:
        """Gain, >= 0, of every gallery item for these queries: shape (Q, G)."""
        ...


@dataclass(frozen=True, slots=True)
class SameLabel:
    """Relevant = the same integer label, e.g. the same relationship.

    Keep the labels on the device of the embeddings: relevance is computed where they are.

    Attributes:
        query_label_Q: shape (queries,), integer.
        gallery_label_G: shape (gallery,), integer.
    """

    query_label_Q: Tensor
    gallery_label_G: Tensor

    def __post_init__(self) -> None:
        """Refuse labels that are not vectors of integers."""
        for name in ("query_label_Q", "gallery_label_G"):
            _require_integers(name, getattr(self, name), "(N,)", axes=1)

    @property
    def definition(self) -> str:
        """One sentence to print beside the numbers."""
        return "relevant = same relationship"

    @property
    def shape(self) -> tuple[int, int]:
        """Number of queries and number of gallery items."""
        return len(self.query_label_Q), len(self.gallery_label_G)

    def chunk(self, query_index_Q: Tensor) -> Tensor:
        """Whether query and gallery labels are equal: shape (Q, G), bool."""
        label_Q = self.query_label_Q[query_index_Q.to(self.query_label_Q.device)]
        return label_Q[:, None] == self.gallery_label_G[None, :]


@dataclass(frozen=True, slots=True)
class SharedLabels:
    """Relevant = at least one label in common; queries and items may have several.

    Attributes:
        query_QL: shape (queries, labels), 1 where a query has a label.
        gallery_GL: shape (gallery, labels), the same of the gallery.
    """

    query_QL: csr_array
    gallery_GL: csr_array

    @property
    def definition(self) -> str:
        """One sentence to print beside the numbers."""
        return "relevant = at least one relationship in common"

    @property
    def shape(self) -> tuple[int, int]:
        """Number of queries and number of gallery items."""
        return self.query_QL.shape[0], self.gallery_GL.shape[0]

    def chunk(self, query_index_Q: Tensor) -> Tensor:
        """Whether labels are shared: shape (Q, G), bool, on the CPU."""
        shared_QG = self.query_QL[query_index_Q.cpu().numpy()] @ self.gallery_GL.T
        return torch.from_numpy(shared_QG.toarray() > 0)


@dataclass(frozen=True, slots=True)
class SharedSlots:
    """Graded relevance of relationships: how many of (subject, predicate, object) are equal.

    Slots are compared position by position: a word that is the subject of one relationship and
    the object of the other is not shared. The paper's own definition is unknown; this one is ours.

    Attributes:
        query_slot_Q3: shape (queries, slots), integer word ids.
        gallery_slot_G3: shape (gallery, slots), integer word ids.
        least: number of equal slots from which an item is relevant.
    """

    query_slot_Q3: Tensor
    gallery_slot_G3: Tensor
    least: int = 2

    def __post_init__(self) -> None:
        """Refuse slots that are not integer matrices of one width, and an impossible `least`."""
        for name in ("query_slot_Q3", "gallery_slot_G3"):
            _require_integers(name, getattr(self, name), "(N, slots)", axes=2)
        slots = self.query_slot_Q3.shape[1]
        if self.gallery_slot_G3.shape[1] != slots:
            raise UserError(
                f"queries have {slots} slots, the gallery {self.gallery_slot_G3.shape[1]}: "
                "give both the same number"
            )
        if not 1 <= self.least <= slots:
            raise UserError(f"least is {self.least}: choose 1 to {slots}, the number of slots")

    @property
    def definition(self) -> str:
        """One sentence to print beside the numbers."""
        slots = self.query_slot_Q3.shape[1]
        return f"relevant = at least {self.least} of {slots} slots shared; gain = slots shared"

    @property
    def shape(self) -> tuple[int, int]:
        """Number of queries and number of gallery items."""
        return len(self.query_slot_Q3), len(self.gallery_slot_G3)

    def chunk(self, query_index_Q: Tensor) -> Tensor:
        """Whether at least `least` slots are equal: shape (Q, G), bool."""
        return self.gain(query_index_Q) >= self.least

    def gain(self, query_index_Q: Tensor) -> Tensor:
        """Number of equal slots: shape (Q, G), uint8."""
        slot_Q3 = self.query_slot_Q3[query_index_Q.to(self.query_slot_Q3.device)]
        pairs = zip(slot_Q3.unbind(1), self.gallery_slot_G3.unbind(1), strict=True)
        gain_QG = torch.zeros(
            len(slot_Q3), len(self.gallery_slot_G3), dtype=torch.uint8, device=slot_Q3.device
        )
        for query_Q, gallery_G in pairs:
            gain_QG += query_Q[:, None] == gallery_G[None, :]
        return gain_QG


def _require_integers(name: str, tensor: Tensor, shape: str, *, axes: int) -> None:
    if tensor.ndim != axes or tensor.is_floating_point() or tensor.is_complex():
        raise UserError(
            f"{name} has shape {tuple(tensor.shape)} and type {tensor.dtype}: "
            f"give integers of shape {shape}"
        )
