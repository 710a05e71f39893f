"""Format ``img2dataset``: what that program wrote, as tar shards or as Parquet files.

A tar shard has a Parquet file beside it with a row for every address it was asked for; those that
were not downloaded, or are not in the tar, become dead letters.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import pyarrow as pa

from mmkrl.data.readers import parquet
from mmkrl.data.readers.config import Option, Role, SourceConfig
from mmkrl.data.readers.inputs import InputFile, concurrently, input_files
from mmkrl.data.readers.reader import Reader
from mmkrl.data.readers.records import ReadUnit, Record, Row, UnitSize, Unreadable
from mmkrl.data.readers.webdataset import sample_record, samples
from mmkrl.errors import UserError
from mmkrl.io.storage import Location, locate

_TAR, _PARQUET = ".tar", parquet.ENDING
_PICTURES = ("jpg", "png", "webp")
_STATUS = {name: name for name in ("status", "error_message")}
_SUCCESS = "success"


class Img2DatasetReader(Reader):
    """Reads what img2dataset wrote."""

    takes = frozenset[Option]({"columns"})
    usual_names: ClassVar[Mapping[Role, str]] = {"uri": "url"}

    def files(self) -> list[InputFile]:
        """The tar and Parquet files of the source."""
        location = locate(self.source.path)
        if location.is_file():
            raise UserError(
                f"ingest source {location}: a file; 'img2dataset' needs its output folder"
            )
        return input_files(location, _TAR, _PARQUET)

    def plan(self, size: UnitSize) -> Iterator[ReadUnit]:
        """One unit a tar shard; neighbouring row groups of Parquet files that hold pictures."""
        files = [file for file, _ in self.files()]
        tars = {file.path for file in files if file.name.endswith(_TAR)}

        def units(file: Location) -> list[ReadUnit]:
            if file.path in tars:
                return [ReadUnit(file)]
            tar = _sibling(file, _TAR)
            if tar.path in tars:
                return []
            metadata = parquet.read_footer(file)
            schema = metadata.schema.to_arrow_schema()
            if _picture(schema, self.source) is None:
                return [ReadUnit(tar)]  # its rows are told one by one to be missing
            self._columns(file, schema)
            return parquet.units_of_groups(file, metadata, size)

        return concurrently(units, files)

    def read(self, unit: ReadUnit, max_bytes: int) -> Iterator[Record | Unreadable]:
        """The rows of one unit."""
        if unit.path.name.endswith(_TAR):
            yield from self._read_shard(unit, max_bytes)
            return
        for address, row in parquet.rows(unit, lambda schema: self._columns(unit.path, schema)):
            if isinstance(row, Unreadable):
                yield row
            elif row["status"] != _SUCCESS:
                yield _not_downloaded(address, row)
            else:
                yield parquet.row_record(address, row, self.source, max_bytes)

    def _read_shard(self, unit: ReadUnit, max_bytes: int) -> Iterator[Record | Unreadable]:
        seen = set()
        for sample in samples(unit.path, self.source.columns.get("image"), max_bytes):
            if isinstance(sample, Unreadable):
                yield sample
            else:
                seen.add(sample.key.rpartition("/")[2])
                yield sample_record(sample, self)
        table = _sibling(unit.path, _PARQUET)
        if not table.is_file():
            return
        wanted = {"key": "key", "uri": self.names["uri"], **_STATUS}
        for address, row in parquet.rows(ReadUnit(table), lambda _: wanted):
            if isinstance(row, Unreadable):
                yield row
            elif row["status"] != _SUCCESS:
                yield _not_downloaded(address, row)
            elif row["key"] not in seen:
                detail = f"{unit.path} has no sample {row['key']!r}"
                yield Unreadable(row["uri"] or address, "not_in_tar", detail)

    def _columns(self, file: Location, schema: pa.Schema) -> dict[str, str]:
        """The columns to read, by role, and those that say how the download went."""
        missing = set(_STATUS) - set(schema.names)
        if missing:
            raise UserError(f"{file}: no column {sorted(missing)}; was it written by img2dataset?")
        names = self.names
        names.pop("image", None)
        picture = _picture(schema, self.source)
        if picture is not None:
            names["image"] = picture
        needed = {"image", *self.source.columns}
        return {**parquet.columns_by_role(file, schema, names, needed), **_STATUS}


def _not_downloaded(address: str, row: Row) -> Unreadable:
    detail = f"{row['status']}: {row['error_message']}"
    return Unreadable(row.get("uri") or address, "not_downloaded", detail)


def _picture(schema: pa.Schema, source: SourceConfig) -> str | None:
    """The column of the pictures, if there is one."""
    names = [source.columns.get("image"), *_PICTURES]
    return next((name for name in names if name in schema.names), None)


def _sibling(file: Location, ending: str) -> Location:
    """The file of the same shard with the other ending."""
    return file.parent / (file.name.rpartition(".")[0] + ending)
