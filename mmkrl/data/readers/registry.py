"""All sources of a corpus, each with the reader of its format."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace

from mmkrl.data.readers.config import READERS, SourceConfig
from mmkrl.data.readers.inputs import byte_blocks
from mmkrl.data.readers.reader import Reader
from mmkrl.data.readers.records import ReadUnit, Record, UnitSize, Unreadable
from mmkrl.errors import UserError
from mmkrl.io.storage import Location

_HASHED_BYTES = 1 << 30  # sources up to this size in all are identified by content


def reader(source: SourceConfig) -> Reader:
    """What reads a source."""
    made: Reader = READERS.get(source.format)(source)
    return made


def plan(sources: list[SourceConfig], *, unit_rows: int, unit_mb: int = 64) -> list[ReadUnit]:
    """The units of work of all sources, in a stable order.

    Args:
        sources: What to read.
        unit_rows: Most rows in one unit, where the format can be cut.
        unit_mb: Most MiB of pictures in one unit, where the format can be cut.

    Raises:
        UserError: a source does not exist, holds nothing to read or has not the expected form.
    """
    if not sources:
        raise UserError("ingest.sources is empty: name at least one folder or file")
    size = UnitSize(unit_rows, unit_mb << 20)
    units = [
        replace(unit, source=number)
        for number, source in enumerate(sources)
        for unit in reader(source).plan(size)
    ]
    if not units:
        raise UserError("the files of ingest.sources have no rows")
    return units


def listing(sources: list[SourceConfig]) -> list[tuple[str, int, str]]:
    """Name, size and content of every source file: the identity of the input.

    Up to 1 GiB in all, content is the file's hash, so the same files elsewhere or unpacked anew
    are the same input. Above that it is the modification time.

    Raises:
        UserError: a source does not exist.
    """
    files = [file for source in sources for file in reader(source).files()]
    hashed = sum(entry.size_bytes for _, entry in files) <= _HASHED_BYTES
    return [
        (file.name, entry.size_bytes, _content(file) if hashed else str(entry.modified_ns))
        for file, entry in files
    ]


def read(
    unit: ReadUnit, source: SourceConfig, *, max_bytes: int = 32 << 20
) -> Iterator[Record | Unreadable]:
    """The rows of one unit.

    Args:
        unit: What to read.
        source: The source it belongs to.
        max_bytes: Largest encoded picture; larger ones are told, not read.
    """
    return reader(source).read(unit, max_bytes)


def _content(file: Location) -> str:
    digest = hashlib.sha256()
    for data in byte_blocks(file):
        digest.update(data)
    return digest.hexdigest()
