"""A knowledge graph in memory: entities and relations as positions, triples as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from mmkrl.data.splits import TEST, TRAIN, VALIDATION

IntArray: TypeAlias = npt.NDArray[np.int64]

SPLITS = (TRAIN, VALIDATION, TEST)


@dataclass(frozen=True)
class Graph:
    """Triples (head, relation, tail) by split.

    Attributes:
        entities: Names, sorted; a triple holds positions in this list.
        relations: Names, sorted.
        triples: By split (train, validation, test): shape (N, 3), columns head, relation, tail.
    """

    entities: list[str]
    relations: list[str]
    triples: Mapping[str, IntArray]

    def known(self) -> IntArray:
        """The triples of all splits, shape (N, 3): what a filtered ranking must not count."""
        return np.concatenate([self.triples[split] for split in SPLITS])


@dataclass(frozen=True)
class EntityImages:
    """The images of a graph's entities: any number each, none being the normal case.

    Attributes:
        start_E1: Shape (E + 1,); images of entity e are ``row_I[start_E1[e]:start_E1[e + 1]]``.
        row_I: Rows in :attr:`feature_MD`, those of one entity side by side.
        feature_MD: All feature vectors, float16, mapped from disk.
    """

    start_E1: IntArray
    row_I: IntArray
    feature_MD: npt.NDArray[np.float16]
