"""How close a trained space has images to a relationship, for judging them in a further round."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from mmkrl.data.dataset import Dataset
from mmkrl.errors import UserError
from mmkrl.index.ask import open_space
from mmkrl.index.linking import Triple
from mmkrl.index.space import KnowledgeSpace

Floats = npt.NDArray[np.float32]


class LearnedSpace:
    """The space of a finished training, opened where it is first asked.

    Args:
        trained: Output of the job ``train``.
    """

    def __init__(self, trained: Dataset) -> None:
        self._trained = trained

    @functools.cached_property
    def _space(self) -> KnowledgeSpace:
        return open_space(self._trained)

    def closeness(self, named: Triple) -> Callable[[Floats], Floats] | None:
        """What gives the cosines of images, by their features, with a relationship.

        Args:
            named: Subject, predicate and object.

        Returns:
            A function of features of shape (N, F); None if the space does not know all words.
        """
        space = self._space
        if not space.knows(named):
            return None
        (text_D,) = space.embed_triples([named])

        def cosines(feature_NF: Floats) -> Floats:
            if feature_NF.shape[1] != space.features:
                raise UserError(
                    f"the space of {self._trained.location} takes features of length "
                    f"{space.features}, not {feature_NF.shape[1]}: mine.captions.trained must have "
                    "learned from the features that judge now"
                )
            image_ND = space.embed_features(torch.from_numpy(feature_NF))
            cosine_N: Floats = (image_ND @ text_D).numpy()
            return cosine_N

        return cosines
