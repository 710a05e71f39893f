"""Reading an LMDB in a process of its own, ``python -m mmkrl.data.readers.lmdb_process FD QUERY``.

The library trusts its file: a damaged page can end the process that follows it. Records come over
a pipe one at a time, so those before the damage arrive. It imports little, to start fast.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection, Pipe
from typing import NamedTuple

import lmdb

_SIZE_BYTES = 8


@dataclass(frozen=True)
class Query:
    """Which records to read.

    Attributes:
        path: The data file, on the local disk.
        key: Key of the first record, in hexadecimal; empty for the first there is.
        count: Most records to look at.
        step: 1 for every record, 2 for every other, and so on.
        max_bytes: Values above this size are left out.
    """

    path: str
    key: str
    count: int
    step: int
    max_bytes: int


class LmdbRecord(NamedTuple):
    """A record.

    Attributes:
        key: Its key.
        size_bytes: Size of its value.
        value: The value; empty if it is too large.
    """

    key: bytes
    size_bytes: int
    value: bytes


class DamagedLmdb(Exception):  # noqa: N818 - it names the data, not a fault of the program
    """The LMDB cannot be read on."""


def records(query: Query) -> Iterator[LmdbRecord]:
    """The records that are asked for.

    Raises:
        DamagedLmdb: after the records that could be read.
    """
    receiver, sender = Pipe(duplex=False)
    with receiver:
        with sender:
            process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", __name__, str(sender.fileno()), json.dumps(asdict(query))],
                pass_fds=[sender.fileno()],
                env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
                stdin=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
        try:
            with contextlib.suppress(EOFError, OSError):  # the end, perhaps in the middle
                while True:
                    key, value = receiver.recv_bytes(), receiver.recv_bytes()
                    size = int.from_bytes(value[:_SIZE_BYTES], "little")
                    yield LmdbRecord(key, size, value[_SIZE_BYTES:])
            _, told = process.communicate()
        finally:
            process.kill()
            process.wait()
    if process.returncode < 0:
        name = signal.Signals(-process.returncode).name
        raise DamagedLmdb(f"the process that read it ended by {name}")
    if process.returncode:
        raise DamagedLmdb(told.decode(errors="replace").strip().rpartition("\n")[2])


def _main(pipe: int, query: Query) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with (
        Connection(pipe, readable=False) as sender,
        lmdb.open(query.path, subdir=False, readonly=True, lock=False) as environment,
        environment.begin(buffers=True) as transaction,
    ):
        cursor = transaction.cursor()
        if not (cursor.set_key(bytes.fromhex(query.key)) if query.key else cursor.first()):
            return
        for key, value in itertools.islice(cursor.iternext(), 0, query.count, query.step):
            sent = value if len(value) <= query.max_bytes else b""
            sender.send_bytes(bytes(key))
            sender.send_bytes(len(value).to_bytes(_SIZE_BYTES, "little") + sent)


if __name__ == "__main__":
    try:
        _main(int(sys.argv[1]), Query(**json.loads(sys.argv[2])))
    except lmdb.Error as error:
        sys.exit(str(error))
