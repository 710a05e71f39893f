"""The child's side of :mod:`mmkrl.data.isolation.parent`.

It is started as ``python -m mmkrl.data.isolation.child FDS``.

Rows travel through a nameless file in memory that both sides have open; over the connection go
only their lengths, and JSON, because unpickling would trust whoever sent it.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import resource
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeAlias

from mmkrl.data.pictures import UnusablePicture

Work: TypeAlias = Callable[[bytes], bytes]

_GRACE_SECONDS = 10.0  # after the parent's time limit, for a child whose parent is gone
_DETAIL_CHARACTERS = 500


@dataclass(frozen=True)
class Spec:
    """What the parent wants done; see :class:`mmkrl.data.isolation.parent.Isolated`."""

    factory: str
    arguments: dict[str, Any]
    seconds: float
    memory_mb: int


def write_rows(shared: int, rows: Iterable[bytes], start: int) -> None:
    """Put rows one after another into the shared file."""
    # pwrite and pread, since both processes share one open file, and so one file position.
    for row in rows:
        os.pwrite(shared, row, start)
        start += len(row)


def read_rows(shared: int, lengths: Iterable[int], start: int) -> Iterator[bytes]:
    """The rows that lie one after another in the shared file."""
    for length in lengths:
        yield os.pread(shared, length, start)
        start += length


def main(connection: int, shared: int) -> None:
    """Answer until the parent closes the connection."""
    with Connection(connection) as pipe, open(os.devnull, "w") as nowhere:
        spec = Spec(**json.loads(pipe.recv_bytes()))
        module, _, name = spec.factory.partition(":")
        work: Work = getattr(importlib.import_module(module), name)(**spec.arguments)
        _limit_memory(spec.memory_mb)
        pipe.send_bytes(b"ready")
        while True:
            try:
                lengths = json.loads(pipe.recv_bytes())
            except EOFError:
                return
            # If the parent is gone, nobody ends a decoder that hangs in C code without ever giving
            # back the interpreter's lock; this watchdog is a thread that does not need it.
            faulthandler.dump_traceback_later(
                spec.seconds + _GRACE_SECONDS, exit=True, file=nowhere
            )
            results = [_result(work, row) for row in read_rows(shared, lengths, 0)]
            write_rows(shared, (value for value, _, _ in results), sum(lengths))
            answer = [(len(value), reason, detail) for value, reason, detail in results]
            pipe.send_bytes(json.dumps(answer).encode())
            faulthandler.cancel_dump_traceback_later()


def _result(work: Work, row: bytes) -> tuple[bytes, str, str]:
    """Value, reason and detail of a row."""
    try:
        return work(row), "", ""
    except UnusablePicture as fault:
        return b"", fault.reason, fault.detail[:_DETAIL_CHARACTERS]
    except MemoryError:
        return b"", "out_of_memory", "it needs more memory than a row may take"


def _limit_memory(memory_mb: int) -> None:
    """Let allocations fail beyond what the libraries hold already, where the system can."""
    status = Path("/proc/self/status")
    if not status.exists():
        return
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
    held = int(lines["VmData"].split()[0]) << 10
    # RLIMIT_DATA counts what VmData counts, private writable memory; a limit of the address space
    # would count mapped libraries and files, too.
    limit = held + (memory_mb << 20)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


if __name__ == "__main__":
    main(*(int(text) for text in sys.argv[1:]))
