"""What a model learns from, in memory: relationships as word vectors, images as features.

Features stay on disk, mapped; everything else is small.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mmkrl.data.dataset import Dataset
from mmkrl.data.splits.names import TRAIN
from mmkrl.data.views.config import Backbones
from mmkrl.data.views.mapped_features import map_features
from mmkrl.data.views.moments import mean_and_deviation
from mmkrl.data.views.words import WordVectors
from mmkrl.errors import UserError

_CHUNK = 4096  # images whose features are held in memory at a time
SLOTS = ("subject", "predicate", "object")


@dataclass(frozen=True)
class Relationships:
    """R relationships.

    Attributes:
        ids: Relationship ids, sorted.
        texts: Subject, predicate and object of each.
        split: Split of each: train, validation or test.
        part_R3: Index of each slot's part in :attr:`parts`.
        parts: The distinct words of all slots.
        word_R3W: Mean word vector of each slot.
    """

    ids: list[str]
    texts: list[tuple[str, str, str]]
    split: npt.NDArray[np.str_]
    part_R3: npt.NDArray[np.int64]
    parts: list[str]
    word_R3W: Tensor

    def index(self, split: str) -> npt.NDArray[np.int64]:
        """Positions of the relationships of a split."""
        return np.flatnonzero(self.split == split)


def chunks(index: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    """Positions in pieces small enough for their features to be held in memory."""
    return np.array_split(index, max(1, -(-len(index) // _CHUNK)))


@dataclass(frozen=True)
class Images:
    """N images that show relationships.

    Attributes:
        ids: Image ids.
        label_N: Position of the relationship each shows.
        split: train, validation, test or unseen_source.
        source: The web source of each.
        row_N: Row of each image in :attr:`feature_MD`.
        feature_MD: All feature vectors, float16, mapped from disk.
    """

    ids: list[str]
    label_N: npt.NDArray[np.int64]
    split: npt.NDArray[np.str_]
    source: npt.NDArray[np.str_]
    row_N: npt.NDArray[np.int64]
    feature_MD: npt.NDArray[np.float16]

    def index(self, split: str) -> npt.NDArray[np.int64]:
        """Positions of the images of a split."""
        return np.flatnonzero(self.split == split)

    def features(self, index: npt.NDArray[np.int64]) -> Tensor:
        """Feature vectors of some images, float32, shape (len(index), D)."""
        return torch.from_numpy(self.feature_MD[self.row_N[index]].astype(np.float32))

    def scale(self, index: npt.NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Mean and deviation of the features of given images, float64, in batches."""
        return mean_and_deviation(self.features(part) for part in chunks(index))


@dataclass(frozen=True)
class Knowledge:
    """Relationships and the images that show them."""

    relationships: Relationships
    images: Images


def load_knowledge(
    mined: Dataset,
    extracted: Dataset,
    words: WordVectors,
    cache: Path,
    backbones: Backbones = None,
) -> Knowledge:
    """Read a mined dataset and its features.

    Args:
        mined: Output of mining.
        extracted: Output of extraction over the same corpus.
        words: Word vectors for the slots.
        cache: Folder on the local disk for the mapped features.
        backbones: Whose features; see :func:`map_features`.

    Raises:
        UserError: no image of the mined relationships has features, or none of these backbones.
    """
    relationships = load_relationships(mined, words)
    ids, feature_MD = map_features(extracted, cache, backbones)
    position = {key: i for i, key in enumerate(relationships.ids)}
    row = {image: i for i, image in reversed(list(enumerate(ids)))}
    columns = ["relationship_id", "image_id", "source", "split"]
    table = mined.table("instances", columns).to_pandas()
    table = table[table["image_id"].isin(row)].drop_duplicates(["relationship_id", "image_id"])
    table = table.sort_values(["relationship_id", "image_id"], ignore_index=True)
    if table.empty:
        raise UserError(
            f"none of the images in {mined.location} has features in {extracted.location}: "
            "were they made from the same corpus?"
        )
    images = Images(
        ids=table["image_id"].tolist(),
        label_N=table["relationship_id"].map(position).to_numpy(np.int64),
        split=table["split"].to_numpy(np.str_),
        source=table["source"].to_numpy(np.str_),
        row_N=table["image_id"].map(row).to_numpy(np.int64),
        feature_MD=feature_MD,
    )
    if not len(images.index(TRAIN)):
        raise UserError(f"{mined.location} has no training images with features")
    return Knowledge(relationships, images)


def load_relationships(mined: Dataset, words: WordVectors) -> Relationships:
    """The relationships of a mined dataset, in the order of their ids."""
    table = mined.table("relationships").sort_by("relationship_id")
    texts = list(zip(*(table.column(slot).to_pylist() for slot in SLOTS), strict=True))
    parts = sorted({part for text in texts for part in text})
    position = {part: i for i, part in enumerate(parts)}
    part_R3 = np.array([[position[part] for part in text] for text in texts], dtype=np.int64)
    word_PW = torch.from_numpy(np.stack([words.phrase(part) for part in parts]))
    return Relationships(
        ids=table.column("relationship_id").to_pylist(),
        texts=texts,
        split=np.array(table.column("split").to_pylist()),
        part_R3=part_R3,
        parts=parts,
        word_R3W=word_PW[torch.from_numpy(part_R3)],
    )
