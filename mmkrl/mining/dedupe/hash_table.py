"""The hashes of a corpus as arrays, read in bounded batches, and what steps of work leave."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from mmkrl.arrays import UInt64Array
from mmkrl.data.dataset import write_file
from mmkrl.data.manifest import UnitRecord
from mmkrl.io.storage import Location
from mmkrl.mining.dedupe.hamming import WORDS

_BATCH_ROWS = 500_000
Arrays: TypeAlias = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class HashTable:
    """The hashes of a corpus, and how the work on them is cut.

    Attributes:
        location: The dataset that holds them.
        parts: The files of table ``hashes``.
        unit_rows: Rows a task may hold.
        partitions: In how many partitions the rows are taken.
    """

    location: Location
    parts: tuple[str, ...]
    unit_rows: int
    partitions: int

    @classmethod
    def of(cls, location: Location, hashed: Sequence[UnitRecord], unit_rows: int) -> HashTable:
        """The hashes that these units published."""
        parts = (file.path for unit in hashed for file in unit.files if file.table == "hashes")
        rows = sum(unit.rows_out for unit in hashed)
        return cls(location, tuple(parts), unit_rows, partitions(rows, unit_rows))

    def read(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """The rows in batches of several hundred thousand."""
        batch: list[pa.Table] = []
        for path in self.parts:
            file = (self.location / path).open_input()
            batch.append(pq.read_table(file, columns=list(columns)))
            if sum(table.num_rows for table in batch) >= _BATCH_ROWS:
                yield pa.concat_tables(batch)
                batch = []
        if batch:
            yield pa.concat_tables(batch)


def partitions(rows: int, unit_rows: int) -> int:
    """How many partitions of at most about ``unit_rows`` there are; at least one."""
    return max(1, math.ceil(rows / unit_rows))


def words(column: pa.ChunkedArray) -> UInt64Array:
    """A column of hashes as rows of 64-bit words."""
    parts = [
        np.frombuffer(chunk.buffers()[1], np.uint64).reshape(-1, WORDS)[chunk.offset :][
            : len(chunk)
        ]
        for chunk in column.chunks
        if len(chunk)
    ]
    return np.concatenate([np.empty((0, WORDS), np.uint64), *parts])


def column(hash_NW: UInt64Array) -> pa.Array:
    """Rows of words as a column of hashes."""
    width = WORDS * hash_NW.itemsize
    data = pa.py_buffer(np.ascontiguousarray(hash_NW))
    return pa.Array.from_buffers(pa.binary(width), len(hash_NW), [None, data])


def save(folder: Location, number: int, arrays: Arrays) -> None:
    """Leave a task's arrays for the next step."""
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)
    write_file(folder, _name(number), file.getvalue())


def load(folder: Location, number: int) -> Arrays:
    """The arrays that a task left."""
    arrays: Arrays = np.load(io.BytesIO((folder / _name(number)).read_bytes()), allow_pickle=False)
    return arrays


def _name(number: int) -> str:
    return f"part-{number:06d}.npz"
