"""Layout ``parquet``: one file of triples, and lists of entities and relations if there are any.

The triples have the columns split, head, relation and tail, whose values are names or whole
numbers. A list called like the triples' file with ``_entities`` or ``_relations`` before its
ending says what there is, and what the numbers mean: columns id and entity (or relation). The list
of entities may also have texts, see ``graph.columns``. Numbers without a list are names.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import types

from mmkrl.data.graphs.config import GraphConfig
from mmkrl.data.graphs.files import SPLIT_NAMES, graph_path
from mmkrl.data.graphs.layouts import GraphReader
from mmkrl.data.graphs.lines import utf8
from mmkrl.data.graphs.rows import Account, Rows, mask, shown
from mmkrl.data.graphs.stated import PARTS, Stated, listing
from mmkrl.errors import UserError
from mmkrl.io.storage import Location, locate

_ENDING = ".parquet"
_USUAL = {"id": "id", "entity": "entity", "name": "name", "gloss": "gloss", "description": "text"}
_KINDS = ("name", "gloss", "description")
_FAULTS = (OSError, pa.ArrowException, EOFError)


def parquet_files(config: GraphConfig) -> list[Location]:
    """The triples, then the lists that there are."""
    return [graph_path(config), *_lists(config).values()]


def read_parquet(config: GraphConfig, account: Account) -> Stated:
    """A graph in layout ``parquet``.

    Raises:
        UserError: a file or a column is missing or cannot be what it should.
    """
    rows = _rows(graph_path(config), {name: name for name in ("split", *PARTS)})
    by_number = {part: types.is_integer(rows.values.schema.field(part).type) for part in PARTS}
    triples = _by_split(_as_text(rows, account), account)
    lists = _lists(config)
    entities = relations = None
    texts: tuple[Rows, ...] = ()
    if "entity" in lists:
        file = lists["entity"]
        roles = _roles(file, config)
        key = roles.get("id", "id") if by_number["head"] else roles["entity"]
        entities = _listed(file, key, roles["entity"], account)
        texts = tuple(_texts(file, roles, kind, account) for kind in _KINDS if kind in roles)
    if "relation" in lists:
        key = "id" if by_number["relation"] else "relation"
        relations = _listed(lists["relation"], key, "relation", account)
    return Stated(triples, entities, relations, texts)


def _lists(config: GraphConfig) -> dict[str, Location]:
    """The lists that are given, or that lie beside the triples."""
    triples = graph_path(config)
    stem = triples.name.removesuffix(_ENDING)
    lists = {}
    for name, plural, given in (
        ("entity", "entities", config.entities),
        ("relation", "relations", config.relations),
    ):
        usual = triples.parent / f"{stem}_{plural}{_ENDING}"
        if given or usual.is_file():
            lists[name] = locate(given) if given else usual
    return lists


def _roles(file: Location, config: GraphConfig) -> dict[str, str]:
    """The column of every role that the list of entities has.

    Raises:
        UserError: the column of the entities or one that the configuration names is missing.
    """
    names = _column_names(file)
    wanted = {"entity": "entity"} | {str(role): name for role, name in config.columns.items()}
    for role, name in wanted.items():
        if name not in names:
            raise UserError(
                f"{file}: no column {name!r}; it has {', '.join(names)}: say which is the "
                f"{role} in graph.columns"
            )
    free = set(names) - set(wanted.values())
    return {role: name for role, name in _USUAL.items() if name in free} | wanted


def _listed(file: Location, key: str, name: str, account: Account) -> Rows:
    return listing(_as_text(_rows(file, {"key": key, "name": name}), account), account)


def _texts(file: Location, roles: Mapping[str, str], kind: str, account: Account) -> Rows:
    """What the list of entities says of one kind; an empty text says nothing."""
    rows = _rows(file, {"entity": roles["entity"], "text": roles[kind]})
    text = rows.values["text"]
    given = pc.is_valid(text) if types.is_integer(text.type) else pc.not_equal(text, "")
    rows = _as_text(rows.where(mask(given)), account)
    kinds = pa.array([kind] * len(rows), pa.string())
    return rows.holding(rows.values.append_column("kind", kinds))


def _by_split(rows: Rows, account: Account) -> dict[str, Rows]:
    names = rows.values["split"]
    known = pa.array([name for given in SPLIT_NAMES.values() for name in given])

    def detail(position: int) -> str:
        return (
            f"split {shown(names[position].as_py())}: expected one of {', '.join(known.tolist())}"
        )

    rows = account.keep(rows, mask(pc.is_in(names, value_set=known)), "unknown_split", detail)
    return {
        split: rows.where(mask(pc.is_in(rows.values["split"], value_set=pa.array(given))))
        for split, given in SPLIT_NAMES.items()
    }


def _column_names(file: Location) -> list[str]:
    names: list[str] = _opened(file).schema_arrow.names
    return names


def _opened(file: Location) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(file.open_input(), page_checksum_verification=True)
    except _FAULTS as error:
        raise UserError(f"{file}: not a readable Parquet file: {error}") from error


def _rows(file: Location, columns: Mapping[str, str]) -> Rows:
    """Some columns of a file under other names.

    Raises:
        UserError: one is missing or of a type that is neither text nor whole number.
    """
    names = _column_names(file)
    for name in columns.values():
        if name not in names:
            raise UserError(f"{file}: no column {name!r}; it has {', '.join(names)}")
    try:
        table = _opened(file).read(sorted(set(columns.values())))
    except _FAULTS as error:
        raise UserError(f"{file}: not a readable Parquet file: {error}") from error
    chosen = {name: _plain(file, column, table[column]) for name, column in columns.items()}
    number = np.arange(1, table.num_rows + 1, dtype=np.int64)
    return Rows(file, number, pa.table(chosen), "row")


def _plain(file: Location, name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column without its dictionary."""
    kind = column.type
    if types.is_dictionary(kind):
        kind = kind.value_type
        column = column.cast(kind)
    if not (types.is_integer(kind) or types.is_string(kind) or types.is_large_string(kind)):
        raise UserError(f"{file}: column {name!r} is {kind}, expected texts or whole numbers")
    return column


def _as_text(rows: Rows, account: Account) -> Rows:
    """The rows as texts; those with nothing or no UTF-8 in a column are set aside."""
    account.rows_in += len(rows)
    names = rows.values.column_names
    for name in names:
        rows = _readable(rows, name, account)
    return rows.holding(rows.values.cast(pa.schema([(name, pa.string()) for name in names])))


def _readable(rows: Rows, name: str, account: Account) -> Rows:
    """The rows that hold a text or a number in a column."""
    filled = mask(pc.is_valid(rows.values[name]))
    rows = account.keep(rows, filled, "no_value", lambda _: f"{name} is null")
    if types.is_integer(rows.values.schema.field(name).type):
        return rows
    raw = rows.values[name].cast(pa.large_binary()).combine_chunks()

    def detail(position: int) -> str:
        return f"{name} {shown(raw[position].as_py())}: not UTF-8 text"

    return account.keep(rows, utf8(raw), "not_utf8", detail)


PARQUET = GraphReader(parquet_files, read_parquet, takes_lists=True)
