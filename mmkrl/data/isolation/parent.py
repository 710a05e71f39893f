"""Work on bytes from outside, in a child process that may crash, hang or run out of memory.

What a decoder does with hostile bytes cannot be promised, so it happens elsewhere: the child has
a limit on memory, the parent a limit on time, and a row that ends the child twice (once in a batch
with others, once alone) is set aside while every other row gets its result.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Pipe
from typing import Any, TypeAlias

from tenacity import retry, retry_if_exception_type, stop_after_attempt

from mmkrl.data.isolation.child import Spec, read_rows, write_rows
from mmkrl.data.pictures import UnusablePicture

_CHILD_MODULE = "mmkrl.data.isolation.child"
_BATCH_ROWS = 16
_BATCH_BYTES = 16 << 20
_STARTS = 3  # attempts
_START_SECONDS = 120.0  # importing libraries on a busy machine
Result: TypeAlias = bytes | UnusablePicture


def shared(
    factory: str, *, seconds: float = 20.0, memory_mb: int = 1024, **arguments: Any
) -> Isolated:
    """This process's child for some work: starting one takes as long as a thousand pictures.

    Args:
        factory: See :class:`Isolated`, as the others.
        seconds: Time a row may take.
        memory_mb: Memory the child may take for its rows.
        arguments: Keyword arguments of the factory.
    """
    return _shared(factory, seconds, memory_mb, tuple(sorted(arguments.items())))


@functools.cache
def _shared(
    factory: str, seconds: float, memory_mb: int, arguments: tuple[tuple[str, Any], ...]
) -> Isolated:
    child = Isolated(factory, dict(arguments), seconds, memory_mb)
    atexit.register(child.close)
    return child


@dataclass
class Isolated:
    """A function from bytes to bytes, in a child process of its own.

    Attributes:
        factory: ``module:name`` of a callable that makes the function; it may raise
            :class:`UnusablePicture` for rows it refuses.
        arguments: Keyword arguments of the factory; JSON values.
        seconds: Time a row may take.
        memory_mb: Memory the child may take for its rows, in MiB.
    """

    factory: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 20.0
    memory_mb: int = 1024
    _child: _Child | None = field(default=None, init=False, repr=False)

    def map(self, rows: Sequence[bytes]) -> Iterator[Result]:
        """The result of every row, in order: bytes, or the reason why there are none.

        Reasons of its own, beside those of the function: ``killed_decoder`` (the process died),
        ``timeout``.
        """
        for batch in _batches(rows):
            results = self._ask(batch)
            if not isinstance(results, UnusablePicture):
                yield from results
                continue
            for row in batch:  # one of them is the culprit: each alone
                alone = self._ask([row])
                yield from [alone] if isinstance(alone, UnusablePicture) else alone

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.end()
            self._child = None

    def _ask(self, batch: Sequence[bytes]) -> list[Result] | UnusablePicture:
        """Results of a batch, or what ended the child."""
        if self._child is None:
            self._child = _start(
                Spec(self.factory, dict(self.arguments), self.seconds, self.memory_mb)
            )
        try:
            return self._child.ask(batch, self.seconds)
        except UnusablePicture as fault:
            self.close()
            return fault


class _NotStartedError(RuntimeError):
    """A child ended before it was ready."""


@retry(
    retry=retry_if_exception_type(_NotStartedError), stop=stop_after_attempt(_STARTS), reraise=True
)
def _start(spec: Spec) -> _Child:
    """A child that is ready; one that is killed while it starts is no reason to fail."""
    return _Child(spec)


class _Child:
    """The running process, and the file in memory that both sides share."""

    def __init__(self, spec: Spec) -> None:
        self._shared = _memory_file()
        self._pipe, theirs = Pipe()
        descriptors = [theirs.fileno(), self._shared]
        with theirs:
            # A fresh interpreter and no fork, in whose child locks that this process's threads hold
            # would stay locked. One thread for libraries: every core may have such a child.
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", _CHILD_MODULE, *map(str, descriptors)],
                pass_fds=descriptors,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
                stdin=subprocess.DEVNULL,
            )
        try:
            self._pipe.send_bytes(json.dumps(vars(spec)).encode())
            self._answer(_START_SECONDS)
        except (EOFError, OSError) as error:
            ending = self._how_it_ended()
            self.end()
            raise _NotStartedError(
                f"{spec.factory}: its process did not start: {ending}"
            ) from error

    def ask(self, batch: Sequence[bytes], seconds: float) -> list[Result]:
        """Results of a batch.

        Raises:
            UnusablePicture: the process died, or took longer than ``seconds``.
        """
        # A whole batch has the time of one row. Rows that are well take a small share of it; where
        # they do not, each gets that time alone.
        lengths = [len(row) for row in batch]
        write_rows(self._shared, batch, 0)
        try:
            self._pipe.send_bytes(json.dumps(lengths).encode())
            answers = json.loads(self._answer(seconds))
        except TimeoutError as error:
            raise UnusablePicture("timeout", f"not done after {seconds:g} s") from error
        except (EOFError, OSError) as error:
            raise UnusablePicture("killed_decoder", self._how_it_ended()) from error
        values = read_rows(self._shared, (length for length, _, _ in answers), sum(lengths))
        return [
            UnusablePicture(reason, detail) if reason else value
            for value, (_, reason, detail) in zip(values, answers, strict=True)
        ]

    def end(self) -> None:
        """Kill it, if it still runs, and wait for it."""
        self._pipe.close()
        self._process.kill()
        self._process.wait()
        os.close(self._shared)

    def _answer(self, seconds: float) -> bytes:
        if not self._pipe.poll(seconds):
            raise TimeoutError
        return self._pipe.recv_bytes()

    def _how_it_ended(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5)
        code = self._process.returncode
        if code is not None and code < 0:
            return f"the process ended by {signal.Signals(-code).name}"
        return f"the process ended with status {code}"


def _memory_file() -> int:
    """A nameless file, in memory where the system can."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("mmkrl")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _batches(rows: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Neighbouring rows, a few at a time; a large row is a batch of its own."""
    batch: list[bytes] = []
    size = 0
    for row in rows:
        if batch and (len(batch) == _BATCH_ROWS or size + len(row) > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(row)
        size += len(row)
    if batch:
        yield batch
