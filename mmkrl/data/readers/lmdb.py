"""Format ``lmdb``: a Caffe LMDB, one ``Datum`` a picture, with its target vector if it has one.

On the local disk it is cut into ranges of keys. From S3 it is one unit, downloaded first: an LMDB
is read through a memory map.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lmdb
from google.protobuf.message import DecodeError

from mmkrl.data.readers.config import SourceConfig
from mmkrl.data.readers.datum import datum_class, picture
from mmkrl.data.readers.inputs import InputFile, byte_blocks, input_files
from mmkrl.data.readers.lmdb_process import DamagedLmdb, LmdbRecord, Query, records
from mmkrl.data.readers.reader import Reader
from mmkrl.data.readers.records import ReadUnit, Record, UnitSize, Unreadable, record, too_large
from mmkrl.errors import UserError
from mmkrl.io.storage import Location, locate

_DATA = "data.mdb"
_TARGET = "float_data"
_ROOM_BYTES = 1 << 20  # what a datum may hold beside its picture


class LmdbReader(Reader):
    """Reads the records of an LMDB in the order of their keys."""

    def files(self) -> list[InputFile]:
        """The data file; the lock file is no part of the input."""
        location = locate(self.source.path)
        return input_files(location / _DATA if location.is_dir() else location)

    def plan(self, size: UnitSize) -> Iterator[ReadUnit]:
        """Neighbouring keys, in units of about the same size."""
        ((file, entry),) = self.files()
        if file.remote:
            yield ReadUnit(file)
            return
        entries = _entries(file)
        mean_bytes = entry.size_bytes // max(entries, 1)
        rows = max(1, min(size.rows, size.bytes // max(mean_bytes, 1)))
        keys = _first_keys(Query(file.path, key="", count=entries, step=rows, max_bytes=-1))
        for number, key in enumerate(keys):
            start = number * rows
            stop = start + rows if number + 1 < len(keys) else None
            yield ReadUnit(file, start, stop, key=key)

    def read(self, unit: ReadUnit, max_bytes: int) -> Iterator[Record | Unreadable]:
        """The records of neighbouring keys."""
        done, last = 0, "its first key"
        with _local(unit.path) as file:
            total = (_entries(file) if unit.stop is None else unit.stop) - unit.start
            limit = max_bytes + _ROOM_BYTES
            try:
                for entry in records(Query(file.path, unit.key.hex(), total, 1, limit)):
                    last = entry.key.decode(errors="backslashreplace")
                    yield _record(f"{unit.path}#{last}", entry, self.source, max_bytes)
                    done += 1
                if done < total:
                    raise DamagedLmdb("its pages hold fewer records than it counts")
            except DamagedLmdb as error:
                detail = f"after {last}: {total - done} of {total} records are lost: {error}"
                yield Unreadable(str(unit.path), "damaged_lmdb", detail)


def _first_keys(query: Query) -> list[bytes]:
    """Every key that begins a unit; records behind a damaged page belong to the last unit."""
    keys = []
    with contextlib.suppress(DamagedLmdb):  # reading the last unit tells
        for entry in records(query):
            keys.append(entry.key)  # noqa: PERF401 - those before the damage count
    return keys or [b""]


def _record(
    uri: str, entry: LmdbRecord, source: SourceConfig, max_bytes: int
) -> Record | Unreadable:
    if entry.size_bytes > len(entry.value):
        return too_large(uri, entry.size_bytes, max_bytes)
    try:
        datum: Any = datum_class().FromString(entry.value)
        image = picture(datum)
    except (DecodeError, ValueError) as error:
        return Unreadable(uri, "bad_datum", str(error))
    label = datum.label if datum.HasField("label") else None
    targets = {_TARGET: tuple(datum.float_data)} if datum.float_data else {}
    return record(uri, image, {"label": label}, source, targets)


def _entries(file: Location) -> int:
    """How many records the LMDB says it has, after checking that all of it is there.

    Raises:
        UserError: no LMDB, or only a part of one.
    """
    try:
        environment = lmdb.open(file.path, subdir=False, readonly=True, lock=False)
    except lmdb.Error as error:
        raise UserError(f"{file}: not a readable LMDB: {error}") from error
    with environment:
        needed = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
        if file.size_bytes() < needed:
            raise UserError(
                f"{file}: cut off: {file.size_bytes()} bytes of {needed}; copy the LMDB again"
            )
        return int(environment.stat()["entries"])


@contextlib.contextmanager
def _local(file: Location) -> Iterator[Location]:
    """The file on the local disk."""
    if not file.remote:
        yield file
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / _DATA
        with copy.open("wb") as target:
            target.writelines(byte_blocks(file))
        yield locate(copy)
