"""Identity by content: ids of byte strings, digests of tables.

A table's digest depends on its rows alone, not on their order nor on how they are cut into
files, so two runs with other file sizes can be compared. It is an additive multiset hash
(Bellare & Micciancio 1997): the sum of the rows' SHA-256 values modulo 2^256. It guards against
accidents, not against an adversary who chooses rows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

_MODULUS = 1 << 256
_ID_HEX = 32


def content_id(data: bytes) -> str:
    """The id of a byte string: the first 128 bits of its SHA-256, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()[:_ID_HEX]


def fingerprint(value: Any) -> str:
    """SHA-256 of a JSON-serialisable value, independent of the order of its keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def table_digest(table: pa.Table) -> str:
    """The order-independent digest of a table's rows, in hexadecimal."""
    columns = [_cells(table.column(name)) for name in sorted(table.column_names)]
    total = 0
    for row in zip(*columns, strict=True):
        digest = hashlib.sha256()
        for cell in row:
            digest.update(len(cell).to_bytes(8, "little"))
            digest.update(cell)
        total += int.from_bytes(digest.digest(), "little")
    return f"{total % _MODULUS:064x}"


def combine(digests: Iterable[str]) -> str:
    """The digest of the union of tables, from their digests."""
    return f"{sum(int(d, 16) for d in digests) % _MODULUS:064x}"


def _cells(column: pa.ChunkedArray) -> Iterable[bytes]:
    """Each value of a column as bytes."""
    kind = column.type
    if pa.types.is_binary(kind):
        return (value.as_buffer() for value in column)
    if pa.types.is_string(kind):
        return (value.as_buffer() for value in column)
    if pa.types.is_fixed_size_list(kind):
        return _vector_cells(column, kind)
    return (repr(value).encode() for value in column.to_pylist())


def _vector_cells(column: pa.ChunkedArray, kind: pa.FixedSizeListType) -> Iterable[bytes]:
    width = kind.list_size * kind.value_type.bit_width // 8
    for chunk in column.chunks:
        raw = chunk.flatten().to_numpy(zero_copy_only=False).tobytes()
        yield from (raw[i : i + width] for i in range(0, len(raw), width))
