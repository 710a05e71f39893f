"""A tar shard as a stream of members, read once from first to last.

Python's :mod:`tarfile` takes a damaged header for the end of the archive and says nothing; here
everything but a proper end mark is a fault.
"""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, cast

from mmkrl.data.readers.inputs import open_stream
from mmkrl.io.storage import Location

ENDINGS = (".tar", ".tar.gz", ".tgz")
_FAULTS = (tarfile.TarError, zlib.error, EOFError, OSError)
_BLOCK_BYTES = 1 << 20


class DamagedTar(Exception):  # noqa: N818 - it names the data, not a fault of the program
    """A tar that cannot be read to its end.

    Attributes:
        after_member: All members given so far are whole; otherwise the last one is not.
    """

    def __init__(self, detail: str, *, after_member: bool) -> None:
        super().__init__(detail)
        self.after_member = after_member


@dataclass(frozen=True)
class Member:
    """One member of a tar; its bytes can be read until the next one is asked for."""

    name: str
    size_bytes: int
    regular: bool
    _tar: tarfile.TarFile
    _info: tarfile.TarInfo

    def read(self) -> bytes:
        """The member's bytes.

        Raises:
            DamagedTar: the tar ends inside it.
        """
        try:
            opened = self._tar.extractfile(self._info)
            return opened.read() if opened else b""
        except _FAULTS as error:
            detail = f"inside {self.name!r} at byte {self._info.offset}: {error}"
            raise DamagedTar(detail, after_member=False) from error


class _Unpacked(gzip.GzipFile):
    """A packed tar, unpacked; what comes before the damage is given before it is told."""

    def read(self, size: int | None = -1) -> bytes:
        return self.read1(-1 if size is None else size)


class _Header(tarfile.TarInfo):
    """A header that is not taken for the end when it is damaged."""

    @classmethod
    def fromtarfile(cls, tar: tarfile.TarFile) -> _Header:
        try:
            return super().fromtarfile(tar)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined] # the proper end
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"no valid header and no end mark: {error}") from error


def members(file: Location) -> Iterator[Member]:
    """Every member but folders, in order.

    Raises:
        UserError: there is no file, or the storage failed.
        DamagedTar: the file is cut off or holds something else.
    """
    with open_stream(file) as raw:
        stream = _Unpacked(fileobj=cast(IO[bytes], raw)) if file.name.endswith("gz") else raw
        where = "at byte 0"
        try:
            with tarfile.open(
                fileobj=stream, mode="r|", bufsize=_BLOCK_BYTES, tarinfo=_Header
            ) as tar:
                while (info := tar.next()) is not None:
                    tar.members.clear()  # type: ignore[attr-defined] # tarfile remembers every member
                    where = f"after {info.name!r} at byte {info.offset}"
                    if not info.isdir():
                        yield Member(info.name, info.size, info.isreg(), tar, info)
                _check_end(tar)
        except _FAULTS as error:
            raise DamagedTar(f"{where}: {error}", after_member=True) from error


def _check_end(tar: tarfile.TarFile) -> None:
    """Read on: whatever follows the end mark would vanish."""
    while data := tar.fileobj.read(_BLOCK_BYTES):
        if data.strip(b"\0"):
            raise tarfile.ReadError("more data follows the end mark")
