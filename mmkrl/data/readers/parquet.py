"""Format ``parquet``: one row a picture; only the column of the image must be there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import types

from mmkrl.data.readers.config import TEXT_ROLES, Option, Role, SourceConfig
from mmkrl.data.readers.inputs import InputFile, concurrently, input_files
from mmkrl.data.readers.reader import Reader
from mmkrl.data.readers.records import (
    ReadUnit,
    Record,
    Row,
    UnitSize,
    Unreadable,
    record,
    too_large,
)
from mmkrl.errors import UserError
from mmkrl.io.storage import Location, locate

ENDING = ".parquet"
_BATCH_ROWS = 16
_BUFFER_BYTES = 1 << 20  # a column of a row group is read a buffer at a time
_FAULTS = (OSError, pa.ArrowException, EOFError)


class ParquetReader(Reader):
    """Reads the rows of Parquet files."""

    takes = frozenset[Option]({"columns"})

    def files(self) -> list[InputFile]:
        """The Parquet files of the source."""
        return input_files(locate(self.source.path), ENDING)

    def plan(self, size: UnitSize) -> Iterator[ReadUnit]:
        """Neighbouring row groups."""

        def units(file: Location) -> list[ReadUnit]:
            metadata = read_footer(file)
            self._columns(file, metadata.schema.to_arrow_schema())
            return units_of_groups(file, metadata, size)

        return concurrently(units, (file for file, _ in self.files()))

    def read(self, unit: ReadUnit, max_bytes: int) -> Iterator[Record | Unreadable]:
        """The rows of one unit."""
        for address, row in rows(unit, lambda schema: self._columns(unit.path, schema)):
            if isinstance(row, Unreadable):
                yield row
            else:
                yield row_record(address, row, self.source, max_bytes)

    def _columns(self, file: Location, schema: pa.Schema) -> dict[str, str]:
        return columns_by_role(file, schema, self.names, {"image", *self.source.columns})


def read_footer(file: Location) -> pq.FileMetaData:
    """What a Parquet file says of itself.

    Raises:
        UserError: it is none, or the storage failed.
    """
    try:
        with pq.ParquetFile(file.open_input()) as opened:
            return opened.metadata
    except _FAULTS as error:
        raise UserError(f"{file}: not a readable Parquet file: {error}") from error


def units_of_groups(file: Location, metadata: pq.FileMetaData, size: UnitSize) -> list[ReadUnit]:
    """Neighbouring row groups; none for a file without rows."""
    groups = (metadata.row_group(group) for group in range(metadata.num_row_groups))
    sizes = ((group.num_rows, group.total_byte_size) for group in groups)
    ranges = size.ranges(sizes if metadata.num_rows else ())
    return [ReadUnit(file, start, stop) for start, stop in ranges]


def row_record(address: str, row: Row, source: SourceConfig, max_bytes: int) -> Record | Unreadable:
    """The record of a row that holds its own picture."""
    uri, image = row.get("uri") or address, row["image"]
    if image is None:
        return Unreadable(uri, "no_image", "the image column is null")
    if len(image) > max_bytes:
        return too_large(uri, len(image), max_bytes)
    return record(address, image, row, source)


def rows(
    unit: ReadUnit, choose: Callable[[pa.Schema], dict[str, str]]
) -> Iterator[tuple[str, dict[str, Any] | Unreadable]]:
    """Address and values of every row of a unit.

    Args:
        unit: Row groups of a file.
        choose: The columns to read, by the names their values get.
    """
    file = str(unit.path)
    try:
        opened = pq.ParquetFile(
            unit.path.open_input(), buffer_size=_BUFFER_BYTES, page_checksum_verification=True
        )
    except _FAULTS as error:
        yield file, Unreadable(file, "bad_parquet", str(error))
        return
    with opened:
        columns = choose(opened.schema_arrow)
        missing = set(columns.values()) - set(opened.schema_arrow.names)
        if missing:
            yield file, Unreadable(file, "bad_parquet", f"no column {sorted(missing)}")
            return
        stop = opened.metadata.num_row_groups if unit.stop is None else unit.stop
        for group in range(unit.start, stop):
            yield from _group_rows(opened, unit.path, group, columns)


def _group_rows(
    opened: pq.ParquetFile, file: Location, group: int, columns: dict[str, str]
) -> Iterator[tuple[str, dict[str, Any] | Unreadable]]:
    total, number = opened.metadata.row_group(group).num_rows, 0
    names = sorted(set(columns.values()))
    try:
        for batch in opened.iter_batches(_BATCH_ROWS, row_groups=[group], columns=names):
            for row in range(batch.num_rows):
                address = f"{file}#{group}:{number}"
                try:
                    yield address, {r: batch.column(n)[row].as_py() for r, n in columns.items()}
                except UnicodeDecodeError as error:
                    yield address, Unreadable(address, "not_utf8", str(error))
                number += 1
    except _FAULTS as error:
        address = f"{file}#{group}"
        detail = f"{total - number} of the row group's {total} rows are lost: {error}"
        yield address, Unreadable(address, "bad_row_group", detail)


def columns_by_role(
    file: Location, schema: pa.Schema, names: Mapping[Role, str], needed: AbstractSet[str]
) -> dict[str, str]:
    """The column of every role that the file has.

    Args:
        file: The file, for messages.
        schema: Its columns.
        names: What the column of a role is called.
        needed: Roles whose column must be there.

    Raises:
        UserError: the image column or one that the configuration names is missing, or a column
            is of a type that cannot hold its role.
    """
    missing = {name for role, name in names.items() if role in needed} - set(schema.names)
    if missing:
        raise UserError(f"{file}: no column {sorted(missing)}; it has {schema.names}")
    columns: dict[str, str] = {r: name for r, name in names.items() if name in schema.names}
    for role, name in columns.items():
        kind = schema.field(name).type
        fits = _KINDS[role]
        if not any(check(_plain(kind)) for check in fits):
            kinds = [check.__name__.lstrip("_").removeprefix("is_") for check in fits]
            raise UserError(f"{file}: column {name!r} is {kind}, expected {' or '.join(kinds)}")
    return columns


def _plain(kind: pa.DataType) -> pa.DataType:
    """The type of the values of a dictionary-encoded column."""
    return kind.value_type if types.is_dictionary(kind) else kind


def _is_list_of_string(kind: pa.DataType) -> bool:
    listed = types.is_list(kind) or types.is_large_list(kind)
    return listed and any(check(kind.value_type) for check in _TEXT)


_Check = Callable[[pa.DataType], bool]
_TEXT: tuple[_Check, ...] = (types.is_string, types.is_large_string, types.is_null)
_TEXTS: tuple[_Check, ...] = (*_TEXT, _is_list_of_string)

_KINDS: dict[str, tuple[_Check, ...]] = {
    "image": (types.is_binary, types.is_large_binary),
    **dict.fromkeys(("uri", "source", "license"), _TEXT),
    **dict.fromkeys(TEXT_ROLES, _TEXTS),
    "keyword": (_is_list_of_string, types.is_null),  # "a, b" would be one keyword
    "label": (*_TEXTS, types.is_integer),
}
