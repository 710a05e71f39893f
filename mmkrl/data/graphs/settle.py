"""From what files state to a graph: unknown names and repeated triples are set aside.

The order of trust is train, validation, test: of a triple in two splits the row of the later one
is set aside (``graph.overlap``), since a model proves nothing with what it was trained on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mmkrl.arrays import IntArray
from mmkrl.data.graphs.rows import Account, Rows, mask, shown
from mmkrl.data.graphs.stated import PARTS, Stated
from mmkrl.data.views.graph import SPLITS, Graph
from mmkrl.errors import UserError


@dataclass(frozen=True)
class Overlap:
    """Rows of a split whose triples an earlier split has too."""

    split: str
    earlier: str
    rows: int


@dataclass(frozen=True)
class Settled:
    """A graph and what was said beside its triples.

    Attributes:
        graph: Without unknown names and repeated triples.
        overlaps: Which splits share triples.
        texts: What is said of entities: tables with the columns entity, kind, text.
        pictures: Columns entity, picture; None if there is no list of them.
        rows_out: Rows of all files that are in use.
    """

    graph: Graph
    overlaps: list[Overlap]
    texts: list[pa.Table]
    pictures: pa.Table | None
    rows_out: int


@dataclass(frozen=True)
class _Vocabulary:
    """Names in their order, and what triples hold for each."""

    names: pa.Array
    keys: pa.Array
    where: str


@dataclass(frozen=True)
class _Triples:
    """The triples of all splits, one after another in the order of ``SPLITS``.

    Attributes:
        rows: Those of each split.
        position_N3: Positions of head, relation and tail in the vocabularies.
        split_N: Position of each one's split.
    """

    rows: list[Rows]
    position_N3: IntArray
    split_N: IntArray

    def address(self, number: int) -> str:
        """Where a triple stands."""
        split = int(self.split_N[number])
        return self.rows[split].address(number - sum(len(rows) for rows in self.rows[:split]))

    def first(self, *, within_splits: bool) -> IntArray:
        """The number of the first equal triple, for each triple.

        Args:
            within_splits: Look no further than each one's own split.
        """
        frame = pd.DataFrame(self.position_N3)
        columns: list[object] = list(frame.columns)
        if within_splits:
            frame = frame.assign(split=self.split_N)
            columns.append("split")
        group = frame.groupby(columns, sort=False).ngroup().to_numpy()
        _, first = np.unique(group, return_index=True)
        return np.asarray(first[group], dtype=np.int64)

    def keep(self, account: Account, first: IntArray, reason: str) -> _Triples:
        """The triples that are the first of their kind; the others are set aside.

        Args:
            account: Where they are recorded.
            first: The number of the first equal triple, for each triple.
            reason: What is wrong with the others.
        """
        fine = first == np.arange(len(first))
        kept, start = [], 0
        for rows in self.rows:
            stop = start + len(rows)

            def detail(position: int, rows: Rows = rows, start: int = start) -> str:
                triple = " ".join(str(rows.values[name][position]) for name in PARTS)
                return f"{shown(triple)}: also in {self.address(int(first[start + position]))}"

            kept.append(account.keep(rows, fine[start:stop], reason, detail))
            start = stop
        return _Triples(kept, self.position_N3[fine], self.split_N[fine])


def settle(stated: Stated, account: Account, *, keep_overlap: bool) -> Settled:
    """The graph that files state.

    Args:
        stated: What they say.
        account: Where rows that cannot be used are recorded.
        keep_overlap: Leave a triple in every split that states it.

    Raises:
        UserError: a split has no usable triple.
    """
    heads_and_tails = [rows.values[p] for rows in stated.triples.values() for p in ("head", "tail")]
    entities = _vocabulary(stated.entities, heads_and_tails)
    relations = _vocabulary(
        stated.relations, [rows.values["relation"] for rows in stated.triples.values()]
    )
    known = {
        split: _known_triples(rows, entities, relations, account)
        for split, rows in stated.triples.items()
    }
    triples = _triples(known, entities, relations)
    triples = triples.keep(account, triples.first(within_splits=True), "duplicate")
    first = triples.first(within_splits=False)
    overlaps = _overlaps(triples.split_N, first)
    if not keep_overlap:
        triples = triples.keep(account, first, "in_two_splits")
    _refuse_empty(stated, triples, account)
    texts = [_known_entities(rows, entities, account) for rows in stated.texts]
    pictures = stated.pictures and _known_entities(stated.pictures, entities, account)
    return Settled(
        _graph(triples, entities, relations),
        overlaps,
        [rows.values for rows in texts],
        pictures.values if pictures else None,
        rows_out=sum(
            len(rows)
            for rows in (*triples.rows, stated.entities, stated.relations, *texts, pictures)
            if rows is not None
        ),
    )


def _vocabulary(listed: Rows | None, used: list[pa.ChunkedArray]) -> _Vocabulary:
    """What is listed, or else used, by name; texts sort by code points as Python's do."""
    if listed is None:
        keys = names = pa.chunked_array([c for u in used for c in u.chunks], pa.string()).unique()
    else:
        keys, names = (listed.values[column].combine_chunks() for column in ("key", "name"))
    order = pc.sort_indices(names)
    return _Vocabulary(names.take(order), keys.take(order), listed.file.name if listed else "")


def _known_triples(
    rows: Rows, entities: _Vocabulary, relations: _Vocabulary, account: Account
) -> Rows:
    rows = _known(rows, "head", entities, "entity", account)
    rows = _known(rows, "relation", relations, "relation", account)
    return _known(rows, "tail", entities, "entity", account)


def _known(rows: Rows, part: str, listed: _Vocabulary, kind: str, account: Account) -> Rows:
    """The triples one part of which is listed."""
    values = rows.values[part]

    def detail(position: int) -> str:
        return f"{part} {shown(values[position].as_py())}: not in {listed.where}"

    known = mask(pc.is_in(values, value_set=listed.keys))
    return account.keep(rows, known, f"unknown_{kind}", detail)


def _known_entities(rows: Rows, entities: _Vocabulary, account: Account) -> Rows:
    """The rows that say something of an entity there is, by its name."""

    def detail(position: int) -> str:
        name = shown(rows.values["entity"][position].as_py())
        return f"entity {name}: not in {entities.where or 'any triple'}"

    known = mask(pc.is_in(rows.values["entity"], value_set=entities.names))
    return account.keep(rows, known, "unknown_entity", detail)


def _triples(known: Mapping[str, Rows], entities: _Vocabulary, relations: _Vocabulary) -> _Triples:
    rows = [known[split] for split in SPLITS]
    values = pa.concat_tables(part.values.select(PARTS) for part in rows)
    listed = {"head": entities, "relation": relations, "tail": entities}
    columns = [pc.index_in(values[part], value_set=listed[part].keys) for part in PARTS]
    position_N3 = np.stack([column.to_numpy() for column in columns], axis=1)
    split_N = np.repeat(np.arange(len(SPLITS)), [len(part) for part in rows])
    return _Triples(rows, position_N3.astype(np.int64), split_N)


def _overlaps(split_N: IntArray, first_N: IntArray) -> list[Overlap]:
    counts = Counter(zip(split_N.tolist(), split_N[first_N].tolist(), strict=True))
    return [
        Overlap(SPLITS[later], SPLITS[earlier], count)
        for (later, earlier), count in sorted(counts.items())
        if later != earlier
    ]


def _refuse_empty(stated: Stated, triples: _Triples, account: Account) -> None:
    for split, rows in zip(SPLITS, triples.rows, strict=True):
        if not len(rows):
            reasons = (f"{count} {reason}" for reason, count in account.reasons().items())
            why = f"; rows of all files set aside: {', '.join(reasons)}" if account.dead else ""
            file = stated.triples[split].file
            raise UserError(f"{file}: the {split} split is empty: none of its rows is usable{why}")


def _graph(triples: _Triples, entities: _Vocabulary, relations: _Vocabulary) -> Graph:
    return Graph(
        entities.names.to_pylist(),
        relations.names.to_pylist(),
        {split: triples.position_N3[triples.split_N == n] for n, split in enumerate(SPLITS)},
    )
