"""A knowledge graph in memory: entities and relations as positions, triples as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mmkrl.arrays import IntArray
from mmkrl.data.dataset import Dataset
from mmkrl.data.splits.names import TEST, TRAIN, VALIDATION
from mmkrl.data.views.config import Backbones
from mmkrl.data.views.mapped_features import map_features
from mmkrl.errors import UserError

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
    """The images of a graph's entities: any number each; most entities have no image.

    Attributes:
        start_E1: Shape (E + 1,); images of entity e are ``row_I[start_E1[e]:start_E1[e + 1]]``.
        row_I: Rows in :attr:`feature_MD`, those of one entity side by side.
        feature_MD: All feature vectors, float16, mapped from disk.
    """

    start_E1: IntArray
    row_I: IntArray
    feature_MD: npt.NDArray[np.float16]


def load_graph(dataset: Dataset) -> Graph:
    """The graph of a dataset.

    Args:
        dataset: Output of reading a graph.
    """
    vocabulary = dataset.table("vocabulary")
    entities, relations = (
        vocabulary.filter(pc.equal(vocabulary["kind"], kind))["name"].combine_chunks()
        for kind in ("entity", "relation")
    )
    entities, relations = (names.take(pc.sort_indices(names)) for names in (entities, relations))
    table = dataset.table("triples")
    parts = (("head", entities), ("relation", relations), ("tail", entities))
    position_N3 = np.stack(
        [pc.index_in(table[part], value_set=names).to_numpy() for part, names in parts], axis=1
    ).astype(np.int64)
    triples = {split: position_N3[pc.equal(table["split"], split).to_numpy()] for split in SPLITS}
    return Graph(entities.to_pylist(), relations.to_pylist(), triples)


def pictured(graph: Graph, dataset: Dataset) -> npt.NDArray[np.bool_]:
    """Which entities have an image, shape (E,).

    Args:
        graph: The graph of ``dataset``.
        dataset: Output of reading a graph.
    """
    linked = dataset.table("entities", ["entity"])["entity"]
    found: npt.NDArray[np.bool_] = np.isin(graph.entities, linked.to_pylist())
    return found


def entity_images(
    graph: Graph,
    dataset: Dataset,
    extracted: Dataset,
    cache: Path,
    *,
    backbones: Backbones = None,
    dimension: int | None = None,
) -> EntityImages:
    """The feature vectors of the images of every entity.

    An image that was not extracted (it was no picture, or another one stands for it) is left out.

    Args:
        graph: The graph of ``dataset``.
        dataset: Output of reading a graph.
        extracted: Output of extraction over the corpus that the graph has its images of.
        cache: Folder on the local disk for the mapped features.
        backbones: Whose features; see :func:`map_features`.
        dimension: The length that vectors must have; None takes any.

    Raises:
        UserError: the graph has no images, none of them was extracted, or their vectors are of
            another length.
    """
    links = dataset.table("entities", ["entity", "image_id"])
    if not links.num_rows:
        raise UserError(f"{dataset.location} has no images of entities: set graph.images")
    ids, feature_MD = map_features(extracted, cache, backbones)
    if dimension not in (None, feature_MD.shape[1]):
        raise UserError(
            f"{extracted.location} has feature vectors of length {feature_MD.shape[1]}, expected "
            f"{dimension}: extract with the settings that the model was trained with"
        )
    entity = pc.index_in(links["entity"], value_set=pa.array(graph.entities)).to_numpy()
    row = pc.index_in(links["image_id"], value_set=pa.array(ids))
    there = row.is_valid().to_numpy()
    if not there.any():
        raise UserError(
            f"none of the {links.num_rows} images of entities in {dataset.location} has features "
            f"in {extracted.location}: were they made from the same corpus?"
        )
    entity, row = entity[there], row.drop_null().to_numpy()
    order = np.lexsort([row, entity])
    start_E1 = np.searchsorted(entity[order], np.arange(len(graph.entities) + 1))
    return EntityImages(start_E1.astype(np.int64), row[order].astype(np.int64), feature_MD)
