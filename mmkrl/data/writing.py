"""Writing one unit of a dataset: table files of bounded size first, the unit's record last.

Rows come in batches. A batch becomes a row group, so that a reader can take a part of a file, and
all tables of a batch go to files of the same name: the texts of an images file lie in the texts
file that is called like it. Files depend on the batches alone, so a repeated unit gives the same
bytes.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import types

from mmkrl.data.digest import combine, table_digest
from mmkrl.data.manifest import FileEntry, UnitRecord
from mmkrl.data.schemas import TableSchema, features, schema_of
from mmkrl.errors import UserError
from mmkrl.io.storage import Location

UNITS = "_units"  # the folder of the units' records
PART_BYTES = 64 << 20  # a part that holds this much takes no further batch
_DEAD_LETTERS = "dead_letters"


class UnitWriter:
    """Publishes one unit, a batch of rows at a time.

    Files are called ``TABLE/part-UNIT.parquet``, and ``TABLE/part-UNIT-PART.parquet`` where the
    rows of the unit need several.
    """

    def __init__(self, location: Location, unit: int) -> None:
        self._location = location
        self._unit = unit
        self._files: list[FileEntry] = []
        self._dead_letters = 0
        self._part = _Part()
        self._parts = 0

    def add(self, tables: Mapping[str, pa.Table]) -> None:
        """Take a batch: rows by table name; empty tables write nothing.

        Raises:
            UserError: a table does not fit its schema.
        """
        checked = {name: _schema(name, table).check(table) for name, table in tables.items()}
        size = sum(table.nbytes for table in checked.values())
        if self._part.size_bytes and self._part.size_bytes + size > PART_BYTES:
            self._publish(f"{self._unit:06d}-{self._parts:03d}")
        self._part.add(checked, size)
        if _DEAD_LETTERS in checked:
            self._dead_letters += checked[_DEAD_LETTERS].num_rows

    def finish(
        self, *, rows_in: int, rows_out: int, stats: Mapping[str, float] | None = None
    ) -> UnitRecord:
        """Publish what is left, then the unit's record.

        Args:
            rows_in: Input rows this unit stands for.
            rows_out: Rows that were used; ``rows_in - rows_out`` must be dead letters.
            stats: Measurements to keep.

        Raises:
            UserError: rows are unaccounted for.
        """
        if rows_in != rows_out + self._dead_letters:
            raise UserError(
                f"{self._location} unit {self._unit}: {rows_in} rows came in, {rows_out} went out "
                f"and {self._dead_letters} are dead letters; every row must be one or the other"
            )
        single = f"{self._unit:06d}"
        self._publish(f"{single}-{self._parts:03d}" if self._parts else single)
        record = UnitRecord(
            unit=self._unit,
            rows_in=rows_in,
            rows_out=rows_out,
            dead_letters=self._dead_letters,
            files=sorted(self._files, key=lambda entry: entry.path),
            stats=dict(stats or {}),
        )
        publish_record(self._location, record)
        return record

    def _publish(self, name: str) -> None:
        self._files += self._part.publish(self._location, name)
        self._part = _Part()
        self._parts += 1


def publish_record(location: Location, record: UnitRecord) -> None:
    """Make a unit whose files are all there count as published."""
    (location / UNITS / f"{record.unit:06d}.json").write_bytes(record.model_dump_json().encode())


class _Part:
    """Files of the same name, one a table, that are being written."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self._files: dict[str, _TableFile] = {}

    def add(self, tables: Mapping[str, pa.Table], size_bytes: int) -> None:
        self.size_bytes += size_bytes
        for name, table in tables.items():
            if table.num_rows:
                file = self._files.setdefault(name, _TableFile(table.schema))
                file.add(table)

    def publish(self, location: Location, name: str) -> list[FileEntry]:
        return [
            file.publish(location, table, f"{table}/part-{name}.parquet")
            for table, file in self._files.items()
        ]


class _TableFile:
    """A Parquet file in memory; each table that is added is a row group."""

    def __init__(self, schema: pa.Schema) -> None:
        # Pictures are all different: a dictionary of them would be a copy of them.
        repeating = [field.name for field in schema if types.is_string(field.type)]
        self._sink = io.BytesIO()
        self._writer = pq.ParquetWriter(
            self._sink, schema, compression="zstd", use_dictionary=repeating
        )
        self._rows = 0
        self._digests: list[str] = []

    def add(self, table: pa.Table) -> None:
        self._writer.write_table(table)
        self._rows += table.num_rows
        self._digests.append(table_digest(table))

    def publish(self, location: Location, table: str, path: str) -> FileEntry:
        self._writer.close()
        data = self._sink.getbuffer()
        (location / path).write_bytes(data)
        return FileEntry(
            path=path,
            table=table,
            rows=self._rows,
            bytes=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            digest=combine(self._digests),
        )


def _schema(name: str, table: pa.Table) -> TableSchema:
    """The table's schema; that of features depends on the backbones and their dimensions."""
    if name != "features":
        return schema_of(name)
    vectors = {
        field.name: field.type.list_size
        for field in table.schema
        if types.is_fixed_size_list(field.type)
    }
    if not vectors:
        raise UserError(f"table 'features': expected columns of vectors, got {table.schema.names}")
    return features(vectors)
