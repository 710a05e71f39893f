"""Readers of foreign formats: what a crawl left on disk, as records.

A reader cuts its source into units of work that are known before anything is read, and yields
for each row either a record or the reason why there is none. It never decides what is a usable
picture: :mod:`mmkrl.data.ingest` does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from mmkrl.config import Section
from mmkrl.data.digest import content_id
from mmkrl.errors import UserError
from mmkrl.storage import Entry, Location, locate

_TEXT_KINDS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_null)
_BYTES_KINDS = (pa.types.is_binary, pa.types.is_large_binary)
_LIST_KINDS = (pa.types.is_list, pa.types.is_large_list, pa.types.is_null)
_PARQUET_COLUMNS = {
    "uri": _TEXT_KINDS,
    "source": _TEXT_KINDS,
    "image": _BYTES_KINDS,
    "alt": _TEXT_KINDS,
    "title": _TEXT_KINDS,
    "keywords": _LIST_KINDS,
    "license": _TEXT_KINDS,
}
_CAPTIONS_FILE = "captions.jsonl"
_PARQUET = ".parquet"
_HASHED_BYTES = 1 << 30  # sources up to this size in all are identified by content
_CAPTIONS_KEYS = {"file", "alt", "title", "keywords", "source", "license"}


class SourceConfig(Section):
    """One place to read images and their texts from."""

    path: str
    """Folder (or one Parquet file), local or ``s3://``."""
    format: Literal["parquet", "folder"]
    """``parquet``: columns uri, source, image, alt, title, keywords, license. ``folder``: image
    files, with an optional captions.jsonl (file, alt, title, keywords, source, license)."""
    name: str = "web"
    """The web source to record for files that do not name their own."""


@dataclass(frozen=True)
class ReadUnit:
    """A piece of a source: a Parquet row group, or a run of files of a folder.

    Attributes:
        source: Position of the source in the configuration.
        path: The Parquet file, or the folder.
        start: First row group or first file.
        stop: One past the last.
        names: The files of a folder, as they were listed when the work was planned.
    """

    source: int
    path: Location
    start: int
    stop: int
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Record:
    """One image as the web gave it: nothing about it has been checked."""

    uri: str
    source: str
    image: bytes
    texts: tuple[tuple[str, str], ...]  # (kind, text)
    license: str


@dataclass(frozen=True)
class Unreadable:
    """A row that could not be read at all."""

    uri: str
    reason: str
    detail: str


def plan(sources: list[SourceConfig], *, unit_rows: int) -> list[ReadUnit]:
    """The units of work of all sources, in a stable order.

    Args:
        sources: What to read.
        unit_rows: Files of a folder to put into one unit.

    Raises:
        UserError: a source does not exist, holds nothing to read or has not the expected form.
    """
    if not sources:
        raise UserError("ingest.sources is empty: name at least one folder or Parquet file")
    units = [
        unit
        for number, source in enumerate(sources)
        for unit in _PLANNERS[source.format](number, locate(source.path), unit_rows)
    ]
    if not units:
        raise UserError("the Parquet files of ingest.sources have no rows")
    return units


def listing(sources: list[SourceConfig]) -> list[tuple[str, int, str]]:
    """Name, size and content of every source file: the identity of the input.

    Up to 1 GiB in all, content is the file's hash, so the same files elsewhere or unpacked anew
    are the same input. Above that it is the modification time.

    Raises:
        UserError: a source does not exist.
    """
    files = [
        (location / entry.name if entry.name else location, entry)
        for source in sources
        for location in [locate(source.path)]
        for entry in _entries(location)
        if source.format == "folder" or not entry.name or entry.name.endswith(_PARQUET)
    ]
    hashed = sum(entry.size_bytes for _, entry in files) <= _HASHED_BYTES
    return [
        (
            file.name,
            entry.size_bytes,
            content_id(file.read_bytes()) if hashed else str(entry.modified_ns),
        )
        for file, entry in files
    ]


def read(unit: ReadUnit, source: SourceConfig) -> Iterator[Record | Unreadable]:
    """The rows of one unit."""
    return _READERS[source.format](unit, source)


def _entries(location: Location) -> list[Entry]:
    if location.is_file():
        info = location.filesystem.get_file_info(location.path)
        return [Entry("", info.size, info.mtime_ns or 0)]
    if not location.is_dir():
        raise UserError(f"ingest source {location}: no such file or folder")
    return list(location.files())


def _plan_parquet(number: int, location: Location, _: int) -> Iterator[ReadUnit]:
    files = [
        location / entry.name if entry.name else location
        for entry in _entries(location)
        if not entry.name or entry.name.endswith(_PARQUET)
    ]
    if not files:
        raise UserError(f"ingest source {location}: no .parquet files in this folder")
    for file in files:
        opened = _parquet(file)
        _check_columns(file, opened.schema_arrow)
        groups = opened.metadata.num_row_groups if opened.metadata.num_rows else 0
        yield from (ReadUnit(number, file, group, group + 1) for group in range(groups))


def _parquet(file: Location) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(file.open_input())
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: not a readable Parquet file: {error}") from error


def _check_columns(file: Location, schema: pa.Schema) -> None:
    missing = _PARQUET_COLUMNS.keys() - set(schema.names)
    if missing:
        raise UserError(f"{file}: no column {sorted(missing)}; expected {[*_PARQUET_COLUMNS]}")
    for name, kinds in _PARQUET_COLUMNS.items():
        kind = schema.field(name).type
        if not any(fits(kind) for fits in kinds):
            names = [fits.__name__.removeprefix("is_") for fits in kinds]
            raise UserError(f"{file}: column {name!r} is {kind}, expected {' or '.join(names)}")


def _read_parquet(unit: ReadUnit, source: SourceConfig) -> Iterator[Record | Unreadable]:
    table = _parquet(unit.path).read_row_group(unit.start, columns=[*_PARQUET_COLUMNS])
    for number in range(table.num_rows):
        place = f"{unit.path}#{unit.start}:{number}"
        try:
            row = {name: table.column(name)[number].as_py() for name in _PARQUET_COLUMNS}
        except UnicodeDecodeError as error:
            yield Unreadable(place, "not_utf8", str(error))
            continue
        uri = row["uri"] or place
        if row["image"] is None:
            yield Unreadable(uri, "no_image", "the image column is null")
        else:
            yield _record(uri, row["image"], row, source)


def _plan_folder(number: int, location: Location, unit_rows: int) -> Iterator[ReadUnit]:
    if location.is_file():
        raise UserError(f"ingest source {location}: a file; the format 'folder' needs a folder")
    names = tuple(entry.name for entry in _entries(location) if entry.name != _CAPTIONS_FILE)
    if not names:
        raise UserError(f"ingest source {location}: no files in this folder")
    _captions(location)  # its faults are told before any work starts
    for start in range(0, len(names), unit_rows):
        stop = min(start + unit_rows, len(names))
        yield ReadUnit(number, location, start, stop, names[start:stop])


def _read_folder(unit: ReadUnit, source: SourceConfig) -> Iterator[Record | Unreadable]:
    captions = _captions(unit.path)
    for name in unit.names:
        location = unit.path / name
        try:
            data = location.read_bytes()
        except (OSError, UserError) as error:
            yield Unreadable(str(location), "io", str(error))
            continue
        yield _record(str(location), data, captions.get(name, {}), source)


def _captions(folder: Location) -> dict[str, dict[str, Any]]:
    file = folder / _CAPTIONS_FILE
    if not file.is_file():
        return {}
    captions = {}
    lines = file.read_text().split("\n")  # splitlines() would also cut at U+2028 inside a text
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise UserError(f"{file} line {number}: not JSON: {error}") from error
        fault = _caption_fault(row)
        if fault:
            raise UserError(f"{file} line {number}: {fault}")
        captions[row["file"]] = row
    return captions


def _caption_fault(row: Any) -> str:
    """What is wrong with a line of captions.jsonl; empty if nothing is."""
    if not isinstance(row, dict) or "file" not in row:
        return "expected a JSON object with 'file'"
    unknown = row.keys() - _CAPTIONS_KEYS
    if unknown:
        return f"unknown keys {sorted(unknown)}; valid: {sorted(_CAPTIONS_KEYS)}"
    for key, value in row.items():
        if value is None and key != "file":
            continue
        if key == "keywords":
            if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
                return f"keywords = {value!r}: expected a list of texts"
        elif not isinstance(value, str):
            return f"{key} = {value!r}: expected a text"
    return ""


def _record(uri: str, image: bytes, row: dict[str, Any], source: SourceConfig) -> Record:
    single = [(kind, row.get(kind)) for kind in ("alt", "title")]
    texts = [*single, *(("keyword", word) for word in row.get("keywords") or ())]
    return Record(
        uri=uri,
        source=_storable(row.get("source") or source.name),
        image=image,
        texts=tuple((kind, _storable(text)) for kind, text in texts if text),
        license=_storable(row.get("license") or ""),
    )


def _storable(text: str) -> str:
    """The text without lone surrogates, which JSON allows and UTF-8 cannot hold."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


_PLANNERS: dict[str, Callable[[int, Location, int], Iterator[ReadUnit]]] = {
    "parquet": _plan_parquet,
    "folder": _plan_folder,
}
_READERS: dict[str, Callable[[ReadUnit, SourceConfig], Iterator[Record | Unreadable]]] = {
    "parquet": _read_parquet,
    "folder": _read_folder,
}
