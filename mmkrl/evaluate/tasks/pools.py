"""The images and relationships a task is about. An image may show several relationships.

All that an image shows is right: as an answer to any of these relationships, and as an answer
about the image. Of the training relationships that a held-out image also shows, only the
generalised tasks know.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_array, eye_array
from torch import Tensor

from mmkrl.data.views.knowledge import Knowledge
from mmkrl.evaluate.metrics.relevance import SharedLabels


@dataclass(frozen=True)
class Pool:
    """U distinct images, the R relationships they show, and the N pairs of both.

    Attributes:
        image_U: Position (in the knowledge) of a row of each image, in the order of the first ones.
        label_U: A relationship it shows: the first.
        label_R: The distinct relationships, sorted.
        place_N: Position of each pair's image in :attr:`image_U`.
        label_N: The relationship of each pair.
    """

    image_U: Tensor
    label_U: Tensor
    label_R: Tensor
    place_N: Tensor
    label_N: Tensor

    @classmethod
    def of(cls, knowledge: Knowledge, *splits: str, relationships: str | None = None) -> Pool:
        """The images of some splits.

        Args:
            knowledge: Relationships and images.
            splits: Splits of images.
            relationships: The split of the relationships to keep; all are kept without it.
        """
        images = knowledge.images
        index_N = np.flatnonzero(np.isin(images.split, splits))
        if relationships is not None:
            own_N = knowledge.relationships.split[images.label_N[index_N]]
            index_N = index_N[own_N == relationships]
        ids = np.array([images.ids[n] for n in index_N], np.str_)
        _, first_U, id_N = np.unique(ids, return_index=True, return_inverse=True)
        order_U = np.argsort(first_U)
        label_N = torch.from_numpy(images.label_N[index_N])
        first_U = first_U[order_U]
        return cls(
            image_U=torch.from_numpy(index_N[first_U]),
            label_U=label_N[torch.from_numpy(first_U)],
            label_R=label_N.unique(),
            place_N=torch.from_numpy(np.argsort(order_U)[id_N]),
            label_N=label_N,
        )

    def shows(self, label_C: Tensor | None = None) -> csr_array:
        """1 where an image shows a relationship, shape (U, C).

        Args:
            label_C: The relationships, sorted; :attr:`label_R` by default.
        """
        label_C = self.label_R if label_C is None else label_C
        column_N = torch.searchsorted(label_C, self.label_N).clamp(max=len(label_C) - 1)
        known_N = label_C[column_N] == self.label_N
        row, column = self.place_N[known_N].numpy(), column_N[known_N].numpy()
        shape = len(self.image_U), len(label_C)
        return csr_array((np.ones(len(row), np.float32), (row, column)), shape=shape)

    def right(self, label_C: Tensor) -> SharedLabels:
        """All right candidates of the image of each pair.

        Args:
            label_C: The candidates, sorted.
        """
        return SharedLabels(self.shows(label_C)[self.place_N.numpy()], _each(label_C))

    @property
    def images_of_texts(self) -> SharedLabels:
        """Relationships ask for images that show them."""
        return SharedLabels(_each(self.label_R), self.shows())

    @property
    def texts_of_images(self) -> SharedLabels:
        """Images ask for what they show."""
        return SharedLabels(self.shows(), _each(self.label_R))

    @property
    def images_of_images(self) -> SharedLabels:
        """Images ask for images that show one of the same relationships."""
        return SharedLabels(self.shows(), self.shows())


def _each(label_C: Tensor) -> csr_array:
    """Every relationship by itself, shape (C, C)."""
    return csr_array(eye_array(len(label_C), dtype=np.float32))
