"""Records on the local disk that wait until the tracking server is back.

Each run that could not be recorded has a file of JSON lines, in the order in which they were made,
and beside it a folder with the files that belong to it. A line is on the disk before the job goes
on; a last line that a kill cut off is left out. Whoever holds a file has its lock, so that a run is
never delivered by two processes, nor while its job still writes.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, TypeAlias

from mmkrl.data.digest import fingerprint
from mmkrl.io.storage import locate

Record: TypeAlias = dict[str, Any]
"""What is recorded: ``kind`` and what that kind needs; a file's bytes are apart."""

_SUFFIX = ".jsonl"
_KEY_HEX = 16


class Spooled:
    """The waiting records of one run, locked for this process.

    Args:
        path: Its file.
        stream: The file, opened to append and locked.
    """

    def __init__(self, path: Path, stream: IO[bytes]) -> None:
        self._path = path
        self._stream = stream

    def append(self, record: Record, data: bytes | None = None) -> None:
        """Keep a record, and the bytes of its file, on the disk."""
        # The bytes first: a record on the disk never names a file that is not there.
        if data is not None:
            name = f"{time.time_ns()}"
            self._files.mkdir(exist_ok=True)
            locate(self._files / name).write_bytes(data)
            record = record | {"data": name}
        self._stream.write(json.dumps(record).encode() + b"\n")
        self._stream.flush()
        os.fsync(self._stream.fileno())

    def records(self) -> Iterator[tuple[Record, bytes | None]]:
        """All records in order, with the bytes of those that have a file."""
        for line in self._path.read_bytes().splitlines(keepends=True):
            if line.endswith(b"\n"):
                record = json.loads(line)
                name = record.pop("data", None)
                yield record, (self._files / name).read_bytes() if name else None

    def remove(self) -> None:
        """Forget it all; what it held was delivered."""
        shutil.rmtree(self._files, ignore_errors=True)
        self._path.unlink()
        self.close()

    def close(self) -> None:
        """Give up the lock; the records stay."""
        self._stream.close()

    @property
    def _files(self) -> Path:
        return self._path.with_suffix(".files")


def spool_of(folder: Path, identity: Mapping[str, str]) -> Spooled:
    """The waiting records of a run, those of an earlier process as well.

    Args:
        folder: The spool.
        identity: What identifies the run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    key = fingerprint(dict(identity))[:_KEY_HEX]
    there = sorted(folder.glob(f"*-{key}{_SUFFIX}"))
    path = there[0] if there else folder / f"{time.time_ns()}-{key}{_SUFFIX}"
    return _locked(path, wait=True) or spool_of(folder, identity)


def waiting(folder: Path) -> Iterator[Spooled]:
    """Every run's waiting records, the oldest first; those in use elsewhere are left out."""
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        held = _locked(path, wait=False)
        if held is not None:
            with contextlib.closing(held):
                yield held


def count(folder: Path) -> int:
    """The number of runs that wait."""
    return len(list(folder.glob(f"*{_SUFFIX}")))


def _locked(path: Path, *, wait: bool) -> Spooled | None:
    """A file with its lock; None if another process has it, or removed it meanwhile."""
    stream = path.open("ab")
    try:
        fcntl.flock(stream, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        stream.close()
        return None
    # Between opening and locking, the process that had the lock may have delivered and removed the
    # file: records appended to a file without a name would be lost.
    if os.fstat(stream.fileno()).st_nlink == 0:
        stream.close()
        return None
    _end_last_line(path, stream)
    return Spooled(path, stream)


def _end_last_line(path: Path, stream: IO[bytes]) -> None:
    """Take off a line that a kill cut, so that the next one starts anew."""
    data = path.read_bytes()
    if data and not data.endswith(b"\n"):
        stream.truncate(data.rfind(b"\n") + 1)
