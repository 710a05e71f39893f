"""Readers of foreign formats: what a crawl left on disk, as records.

A reader cuts its source into units of work that are known before anything is read, and yields
for each row either a record or the reason why there is none. It never decides what is a usable
picture: :mod:`mmkrl.data.ingest` does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mmkrl.data.readers import (
    coco,
    flickr,
    folder,
    img2dataset,
    karpathy,
    listed,
    lmdb,
    parquet,
    webdataset,
)
from mmkrl.data.readers.config import SourceConfig
from mmkrl.data.readers.inputs import InputFile, pieces
from mmkrl.data.readers.records import Cut, ReadUnit, Record, Unreadable
from mmkrl.errors import UserError
from mmkrl.io.storage import Location

__all__ = [
    "FORMATS",
    "ReadUnit",
    "Reader",
    "Record",
    "SourceConfig",
    "Unreadable",
    "listing",
    "plan",
    "read",
]
_HASHED_BYTES = 1 << 30  # sources up to this size in all are identified by content


@dataclass(frozen=True)
class Reader:
    """How a format is read.

    Attributes:
        files: The files that are the input.
        plan: The units of work, from the source's number, the source and the size of a unit.
        read: The rows of a unit; pictures above a number of bytes are not read.
    """

    files: Callable[[SourceConfig], list[InputFile]]
    plan: Callable[[int, SourceConfig, Cut], Iterator[ReadUnit]]
    read: Callable[[ReadUnit, SourceConfig, int], Iterator[Record | Unreadable]]


FORMATS = {
    "parquet": Reader(parquet.files, parquet.plan, parquet.read),
    "folder": Reader(folder.files, folder.plan, listed.read_listed),
    "webdataset": Reader(webdataset.files, webdataset.plan, webdataset.read),
    "img2dataset": Reader(img2dataset.files, img2dataset.plan, img2dataset.read),
    "lmdb": Reader(lmdb.files, lmdb.plan, lmdb.read),
    "coco": Reader(listed.annotated_files, coco.plan, listed.read_listed),
    "karpathy": Reader(listed.annotated_files, karpathy.plan, listed.read_listed),
    "flickr": Reader(listed.annotated_files, flickr.plan, listed.read_listed),
}


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
    cut = Cut(unit_rows, unit_mb << 20)
    units = [
        unit
        for number, source in enumerate(sources)
        for unit in FORMATS[source.format].plan(number, source, cut)
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
    files = [found for source in sources for found in FORMATS[source.format].files(source)]
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
    return FORMATS[source.format].read(unit, source, max_bytes)


def _content(file: Location) -> str:
    digest = hashlib.sha256()
    for piece in pieces(file):
        digest.update(piece)
    return digest.hexdigest()
