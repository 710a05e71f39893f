"""Versioned datasets: a folder of Parquet files and a manifest that is written last.

Writers produce numbered *units* in any order, on any machine; each unit's record is published
after its files, so work that was cut off is recognised by what is there and goes on. Readers
refuse what was not published or has changed.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mmkrl.data.digest import combine, fingerprint
from mmkrl.data.manifest import (
    FORMAT_VERSION,
    MANIFEST_NAME,
    FileEntry,
    Manifest,
    TableEntry,
    UnitRecord,
    read_manifest,
)
from mmkrl.data.schemas import VERSIONS, schema_of
from mmkrl.data.writing import UNITS, UnitWriter, publish_record
from mmkrl.errors import UserError
from mmkrl.io.storage import Entry, Location

_READS_AT_A_TIME = 16  # of small records, whose reading from a store is mostly waiting
_FULL_CHECK_BYTES = 4 << 30  # above this, files are hashed as they are read instead of on opening


def write_unit(
    location: Location,
    unit: int,
    tables: Mapping[str, pa.Table],
    *,
    rows_in: int,
    rows_out: int,
    stats: Mapping[str, float] | None = None,
) -> UnitRecord:
    """Publish one unit whose tables fit into memory; :class:`UnitWriter` takes larger ones.

    Args:
        location: The dataset's folder.
        unit: Number of the unit; it names the files, so a repeated unit replaces itself.
        tables: Rows by table name; empty tables write no file.
        rows_in: Input rows this unit stands for.
        rows_out: Rows that were used; ``rows_in - rows_out`` must be dead letters.
        stats: Measurements to keep.

    Raises:
        UserError: a table does not fit its schema, or rows are unaccounted for.
    """
    writer = UnitWriter(location, unit)
    writer.add(tables)
    return writer.finish(rows_in=rows_in, rows_out=rows_out, stats=stats)


def finished_units(location: Location) -> dict[int, UnitRecord]:
    """The units already published, by number."""
    folder = location / UNITS

    def read(entry: Entry) -> UnitRecord:
        return UnitRecord.model_validate_json((folder / entry.name).read_bytes())

    with ThreadPoolExecutor(_READS_AT_A_TIME) as pool:
        return {record.unit: record for record in pool.map(read, folder.files())}


def copy_unit(source: Location, target: Location, record: UnitRecord) -> None:
    """Take over a published unit from another dataset, unchanged."""
    for entry in record.files:
        (target / entry.path).write_bytes(_checked_bytes(source, entry))
    publish_record(target, record)


def write_file(location: Location, path: str, data: bytes) -> FileEntry:
    """Publish a file that is not part of a table (a report, a model) and describe it."""
    (location / path).write_bytes(data)
    return FileEntry(path=path, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


@dataclass(frozen=True)
class Origin:
    """Where a dataset comes from.

    Attributes:
        job: The job's name.
        key: Identity of the job's work: configuration and inputs.
        config: The resolved configuration.
        inputs: Digest by input name.
        commit: Version of the code, empty when unknown.
    """

    job: str
    key: str
    config: dict[str, Any]
    inputs: dict[str, str]
    commit: str


def publish(
    location: Location,
    origin: Origin,
    units: Sequence[UnitRecord],
    *,
    files: Sequence[FileEntry] = (),
    notes: dict[str, Any] | None = None,
) -> Manifest:
    """Make the dataset exist: write its manifest over finished units and other files."""
    parts = [entry for unit in units for entry in unit.files]
    tables = _totals(parts)
    # The digest is of content: tables count by their rows, however these are spread over files, and
    # neither the time nor the commit counts. The same work elsewhere has the same digest.
    content = {name: [entry.version, entry.digest] for name, entry in tables.items()}
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        created=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        rows_in=sum(unit.rows_in for unit in units),
        rows_out=sum(unit.rows_out for unit in units),
        dead_letters=sum(unit.dead_letters for unit in units),
        tables=tables,
        files=[*parts, *files],
        digest=fingerprint([content, sorted((f.path, f.sha256) for f in files)]),
        notes=notes or {},
        **vars(origin),
    )
    # Last of all: a folder without a manifest is work in progress, which every reader refuses.
    (location / MANIFEST_NAME).write_bytes(manifest.model_dump_json(indent=1).encode())
    return manifest


@dataclass(frozen=True)
class Dataset:
    """A published dataset, open for reading."""

    location: Location
    manifest: Manifest

    @property
    def digest(self) -> str:
        """Hash over the dataset's content."""
        return self.manifest.digest

    def rows(self, table: str) -> int:
        """Number of rows of a table; 0 if this dataset has none."""
        entry = self.manifest.tables.get(table)
        return entry.rows if entry else 0

    def files(self, table: str) -> list[FileEntry]:
        """The files of a table, in their stable order."""
        return [entry for entry in self.manifest.files if entry.table == table]

    def read(self, entry: FileEntry, columns: Sequence[str] | None = None) -> pa.Table:
        """One file's rows, after checking that the file is the published one."""
        return read_table(self.location, entry, columns)

    def read_bytes(self, entry: FileEntry) -> bytes:
        """One file's bytes.

        Raises:
            UserError: the file has changed since it was published.
        """
        return _checked_bytes(self.location, entry)

    def file(self, path: str) -> FileEntry:
        """The entry of a file by its path inside the dataset.

        Raises:
            UserError: the dataset has no such file.
        """
        for entry in self.manifest.files:
            if entry.path == path:
                return entry
        raise UserError(f"{self.location} has no file {path!r}")

    def iterate(self, table: str, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """A table a file at a time, so that memory stays bounded."""
        for entry in self.files(table):
            yield self.read(entry, columns)

    def table(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """A whole table in memory: for small tables (relationships, entities) only."""
        parts = list(self.iterate(name, columns))
        if parts:
            return pa.concat_tables(parts)
        schema = schema_of(name).arrow
        chosen = [schema.field(column) for column in columns] if columns else list(schema)
        return pa.schema(chosen).empty_table()


def read_table(
    location: Location, entry: FileEntry, columns: Sequence[str] | None = None
) -> pa.Table:
    """The rows of one file of the dataset at a location; workers need no more of it.

    Raises:
        UserError: the file has changed since it was published.
    """
    data = _checked_bytes(location, entry)
    return pq.read_table(pa.BufferReader(data), columns=list(columns) if columns else None)


def read_rows(
    location: Location, entry: FileEntry, start: int, stop: int, columns: Sequence[str]
) -> pa.Table:
    """Rows ``start`` to ``stop`` of one file, reading only the row groups they lie in.

    The file's hash is not compared, since that would read all of it; who reads images checks
    that their bytes have the hash which is their id.
    """
    with (location / entry.path).open_input() as file:
        opened = pq.ParquetFile(file)
        groups = [opened.metadata.row_group(n).num_rows for n in range(opened.num_row_groups)]
        ends = np.cumsum([0, *groups])
        first = int(np.searchsorted(ends, start, side="right")) - 1
        last = int(np.searchsorted(ends, stop, side="left"))
        table = opened.read_row_groups(range(first, last), columns=list(columns))
    return table.slice(start - ends[first], stop - start)


def open_dataset(location: Location) -> Dataset:
    """Open a published dataset, checking that it is whole and unchanged.

    Sizes are always compared. Contents are compared now for datasets up to 4 GiB and otherwise
    as each file is read.

    Raises:
        UserError: no manifest, another format or schema version, or a changed file.
    """
    source = location / MANIFEST_NAME
    if not source.is_file():
        raise UserError(
            f"{location} is not a dataset: it has no {MANIFEST_NAME} (the job that writes it has "
            "not finished; run it again)"
        )
    manifest = read_manifest(source)
    _check_versions(source, manifest)
    dataset = Dataset(location, manifest)
    _check_files(dataset)
    return dataset


def _check_versions(source: Location, manifest: Manifest) -> None:
    for name, entry in manifest.tables.items():
        if entry.version != VERSIONS.get(name):
            raise UserError(
                f"{source}: table {name!r} has schema version {entry.version}, this code reads "
                f"{VERSIONS.get(name)}; make the dataset again with --force"
            )


def _check_files(dataset: Dataset) -> None:
    total = sum(entry.bytes for entry in dataset.manifest.files)
    for entry in dataset.manifest.files:
        location = dataset.location / entry.path
        if not location.is_file():
            raise UserError(_changed(location, "it is missing"))
        if location.size_bytes() != entry.bytes:
            raise UserError(
                _changed(location, f"{location.size_bytes()} bytes instead of {entry.bytes}")
            )
        if total <= _FULL_CHECK_BYTES:
            dataset.read_bytes(entry)


def _checked_bytes(location: Location, entry: FileEntry) -> bytes:
    data = (location / entry.path).read_bytes()
    if hashlib.sha256(data).hexdigest() != entry.sha256:
        raise UserError(_changed(location / entry.path, "its content differs"))
    return data


def _changed(location: Location, how: str) -> str:
    return f"{location} changed after it was published: {how}; make the dataset again with --force"


def _totals(parts: Sequence[FileEntry]) -> dict[str, TableEntry]:
    totals = {}
    for name in sorted({entry.table for entry in parts if entry.table}):
        mine = [entry for entry in parts if entry.table == name]
        totals[name] = TableEntry(
            version=VERSIONS[name],
            rows=sum(entry.rows for entry in mine),
            bytes=sum(entry.bytes for entry in mine),
            digest=combine(entry.digest for entry in mine),
        )
    return totals
