"""Public graphs: ranks equal brute force, and what is known of them is found again."""

import os
from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from mmkrl.data.graphs.statistics import inverse_in_train
from mmkrl.data.splits.names import TEST, TRAIN, VALIDATION
from mmkrl.data.views.graph import Graph
from mmkrl.evaluate.exact.triple_filter import KnownTriples
from mmkrl.evaluate.exact.triple_ranks import triple_ranks
from mmkrl.evaluate.tasks.triple_classification import false_triples
from tests.mmkrl.evaluate.plain_triples import random_vectors

PARTS = ("head", "relation", "tail")
SPLITS = {TRAIN: "train", VALIDATION: "valid", TEST: "test"}


def public_graph(name) -> Graph:
    path = Path(os.environ.get("MMKRL_DATA", "")) / name
    if "MMKRL_DATA" not in os.environ or not path.is_file():
        pytest.skip(f"no {name}: set MMKRL_DATA")
    table = pq.read_table(path)
    split = table["split"].cast("string").to_numpy()
    columns = {part: table[part].cast("string") for part in PARTS}
    entities = sorted({*columns["head"].to_pylist(), *columns["tail"].to_pylist()})
    relations = sorted(set(columns["relation"].to_pylist()))
    names = {"head": entities, "relation": relations, "tail": entities}
    triple_N3 = np.stack(
        [pc.index_in(columns[part], value_set=pa.array(names[part])).to_numpy() for part in PARTS],
        axis=1,
    ).astype(np.int64)
    triples = {ours: triple_N3[split == theirs] for ours, theirs in SPLITS.items()}
    return Graph(entities, relations, triples)


def test_wn9_gives_its_inverses_away():
    graph = public_graph("wn9_img/triples.parquet")
    assert [len(graph.triples[split]) for split in SPLITS] == [11741, 1337, 1319]
    assert inverse_in_train(graph, graph.triples[TEST]).sum() == 1186


@pytest.mark.parametrize("metric", ["l1", "l2", "dot"])
def test_fb15k237_equals_brute_force(metric):
    graph = public_graph("triples/FB15K237.parquet")
    sizes = {"entities": len(graph.entities), "relations": len(graph.relations)}
    scorer = random_vectors(metric, **sizes, width=40)
    triples = graph.triples[TEST][::1000]
    known = KnownTriples.of(graph.known())
    ranks = triple_ranks(scorer, triples, known=known)
    tails = defaultdict(set)
    for head, relation, tail in graph.known().tolist():
        tails[head, relation].add(tail)
    entity_ED, relation_RD = scorer.entity_ED.numpy(), scorer.relation_RD.numpy()
    for n, (head, relation, tail) in enumerate(triples.tolist()):
        moved = np.multiply if metric == "dot" else np.add
        query_D = moved(entity_ED[head], relation_RD[relation]).astype(np.float64)
        apart_ED = query_D - entity_ED
        score_E = {
            "l1": -np.abs(apart_ED).sum(axis=1),
            "l2": -np.square(apart_ED).sum(axis=1),
            "dot": entity_ED.astype(np.float64) @ query_D,
        }[metric]
        above = score_E > score_E[tail]
        assert ranks.tail.raw_N[n] == 1 + above.sum()
        others = [t for t in tails[head, relation] if t != tail]
        assert ranks.tail.filtered_N[n] == 1 + above.sum() - above[others].sum()


def test_false_triples_of_a_public_graph_are_unknown():
    graph = public_graph("wn9_img/triples.parquet")
    known = KnownTriples.of(graph.known())
    false_N3 = false_triples(graph.triples[TEST], known, len(graph.entities), seed=0)
    assert not known.hold(false_N3).any()
    assert (false_N3[:, 1] == graph.triples[TEST][:, 1]).all()
