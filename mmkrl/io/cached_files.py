"""Files on the local disk that are made once and then read by every process of the machine."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path


def cached_file(path: Path, write: Callable[[Path], None]) -> None:
    """Make a file that is not there; others see all of it or nothing.

    Args:
        path: Where it belongs; its name tells what it holds.
        write: Writes it to a temporary path.
    """
    if path.is_file():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".tmp-{os.getpid()}-{uuid.uuid4().hex}{path.suffix}")
    try:
        write(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def local_folder(name: str) -> Path:
    """A folder on this machine's disk for what can be made again, such as mapped features."""
    return Path(tempfile.gettempdir()) / f"mmkrl-{os.getuid()}" / name
