"""The emoji graph: every named emoji by five vendors, and what is known of them.

A knowledge graph in which nearly all entities have several images: triples in the layout ``tsv``
of :mod:`mmkrl.data.graphs` and pictures as Parquet, with the name of their entity as label. The
split is seeded; facts about variants of the same drawings, and both directions of a relation, are
held out together (see :mod:`examples.emoji.facts`), and every entity and relation of validation
and test occurs in training. The same tarballs give the same split.

Names spell compositions out ("woman firefighter"): a model that reads them is told the answer, so
text may be compared with text only. Pictures keep their vendors' licences, in the column
``license``; facts about countries are world-countries', under the ODbL.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa

from examples.emoji import pack
from examples.emoji.facts import COUNTRIES, Fact, read_facts
from examples.emoji.names import read_names, read_sequences
from mmkrl.data.graphs.config import GraphSplit
from mmkrl.data.graphs.division import divide
from mmkrl.data.splits.names import TEST, TRAIN, VALIDATION
from mmkrl.errors import UserError
from mmkrl.mining.emoji.sequences import unqualified

PACKAGES: Final = (*pack.PACKAGES, COUNTRIES)
TRIPLES, PICTURES = "triples", "pictures"
_SCHEMA: Final = pack.SCHEMA.append(pa.field("label", pa.string()))
_FILES: Final = {TRAIN: "train.tsv", VALIDATION: "valid.tsv", TEST: "test.tsv"}


@dataclass(frozen=True, slots=True)
class GraphReport:
    """What a build wrote."""

    entities: int
    entities_with_pictures: int
    pictures: int
    triples_by_split: Mapping[str, int]
    triples_by_relation: Mapping[str, int]


def build_graph(directory: Path, output: Path) -> GraphReport:
    """Build the graph from the tarballs in ``directory``; write it below ``output``.

    Triples go to the folder ``triples``, pictures to the folder ``pictures``.

    Raises:
        UserError: a tarball is missing or damaged, or there is nothing to hold out.
    """
    names = read_names(directory)
    named = [s for s in read_sequences(directory) if unqualified(s) in names]
    rows = pack.picture_rows(directory, named, names)
    rows = [row | {"label": row["title"]} for row in rows]
    facts = read_facts(directory, sorted({row["alt"] for row in rows}), names)
    if not facts:
        raise UserError(f"nothing is known of the emoji in {directory}")
    triples = [(fact.head, fact.relation, fact.tail) for fact in facts]
    split = divide(triples, GraphSplit(), [fact.pair for fact in facts])
    _write_triples(output / TRIPLES, facts, split)
    pack.write_shards(rows, output / PICTURES, _SCHEMA)
    entities = {name for fact in facts for name in (fact.head, fact.tail)}
    return GraphReport(
        entities=len(entities),
        entities_with_pictures=len(entities & {row["label"] for row in rows}),
        pictures=len(rows),
        triples_by_split=_counts(split),
        triples_by_relation=_counts(fact.relation for fact in facts),
    )


def _write_triples(folder: Path, facts: Sequence[Fact], split: Sequence[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, file in _FILES.items():
        lines = [
            f"{fact.head}\t{fact.relation}\t{fact.tail}\n"
            for fact, held in zip(facts, split, strict=True)
            if held == name
        ]
        (folder / file).write_text("".join(lines), encoding="utf-8")


def _counts(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))
