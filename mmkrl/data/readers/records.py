"""What a reader is told and what it gives: sources, units of work, records.

Formats name what they know of a picture by *role* (image, uri, caption, ...); one function,
:func:`record`, turns the values of a row into a record, whatever the format.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from mmkrl.data.dead_letters import storable
from mmkrl.data.readers.config import ROLES, TEXT_ROLES, SourceConfig
from mmkrl.io.storage import Location

Row: TypeAlias = Mapping[str, Any]  # what is known of a picture, by role


@dataclass(frozen=True)
class UnitSize:
    """How large a unit of work may be.

    Attributes:
        rows: Most rows.
        bytes: Most bytes of pictures; what cannot be cut may be larger.
    """

    rows: int
    bytes: int

    def ranges(self, parts: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
        """Neighbouring parts put together, as (first, one past the last).

        Args:
            parts: Rows and bytes of each part that cannot be cut.
        """
        start, stop, rows, size = 0, 0, 0, 0
        for more_rows, more_bytes in parts:
            full = rows + more_rows > self.rows or size + more_bytes > self.bytes
            if full and stop > start:
                yield start, stop
                start, rows, size = stop, 0, 0
            stop, rows, size = stop + 1, rows + more_rows, size + more_bytes
        if stop > start:
            yield start, stop


@dataclass(frozen=True)
class ListedFile:
    """A picture file that a folder holds or an annotation file names.

    Attributes:
        name: Path inside the folder.
        size_bytes: Its size; None if the folder has no such file.
        row: What is known of it, by role.
    """

    name: str
    size_bytes: int | None
    row: Row


@dataclass(frozen=True)
class ReadUnit:
    """What is read, checked and published at once.

    Attributes:
        path: The file, or the folder.
        start: First part: a row group of a Parquet file, a record of an LMDB.
        stop: One past the last; None for all there are.
        files: The files of a folder, as they were listed when the work was planned.
        key: Key of the first record of an LMDB; empty for its first.
        source: Index of the source in the configuration.
    """

    path: Location
    start: int = 0
    stop: int | None = None
    files: tuple[ListedFile, ...] = ()
    key: bytes = b""
    source: int = 0


@dataclass(frozen=True)
class Record:
    """One image as the web gave it: nothing about it has been checked."""

    uri: str
    source: str
    image: bytes
    texts: tuple[tuple[str, str], ...]  # (kind, text)
    license: str
    targets: Mapping[str, tuple[float, ...]] = field(default_factory=dict)  # vectors by name


@dataclass(frozen=True)
class Unreadable:
    """A row that could not be read at all."""

    uri: str
    reason: str
    detail: str


def record(
    uri: str,
    image: bytes,
    row: Row,
    source: SourceConfig,
    targets: Mapping[str, tuple[float, ...]] | None = None,
) -> Record | Unreadable:
    """The record of a row; empty texts say nothing, but an empty caption is kept to be counted.

    Args:
        uri: Where the picture is, if the row does not say.
        image: Encoded bytes.
        row: Values by role; the value of a text role is a text, a number or a list of them.
        source: Where the row comes from.
        targets: Vectors by name.
    """
    for role in ROLES[1:]:
        if not _fits(role, row.get(role)):
            detail = f"{role} = {str(row[role])[:100]!r}: expected a text"
            return Unreadable(uri, "bad_metadata", detail)
    texts = ((role, str(text)) for role in TEXT_ROLES for text in _values(row.get(role)))
    return Record(
        uri=storable(row.get("uri") or uri),
        source=storable(row.get("source") or source.name),
        image=image,
        texts=tuple((r, storable(text)) for r, text in texts if text or r == "caption"),
        license=storable(row.get("license") or ""),
        targets=targets or {},
    )


def too_large(uri: str, size_bytes: int, max_bytes: int) -> Unreadable:
    """The row of a picture that is not even read because of its size."""
    return Unreadable(uri, "too_many_bytes", f"{size_bytes} bytes, the limit is {max_bytes}")


def _values(value: Any) -> list[Any]:
    """The values of a text role: none, one or several."""
    values = value if isinstance(value, list) else [value]
    return [one for one in values if one is not None]


def _fits(role: str, value: Any) -> bool:
    if role in TEXT_ROLES:
        return all(isinstance(one, str | int | float) for one in _values(value))
    return value is None or isinstance(value, str)
