"""Images with captions, in memory: texts as they are, features mapped from disk.

An image is its bytes: the same photo under two names is one image. If its copies belong to
different splits, the held-out one stays, so that nothing tested was trained on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from mmkrl.arrays import IntArray
from mmkrl.data.dataset import Dataset
from mmkrl.data.splits.names import TEST, TRAIN, VALIDATION
from mmkrl.data.views.config import Backbones, CaptionSplit
from mmkrl.data.views.mapped_features import map_features
from mmkrl.data.views.vocabulary import caption_words
from mmkrl.errors import UserError

SPLITS = (TRAIN, VALIDATION, TEST)  # where copies of a photo disagree, the later one has it
NAMES_OF_SPLITS = {
    "train": TRAIN,
    "restval": TRAIN,  # Karpathy's rest of COCO's validation images
    "val": VALIDATION,
    "dev": VALIDATION,
    "validation": VALIDATION,
    "test": TEST,
}
_COPY = ["image_id", "uri"]


@dataclass(frozen=True)
class Captions:
    """I images with C captions.

    Attributes:
        ids: Image ids, in the corpus's order.
        split_I: Split of each image: train, validation or test.
        label_I: Class of each image; empty if the source names none.
        row_I: Row of each image in :attr:`feature_MD`.
        feature_MD: All feature vectors, mapped from disk.
        texts: The captions, those of one image side by side.
        image_C: The image of each caption, never decreasing.
        text_CF: Feature vectors of the captions, if they come as such and not as words.
        statistics: What was left out, and why.
    """

    ids: list[str]
    split_I: npt.NDArray[np.str_]
    label_I: npt.NDArray[np.str_]
    row_I: IntArray
    feature_MD: npt.NDArray[np.floating]
    texts: list[str]
    image_C: IntArray
    text_CF: npt.NDArray[np.float32] | None = None
    statistics: Mapping[str, int] = field(default_factory=dict)

    def images(self, split: str) -> IntArray:
        """Positions of the images of a split."""
        return np.flatnonzero(self.split_I == split)

    def captions(self, split: str) -> IntArray:
        """Positions of the captions of a split's images."""
        return np.flatnonzero(self.split_I[self.image_C] == split)

    def within(self, split: str) -> IntArray:
        """Of each caption of a split, the place of its image among the split's images."""
        place: IntArray = np.searchsorted(self.images(split), self.image_C[self.captions(split)])
        return place

    def features(self, index_B: IntArray) -> Tensor:
        """Feature vectors of some images, float32, shape (B, D)."""
        return torch.from_numpy(self.feature_MD[self.row_I[index_B]].astype(np.float32))


def load_captions(
    corpus: Dataset,
    extracted: Dataset,
    cache: Path,
    *,
    backbones: Backbones = None,
    division: CaptionSplit | None = None,
) -> Captions:
    """Read the captioned images of a corpus.

    Left out and counted are images of no known split, without captions or features, copies of a
    photo that another split holds, and captions without a word.

    Args:
        corpus: Output of ingestion.
        extracted: Output of extraction over it.
        cache: Folder on the local disk for the mapped features.
        backbones: Whose features; see :func:`map_features`.
        division: How to divide images if the corpus knows no splits.

    Raises:
        UserError: there are no captions, or training or validation has none.
    """
    ids, feature_MD = map_features(extracted, cache, backbones)
    row = {image: i for i, image in reversed(list(enumerate(ids)))}
    table = corpus.table("texts", [*_COPY, "kind", "text"]).to_pandas()
    captions = table[table["kind"] == "caption"]
    if captions.empty:
        raise UserError(f"{corpus.location} has no captions; ingest a source that gives some")
    copies = captions[_COPY].drop_duplicates(ignore_index=True)
    copies["split"] = _splits(copies, table, division or CaptionSplit())
    kept, counts = _kept(copies, row)
    worded = captions["text"].map(lambda text: bool(caption_words(text)))
    counts["empty_captions"] = int((~worded).sum())
    counts["images_without_captions"] = len(row.keys() - set(captions.loc[worded, "image_id"]))
    captions = captions[worded].merge(kept, on=_COPY)
    captions["first"] = captions.groupby("image_id", sort=False).ngroup()
    captions = captions.sort_values("first", kind="stable", ignore_index=True)
    images = captions.drop_duplicates("first")
    labels = table[table["kind"] == "label"].drop_duplicates("image_id")
    label_of = dict(zip(labels["image_id"], labels["text"], strict=True))
    found = Captions(
        ids=images["image_id"].tolist(),
        split_I=images["split"].to_numpy(np.str_),
        label_I=np.array([label_of.get(image, "") for image in images["image_id"]], np.str_),
        row_I=images["image_id"].map(row).to_numpy(np.int64),
        feature_MD=feature_MD,
        texts=captions["text"].tolist(),
        image_C=captions["first"].to_numpy(np.int64),
        statistics={"images": len(images), "captions": len(captions)} | counts,
    )
    _require(found, corpus)
    return found


def _splits(copies: pd.DataFrame, table: pd.DataFrame, division: CaptionSplit) -> pd.Series:
    """The split of every copy of an image; missing where the source names none that is known."""
    given = table[table["kind"] == "split"].drop_duplicates(_COPY)
    text = copies.merge(given, on=_COPY, how="left")["text"]
    named = text.str.strip().str.lower().map(NAMES_OF_SPLITS)
    return _drawn(copies["image_id"], division) if named.isna().all() else named


def _drawn(image_ids: pd.Series, division: CaptionSplit) -> pd.Series:
    """A seeded split of images, whatever the order in which they come."""
    ids = np.unique(image_ids.to_numpy(np.str_))
    order = np.random.default_rng(division.seed).permutation(len(ids))
    ends = np.cumsum([division.test, division.validation]) * len(ids)
    names = np.array([TEST, VALIDATION, TRAIN])
    split = names[np.searchsorted(ends.round(), np.argsort(order), side="right")]
    return image_ids.map(dict(zip(ids, split, strict=True)))


def _kept(copies: pd.DataFrame, row: Mapping[str, int]) -> tuple[pd.DataFrame, dict[str, int]]:
    """The copies to use, each with its image's split; and how many are not used, and why."""
    known = copies[copies["split"].notna()]
    there = known[known["image_id"].isin(row.keys())]
    place = there["split"].map({name: i for i, name in enumerate(SPLITS)})
    last = place.groupby(there["image_id"]).transform("max")
    kept = there[place == last]
    counts = {
        "images_of_no_split": len(copies) - len(known),
        "images_without_features": len(known) - len(there),
        "copies_of_held_out_images": len(there) - len(kept),
        "copies_in_one_split": len(kept) - kept["image_id"].nunique(),
    }
    return kept, counts


def _require(captions: Captions, corpus: Dataset) -> None:
    for split in (TRAIN, VALIDATION):
        if not len(captions.images(split)):
            left = ", ".join(f"{name} {count}" for name, count in captions.statistics.items())
            raise UserError(
                f"{corpus.location} has no captioned {split} images with features ({left}): "
                f"its texts of kind 'split' should name {', '.join(NAMES_OF_SPLITS)}"
            )
