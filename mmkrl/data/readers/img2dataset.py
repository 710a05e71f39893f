"""Format ``img2dataset``: what that program wrote, as tar shards or as Parquet files.

A tar shard has a Parquet file beside it with a row for every address it was asked for; those that
were not downloaded, or are not in the tar, become dead letters.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from mmkrl.data.readers import parquet
from mmkrl.data.readers.config import SourceConfig
from mmkrl.data.readers.inputs import InputFile, concurrently, input_files
from mmkrl.data.readers.records import Cut, ReadUnit, Record, Row, Unreadable
from mmkrl.data.readers.webdataset import sample_record, samples
from mmkrl.errors import UserError
from mmkrl.io.storage import Location, locate

_TAR, _PARQUET = ".tar", parquet.ENDING
_PICTURES = ("jpg", "png", "webp")
_STATUS = {name: name for name in ("status", "error_message")}
_SUCCESS = "success"


def files(source: SourceConfig) -> list[InputFile]:
    """The tar and Parquet files of a source."""
    location = locate(source.path)
    if location.is_file():
        raise UserError(f"ingest source {location}: a file; 'img2dataset' needs its output folder")
    return input_files(location, _TAR, _PARQUET)


def plan(number: int, source: SourceConfig, cut: Cut) -> Iterator[ReadUnit]:
    """One unit a tar shard; runs of row groups of the Parquet files that hold pictures."""
    found = [file for file, _ in files(source)]
    tars = {file.path for file in found if file.name.endswith(_TAR)}

    def units(file: Location) -> list[ReadUnit]:
        if file.path in tars:
            return [ReadUnit(number, file)]
        tar = _sibling(file, _TAR)
        if tar.path in tars:
            return []
        metadata = parquet.read_footer(file)
        schema = metadata.schema.to_arrow_schema()
        if _picture(schema, source) is None:
            return [ReadUnit(number, tar)]  # its rows are told one by one to be missing
        _columns(file, schema, source)
        runs = parquet.runs(metadata, cut)
        return [ReadUnit(number, file, start, stop) for start, stop in runs]

    return concurrently(units, found)


def read(unit: ReadUnit, source: SourceConfig, max_bytes: int) -> Iterator[Record | Unreadable]:
    """The rows of one unit."""
    if unit.path.name.endswith(_TAR):
        yield from _read_shard(unit, source, max_bytes)
        return
    for place, row in parquet.rows(unit, lambda schema: _columns(unit.path, schema, source)):
        if isinstance(row, Unreadable):
            yield row
        elif row["status"] != _SUCCESS:
            yield _not_downloaded(place, row)
        else:
            yield parquet.row_record(place, row, source, max_bytes)


def _read_shard(
    unit: ReadUnit, source: SourceConfig, max_bytes: int
) -> Iterator[Record | Unreadable]:
    seen = set()
    for sample in samples(unit.path, source, max_bytes):
        if isinstance(sample, Unreadable):
            yield sample
        else:
            seen.add(sample.key.rpartition("/")[2])
            yield sample_record(sample, source)
    table = _sibling(unit.path, _PARQUET)
    if not table.is_file():
        return
    wanted = {"key": "key", "uri": source.names()["uri"], **_STATUS}
    for place, row in parquet.rows(ReadUnit(unit.source, table), lambda _: wanted):
        if isinstance(row, Unreadable):
            yield row
        elif row["status"] != _SUCCESS:
            yield _not_downloaded(place, row)
        elif row["key"] not in seen:
            detail = f"{unit.path} has no sample {row['key']!r}"
            yield Unreadable(row["uri"] or place, "not_in_tar", detail)


def _not_downloaded(place: str, row: Row) -> Unreadable:
    detail = f"{row['status']}: {row['error_message']}"
    return Unreadable(row.get("uri") or place, "not_downloaded", detail)


def _columns(file: Location, schema: pa.Schema, source: SourceConfig) -> dict[str, str]:
    """The columns to read, by role, and those that say how the download went."""
    missing = set(_STATUS) - set(schema.names)
    if missing:
        raise UserError(f"{file}: no column {sorted(missing)}; was it written by img2dataset?")
    picture = {"image": _picture(schema, source)}
    named = source.model_copy(update={"columns": {**source.columns, **picture}})
    return {**parquet.columns_by_role(file, schema, named), **_STATUS}


def _picture(schema: pa.Schema, source: SourceConfig) -> str | None:
    """The column of the pictures, if there is one."""
    names = [source.columns.get("image"), *_PICTURES]
    return next((name for name in names if name in schema.names), None)


def _sibling(file: Location, ending: str) -> Location:
    """The file of the same shard with the other ending."""
    return file.parent / (file.name.rpartition(".")[0] + ending)
