"""Public graphs are what their papers say, and what is odd about them is found."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from mmkrl.data.graphs.config import GraphConfig
from mmkrl.data.views.graph import load_graph
from mmkrl.io.storage import locate
from tests.mmkrl.data.graphs.made import build, triples_of, write_ikrl


def folder(name: str) -> Path:
    path = Path(os.environ.get("MMKRL_DATA", "")) / name
    if "MMKRL_DATA" not in os.environ or not path.is_dir():
        pytest.skip(f"no {name}: set MMKRL_DATA")
    return path


def read(name: str, out, **more):
    config = GraphConfig(layout="parquet", path=str(folder("triples") / f"{name}.parquet"), **more)
    return build(config, out)


@pytest.mark.parametrize(
    ("name", "entities", "relations", "triples"),
    [
        ("FB15K237", 14541, 237, (272115, 17535, 20466)),
        ("WN18RR", 40943, 11, (86835, 3034, 3134)),
        ("MKG-W", 15000, 169, (34196, 4276, 4274)),
        ("MKG-Y", 15000, 28, (21310, 2665, 2663)),
    ],
)
def test_published_counts(tmp_path, name, entities, relations, triples):
    dataset, built = read(name, tmp_path)
    facts = built.notes["graph"]
    assert (facts["entities"], facts["relations"]) == (entities, relations)
    assert tuple(facts["triples"].values()) == triples
    assert dataset.manifest.dead_letters == 0
    assert built.remarks == []


def test_db15k_is_broken_at_its_source(tmp_path):
    dataset, built = read("DB15K", tmp_path / "strict")
    told = "DB15K.parquet: 6,584 of the validation triples are also in train; set aside"
    assert built.remarks[0].endswith(f"{told} (graph.overlap)")
    reasons = built.notes["set_aside"]
    assert dataset.rows("dead_letters") == sum(reasons.values())
    rows = pq.read_table(folder("triples") / "DB15K.parquet").to_pandas()
    by_split = {
        split: set(part[["head", "relation", "tail"]].itertuples(index=False, name=None))
        for split, part in rows.groupby("split", observed=True)
    }
    assert len(by_split["valid"] & by_split["train"]) == 6584
    assert reasons["duplicate"] == len(rows) - sum(map(len, by_split.values()))
    kept = by_split["test"] - by_split["train"] - by_split["valid"]
    assert built.notes["graph"]["triples"]["test"] == len(kept)
    _, whole = read("DB15K", tmp_path / "kept", overlap="keep")
    assert whole.notes["graph"]["triples"]["test"] == len(by_split["test"]) == 9902


def wn9(**more) -> GraphConfig:
    path = folder("wn9_img")
    files = {"path": f"{path}/triples.parquet", "entities": f"{path}/entities.parquet"}
    return GraphConfig(layout="parquet", **files, columns={"entity": "wnid"}, **more)


def test_wn9_has_most_inverses_in_train(tmp_path):
    dataset, built = build(wn9(), tmp_path)
    facts = built.notes["graph"]
    assert facts["triples"] == {"train": 11741, "validation": 1337, "test": 1319}
    assert (facts["entities"], facts["relations"]) == (6555, 9)
    assert facts["test_inverse_in_train"] == pytest.approx(1186 / 1319)
    assert facts["test_entities_not_in_train"] == 0
    texts = dataset.table("entity_texts")
    assert pc.count_distinct(texts["kind"]).as_py() == 2
    assert texts.num_rows == 2 * 6555


def test_wn9_in_the_layout_of_its_authors(tmp_path):
    """Written again as the authors gave it, it is the same graph."""
    graph = load_graph(build(wn9(), tmp_path / "parquet")[0])
    splits = triples_of(graph)
    again = load_graph(build(write_ikrl(locate(tmp_path), splits), tmp_path / "ikrl")[0])
    assert again.entities == graph.entities
    assert again.relations == graph.relations
    for split, triples in graph.triples.items():
        assert (again.triples[split] == triples).all()
