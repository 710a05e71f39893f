"""How close a trained space has images to a relationship, for judging them in a further round."""

from __future__ import annotations

import functools

import torch

from mmkrl.arrays import Float32Array
from mmkrl.data.dataset import Dataset
from mmkrl.errors import UserError
from mmkrl.models.bcdnn.space import KnowledgeSpace
from mmkrl.models.training import open_space
from mmkrl.spaces.linking import Triple


class LearnedSpace:
    """The space of a finished training, opened where it is first asked.

    Args:
        trained: The training's dataset.
    """

    def __init__(self, trained: Dataset) -> None:
        self._trained = trained

    @functools.cached_property
    def _space(self) -> KnowledgeSpace:
        space = open_space(self._trained)
        if not isinstance(space, KnowledgeSpace):
            raise UserError(
                f"{self._trained.location} holds a space of kind {space.kind!r}: "
                "mine.captions.trained names a training of BC-DNN"
            )
        return space

    def text(self, named: Triple) -> Float32Array | None:
        """The unit vector of a relationship, shape (D,); None if not all words are known."""
        if not self._space.knows(named):
            return None
        (text_D,) = self._space.embed_triples([named])
        vector_D: Float32Array = text_D.numpy()
        return vector_D

    def images(self, feature_NF: Float32Array) -> Float32Array:
        """Unit vectors of images by their features, shape (N, D).

        Raises:
            UserError: the space was trained on features of another length.
        """
        if feature_NF.shape[1] != self._space.features:
            raise UserError(
                f"the space of {self._trained.location} takes features of length "
                f"{self._space.features}, not {feature_NF.shape[1]}: mine.captions.trained must "
                "have learned from the features that judge now"
            )
        vector_ND: Float32Array = self._space.embed_features(torch.from_numpy(feature_NF)).numpy()
        return vector_ND
