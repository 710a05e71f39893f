"""What two models find first for a query, as shelves of pictures of a comparison."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from mmkrl.data.dataset import Dataset
from mmkrl.data.splits.names import TEST
from mmkrl.data.views.images_by_id import pictures
from mmkrl.data.views.knowledge import SLOTS
from mmkrl.spaces.space import Answer
from mmkrl.viz.gallery import Picture, Shelf


class FindsImages(Protocol):
    """A space of relationships and images."""

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors of texts, shape (len(texts), D)."""
        ...

    def retrieve(
        self, text_BD: Tensor, count: int, among: Container[str] | None = None
    ) -> list[list[Answer]]:
        """The best images, of some, for each text vector."""
        ...


_PICTURES = 8  # a row
_SEPARATOR = " | "


@dataclass(frozen=True)
class RelevantImages:
    """The test images by what they show.

    Attributes:
        images: Ids of all of them.
        right: Ids by relationship, named by its parts.
    """

    images: frozenset[str]
    right: Mapping[str, frozenset[str]]

    @staticmethod
    def of(mined: Dataset) -> RelevantImages:
        """Those of a dataset of relationships."""
        relationships = mined.table("relationships", ["relationship_id", *SLOTS]).to_pylist()
        names = {
            row["relationship_id"]: _SEPARATOR.join(row[slot] for slot in SLOTS)
            for row in relationships
        }
        right: dict[str, set[str]] = defaultdict(set)
        columns = ["relationship_id", "image_id", "split"]
        for row in mined.table("instances", columns).to_pylist():
            if row["split"] == TEST:
                right[names[row["relationship_id"]]].add(row["image_id"])
        every = frozenset(image for images in right.values() for image in images)
        return RelevantImages(every, {name: frozenset(images) for name, images in right.items()})


def best_images(
    queries: Sequence[str],
    spaces: Mapping[str, FindsImages],
    relevant: RelevantImages,
    corpus: Dataset,
) -> dict[str, list[Shelf]]:
    """What each space ranks first for each query, among the test images.

    Args:
        queries: Relationships, each as ``subject | predicate | object``.
        spaces: The spaces by the name of their row.
        relevant: What is right.
        corpus: Where the pictures are.
    """
    vectors = {name: space.embed_texts(queries) for name, space in spaces.items()}
    best = {
        name: space.retrieve(vectors[name], _PICTURES, relevant.images)
        for name, space in spaces.items()
    }
    ids = {answer.name for rows in best.values() for row in rows for answer in row}
    data = pictures(corpus, ids)

    def picture(query: str, image: str) -> Picture:
        there = data.get(image)
        mark = "right" if image in relevant.right.get(query, ()) else "wrong"
        return Picture(there.image if there else b"", there.source if there else "", mark)

    return {
        query: [
            Shelf(name, [picture(query, answer.name) for answer in best[name][row]])
            for name in spaces
        ]
        for row, query in enumerate(queries)
    }
