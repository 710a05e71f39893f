"""Work for an isolated process that does what decoders must not do."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from mmkrl.data.pictures import UnusablePicture


def hazard(once: str = "") -> Callable[[bytes], bytes]:
    """Obeys its rows; ``once`` is a file whose first finder dies."""

    def work(row: bytes) -> bytes:
        if once and row == b"die once" and Path(once).exists():
            Path(once).unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        if row == b"die":
            os.kill(os.getpid(), signal.SIGSEGV)
        if row == b"exit":
            os._exit(3)
        if row == b"hang":
            time.sleep(60)
        if row == b"eat":
            return bytes(4 << 30)
        if row == b"refuse":
            raise UnusablePicture("refused", "as asked")
        return row[::-1]

    return work


def late(once: str) -> Callable[[bytes], bytes]:
    """A factory that is killed the first time; ``once`` is a file that tells."""
    if Path(once).exists():
        Path(once).unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    return lambda row: row[::-1]


def broken() -> Callable[[bytes], bytes]:
    """A factory that cannot make its work."""
    raise OSError("no such model")
