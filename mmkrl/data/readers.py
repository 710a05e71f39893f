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

import pyarrow.parquet as pq

from mmkrl.config import Section
from mmkrl.errors import UserError
from mmkrl.storage import Entry, Location, locate

_PARQUET_COLUMNS = ["uri", "source", "image", "alt", "title", "keywords", "license"]
_CAPTIONS_FILE = "captions.jsonl"
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
    """

    source: int
    path: Location
    start: int
    stop: int


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
        UserError: a source does not exist or holds nothing to read.
    """
    units = [
        unit
        for number, source in enumerate(sources)
        for unit in _PLANNERS[source.format](number, locate(source.path), unit_rows)
    ]
    if not units:
        raise UserError("ingest.sources is empty: name at least one folder or Parquet file")
    return units


def listing(sources: list[SourceConfig]) -> list[tuple[str, str, int, int]]:
    """Name, size and modification time of every source file: the identity of the input.

    Raises:
        UserError: a source does not exist.
    """
    return [
        (source.path, entry.name, entry.size_bytes, entry.modified_ns)
        for source in sources
        for entry in _entries(locate(source.path))
    ]


def read(unit: ReadUnit, source: SourceConfig) -> Iterator[Record | Unreadable]:
    """The rows of one unit."""
    return _READERS[source.format](unit, source)


def _entries(location: Location) -> list[Entry]:
    if location.is_file():
        return [Entry("", location.size_bytes(), 0)]
    if not location.is_dir():
        raise UserError(f"ingest source {location}: no such file or folder")
    return list(location.files())


def _plan_parquet(number: int, location: Location, _: int) -> Iterator[ReadUnit]:
    files = [
        location / entry.name if entry.name else location
        for entry in _entries(location)
        if not entry.name or entry.name.endswith(".parquet")
    ]
    if not files:
        raise UserError(f"ingest source {location}: no .parquet files in this folder")
    for file in files:
        groups = _parquet(file).metadata.num_row_groups
        yield from (ReadUnit(number, file, group, group + 1) for group in range(groups))


def _parquet(file: Location) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(file.open_input())
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: not a readable Parquet file: {error}") from error


def _read_parquet(unit: ReadUnit, source: SourceConfig) -> Iterator[Record | Unreadable]:
    file = _parquet(unit.path)
    missing = set(_PARQUET_COLUMNS) - set(file.schema_arrow.names)
    if missing:
        raise UserError(f"{unit.path}: no column {sorted(missing)}; expected {_PARQUET_COLUMNS}")
    rows = file.read_row_group(unit.start, columns=_PARQUET_COLUMNS).to_pylist()
    for number, row in enumerate(rows):
        uri = row["uri"] or f"{unit.path}#{unit.start}:{number}"
        if row["image"] is None:
            yield Unreadable(uri, "no_image", "the image column is null")
        else:
            yield _record(uri, row["image"], row, source)


def _plan_folder(number: int, location: Location, unit_rows: int) -> Iterator[ReadUnit]:
    names = _image_names(location)
    if not names:
        raise UserError(f"ingest source {location}: no files in this folder")
    for start in range(0, len(names), unit_rows):
        yield ReadUnit(number, location, start, min(start + unit_rows, len(names)))


def _image_names(location: Location) -> list[str]:
    return [entry.name for entry in _entries(location) if entry.name != _CAPTIONS_FILE]


def _read_folder(unit: ReadUnit, source: SourceConfig) -> Iterator[Record | Unreadable]:
    captions = _captions(unit.path)
    for name in _image_names(unit.path)[unit.start : unit.stop]:
        location = unit.path / name
        try:
            data = location.read_bytes()
        except OSError as error:
            yield Unreadable(str(location), "io", str(error))
            continue
        yield _record(str(location), data, captions.get(name, {}), source)


def _captions(folder: Location) -> dict[str, dict[str, Any]]:
    file = folder / _CAPTIONS_FILE
    if not file.is_file():
        return {}
    captions = {}
    for number, line in enumerate(file.read_text().splitlines(), start=1):
        try:
            row = json.loads(line)
            unknown = set(row) - _CAPTIONS_KEYS
            captions[row["file"]] = row
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{file} line {number}: expected a JSON object with 'file'") from error
        if unknown:
            raise UserError(
                f"{file} line {number}: unknown keys {sorted(unknown)}; "
                f"valid: {sorted(_CAPTIONS_KEYS)}"
            )
    return captions


def _record(uri: str, image: bytes, row: dict[str, Any], source: SourceConfig) -> Record:
    single = [(kind, row.get(kind)) for kind in ("alt", "title")]
    texts = [*single, *(("keyword", word) for word in row.get("keywords") or ())]
    return Record(
        uri=uri,
        source=row.get("source") or source.name,
        image=image,
        texts=tuple((kind, text) for kind, text in texts if text),
        license=row.get("license") or "",
    )


_PLANNERS: dict[str, Callable[[int, Location, int], Iterator[ReadUnit]]] = {
    "parquet": _plan_parquet,
    "folder": _plan_folder,
}
_READERS: dict[str, Callable[[ReadUnit, SourceConfig], Iterator[Record | Unreadable]]] = {
    "parquet": _read_parquet,
    "folder": _read_folder,
}
