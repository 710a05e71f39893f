"""Small graphs for tests: the same triples in every layout, and graphs as datasets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pytest

from mmkrl.data.dataset import Dataset, Origin, open_dataset, publish, write_unit
from mmkrl.data.graphs.build import Built, build_graph
from mmkrl.data.graphs.config import GraphConfig
from mmkrl.data.schemas import ENTITIES
from mmkrl.data.views.graph import SPLITS, Graph
from mmkrl.errors import UserError
from mmkrl.io.storage import Location, locate
from tests.mmkrl.data.crawls import write_parquet

Triple = tuple[str, str, str]
Splits = Mapping[str, Sequence[Triple]]
FILES = dict(zip(SPLITS, ("train", "valid", "test"), strict=True))
SMALL: Splits = {
    "train": [
        ("ash tree", "is a", "tree"),
        ("élan", "is a", "animal"),
        ("élan", "eats", "ash tree"),
        ("élan", "eats", "tree"),
        ("wolf", "is a", "animal"),
        ("wolf", "eats", "élan"),
    ],
    "validation": [("tree", "is a", "plant")],
    "test": [("wolf", "eats", "wolf"), ("ash tree", "is a", "plant")],
}


def names(splits: Splits) -> tuple[list[str], list[str]]:
    """Entities and relations, in the order in which the triples name them."""
    triples = [triple for split in SPLITS for triple in splits[split]]
    entities = dict.fromkeys(name for head, _, tail in triples for name in (head, tail))
    return list(entities), list(dict.fromkeys(relation for _, relation, _ in triples))


def write_lines(file: Location, rows: Iterable[Sequence[object]], separator: str = "\t") -> None:
    file.write_bytes("".join(separator.join(map(str, row)) + "\n" for row in rows).encode())


def write_tsv(folder: Location, splits: Splits) -> GraphConfig:
    for split, name in FILES.items():
        write_lines(folder / f"{name}.tsv", splits[split])
    return GraphConfig(layout="tsv", path=str(folder))


def write_ikrl(folder: Location, splits: Splits) -> GraphConfig:
    for split, name in FILES.items():
        rows = ((head, tail, relation) for head, relation, tail in splits[split])
        write_lines(folder / f"{name}.txt", rows)
    for kind, listed in zip(("entity", "relation"), names(splits), strict=True):
        rows = ((name, number) for number, name in enumerate(listed))
        write_lines(folder / f"{kind}2id.txt", rows)
    return GraphConfig(layout="ikrl", path=str(folder))


def write_openke(folder: Location, splits: Splits) -> GraphConfig:
    entities, relations = names(splits)
    for kind, listed in (("entity", entities), ("relation", relations)):
        rows = [(name, number) for number, name in enumerate(listed)]
        write_lines(folder / f"{kind}2id.txt", [(len(rows),), *rows])
    for split, name in FILES.items():
        rows = [
            (entities.index(head), entities.index(tail), relations.index(relation))
            for head, relation, tail in splits[split]
        ]
        write_lines(folder / f"{name}2id.txt", [(len(rows),), *rows], separator=" ")
    return GraphConfig(layout="openke", path=str(folder))


def write_parquets(folder: Location, splits: Splits) -> GraphConfig:
    """Triples as numbers, with both lists."""
    entities, relations = names(splits)
    rows = [
        {
            "split": name,
            "head": entities.index(head),
            "relation": relations.index(relation),
            "tail": entities.index(tail),
        }
        for split, name in FILES.items()
        for head, relation, tail in splits[split]
    ]
    write_parquet(folder / "small.parquet", pa.Table.from_pylist(rows))
    for plural, column, listed in (
        ("entities", "entity", entities),
        ("relations", "relation", relations),
    ):
        table = pa.table({"id": list(range(len(listed))), column: listed})
        write_parquet(folder / f"small_{plural}.parquet", table)
    return GraphConfig(layout="parquet", path=f"{folder}/small.parquet")


WRITERS = {
    "ikrl": write_ikrl,
    "openke": write_openke,
    "parquet": write_parquets,
    "tsv": write_tsv,
}


def build(config: GraphConfig, out: Any, **inputs: Dataset) -> tuple[Dataset, Built]:
    """The dataset of a graph, and what is told of it."""
    location = locate(out)
    built = build_graph(location, config, inputs)
    publish(location, Origin("graph", "key", {}, {}, ""), [built.unit], notes=built.notes)
    dataset = open_dataset(location)
    manifest = dataset.manifest
    assert manifest.rows_in == manifest.rows_out + manifest.dead_letters
    return dataset, built


def dead(config: GraphConfig, out: Any) -> list[tuple[str, str, str]]:
    """Place (without its folder), reason and detail of what is set aside."""
    dataset, _ = build(config, out)
    rows = dataset.table("dead_letters").to_pylist()
    assert {row["stage"] for row in rows} <= {"graph"}
    return [(row["record"].rsplit("/", 1)[-1], row["reason"], row["detail"]) for row in rows]


def told(config: GraphConfig, out: Any) -> str:
    """The one line that ends the reading of a graph."""
    with pytest.raises(UserError) as caught:
        build(config, out)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def triples_of(graph: Graph) -> dict[str, list[Triple]]:
    """A graph's triples as names."""
    return {
        split: [
            (graph.entities[head], graph.relations[relation], graph.entities[tail])
            for head, relation, tail in graph.triples[split].tolist()
        ]
        for split in SPLITS
    }


def published(folder: Any, **tables: pa.Table) -> Dataset:
    """A dataset of one unit with some tables."""
    location = locate(folder)
    unit = write_unit(location, 0, tables, rows_in=0, rows_out=0)
    publish(location, Origin("test", "key", {}, {}, ""), [unit])
    return open_dataset(location)


def linked(folder: Any, pairs: Iterable[tuple[str, str]], **tables: pa.Table) -> Dataset:
    """A dataset whose entities have images: pairs of entity and image id."""
    rows = [{"entity": entity, "image_id": image, "source": "web"} for entity, image in pairs]
    return published(folder, entities=pa.Table.from_pylist(rows, ENTITIES.arrow), **tables)
