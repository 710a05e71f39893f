"""What is kept of random triples with repetitions equals what a plain loop keeps."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from mmkrl.data.views.graph import SPLITS, load_graph
from mmkrl.io.storage import locate
from tests.mmkrl.data.graphs.made import WRITERS, build, triples_of


def drawn(seed: int) -> dict[str, list[tuple[str, str, str]]]:
    """Few names and many triples, so that all kinds of repetition occur."""
    generator = np.random.default_rng(seed)
    counts = {"train": 60, "validation": 40, "test": 50}
    return {
        split: [
            (f"e{h}", f"r{r}", f"e{t}") for h, r, t in generator.integers(0, (9, 3, 9), (count, 3))
        ]
        for split, count in counts.items()
    }


def by_loop(splits, *, keep: bool):
    """What stays, and how many rows are set aside for each reason and pair of splits."""
    kept, reasons, overlaps = {}, {"duplicate": 0, "in_two_splits": 0}, {}
    home: dict[tuple[str, str, str], str] = {}
    for split in SPLITS:
        kept[split] = []
        here = set()
        for triple in splits[split]:
            if triple in here:
                reasons["duplicate"] += 1
                continue
            here.add(triple)
            earlier = home.setdefault(triple, split)
            if earlier != split:
                overlaps[split, earlier] = overlaps.get((split, earlier), 0) + 1
                if not keep:
                    reasons["in_two_splits"] += 1
                    continue
            kept[split].append(triple)
    return kept, {name: count for name, count in reasons.items() if count}, overlaps


@pytest.mark.parametrize("layout", ["tsv", "openke", "parquet"])
@pytest.mark.parametrize("overlap", ["set_aside", "keep"])
@pytest.mark.parametrize("seed", range(3))
def test_what_is_kept_is_what_a_loop_keeps(tmp_path, layout, overlap, seed):
    splits = drawn(seed)
    config = WRITERS[layout](locate(tmp_path), splits).model_copy(update={"overlap": overlap})
    dataset, built = build(config, tmp_path / "graph")
    kept, reasons, overlaps = by_loop(splits, keep=overlap == "keep")
    assert triples_of(load_graph(dataset)) == kept
    assert built.notes["set_aside"] == reasons
    found = {(one["split"], one["earlier"]): one["rows"] for one in built.notes["overlaps"]}
    assert found == overlaps
    assert len(overlaps) == 3


def test_names_are_in_the_order_of_python(tmp_path):
    odd = ["Z", "a", "é", "\U0001f469", "\uffee", "zz", "A b", "10", "9"]
    splits = {split: [(name, f"r{name}", odd[0]) for name in odd] for split in SPLITS}
    config = WRITERS["tsv"](locate(tmp_path), splits).model_copy(update={"overlap": "keep"})
    graph = load_graph(build(config, tmp_path / "graph")[0])
    assert graph.entities == sorted(odd)
    assert graph.relations == sorted(f"r{name}" for name in odd)
    assert isinstance(graph.triples["train"][0, 0], np.int64)
    assert pa.array(graph.entities).type == pa.string()
