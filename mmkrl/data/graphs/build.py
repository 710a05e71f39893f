"""A graph as a dataset: its tables, and what is to be known of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from mmkrl.data.dataset import Dataset, write_unit
from mmkrl.data.graphs.config import LISTED, GraphConfig
from mmkrl.data.graphs.images import Links, images_by_list, images_by_text, images_of_parts
from mmkrl.data.graphs.layouts import read_graph
from mmkrl.data.graphs.mined import mined_graph
from mmkrl.data.graphs.rows import Account
from mmkrl.data.graphs.settle import Overlap, Settled, settle
from mmkrl.data.graphs.statistics import statistics
from mmkrl.data.manifest import UnitRecord
from mmkrl.data.schemas import DEAD_LETTERS, ENTITIES, ENTITY_TEXTS, TRIPLES, VOCABULARY
from mmkrl.data.views.graph import SPLITS, Graph
from mmkrl.errors import UserError
from mmkrl.io.storage import Location

_NO_IMAGES = Links(ENTITIES.arrow.empty_table(), 0)


@dataclass(frozen=True)
class Built:
    """A graph that was written.

    Attributes:
        unit: The unit that holds its tables.
        notes: Statistics, overlaps of splits, what was set aside and which images there are.
        metrics: The most telling numbers.
        remarks: One line each for people: what is odd about the graph.
    """

    unit: UnitRecord
    notes: dict[str, Any]
    metrics: dict[str, float]
    remarks: list[str]


def build_graph(location: Location, config: GraphConfig, inputs: Mapping[str, Dataset]) -> Built:
    """Read a graph, link the images of its entities, and write both.

    Args:
        location: The dataset.
        config: The graph.
        inputs: Outputs of the jobs that it takes images (``ingest``) or triples (``mine``) from.

    Raises:
        UserError: a file is missing or has not the layout's form, a split is empty, or no image
            shows an entity.
    """
    account = Account()
    if config.source == "mined":
        graph = mined_graph(inputs["mine"], config.split)
        account.rows_in = len(graph.known())
        settled = Settled(graph, [], [], None, rows_out=account.rows_in)
        links = images_of_parts(inputs["mine"], graph.entities)
    else:
        settled = settle(
            read_graph(config, account), account, keep_overlap=config.overlap == "keep"
        )
        links = _links(config, inputs.get("ingest"), settled)
    unit = _write(location, settled, links, account)
    facts = statistics(settled.graph)
    notes = {
        "graph": facts,
        "overlaps": [vars(overlap) for overlap in settled.overlaps],
        "set_aside": account.reasons(),
        "images": links.counts(),
    }
    remarks = [_remark(overlap, config) for overlap in settled.overlaps]
    return Built(unit, notes, _metrics(facts, links), remarks)


def _links(config: GraphConfig, corpus: Dataset | None, settled: Settled) -> Links:
    if config.images is None:
        return _NO_IMAGES
    assert corpus is not None  # the configuration asks for one
    if config.images != LISTED:
        return images_by_text(corpus, config.images, settled.graph.entities)
    if settled.pictures is None:
        raise UserError(f"graph.images = {LISTED!r}: {config.path} has no image_list.txt")
    return images_by_list(corpus, settled.pictures)


def _write(location: Location, settled: Settled, links: Links, account: Account) -> UnitRecord:
    tables = {
        "vocabulary": _vocabulary(settled.graph),
        "triples": _triples(settled.graph),
        "entity_texts": pa.concat_tables(
            [ENTITY_TEXTS.arrow.empty_table(), *(ENTITY_TEXTS.check(t) for t in settled.texts)]
        ),
        "entities": links.table,
        "dead_letters": pa.Table.from_pylist(account.dead, DEAD_LETTERS.arrow),
    }
    return write_unit(location, 0, tables, rows_in=account.rows_in, rows_out=settled.rows_out)


def _vocabulary(graph: Graph) -> pa.Table:
    kinds = ["entity"] * len(graph.entities) + ["relation"] * len(graph.relations)
    return pa.table({"kind": kinds, "name": [*graph.entities, *graph.relations]}, VOCABULARY.arrow)


def _triples(graph: Graph) -> pa.Table:
    entities, relations = pa.array(graph.entities), pa.array(graph.relations)
    tables = []
    for split in SPLITS:
        head, relation, tail = graph.triples[split].T
        columns = [entities.take(head), relations.take(relation), entities.take(tail)]
        columns.append(pa.array([split] * len(head), pa.string()))
        tables.append(pa.Table.from_arrays(columns, schema=TRIPLES.arrow))
    return pa.concat_tables(tables)


def _metrics(facts: Mapping[str, Any], links: Links) -> dict[str, float]:
    triples = {f"triples_{split}": float(facts["triples"][split]) for split in SPLITS}
    names = ("entities", "relations", "test_inverse_in_train", "test_entities_not_in_train")
    images = {name: float(count) for name, count in links.counts().items()}
    return triples | {name: float(facts[name]) for name in names} | images


def _remark(overlap: Overlap, config: GraphConfig) -> str:
    done = "kept" if config.overlap == "keep" else "set aside"
    return (
        f"{config.path}: {overlap.rows:,} of the {overlap.split} triples are also in "
        f"{overlap.earlier}; {done} (graph.overlap)"
    )
