"""Paths, local or ``s3://``: reading, listing and atomic publishing.

Everything that touches a file goes through :class:`Location`. It is deliberately not a cache and
knows nothing of datasets. S3 endpoints and credentials come from the standard AWS settings
(environment, profile or instance role).
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.fs as pafs

from mmkrl.errors import UserError
from mmkrl.io import s3

if TYPE_CHECKING:
    from obstore import ObjectMeta

_S3_SCHEME = "s3://"


@dataclass(frozen=True)
class Entry:
    """One listed file: its path relative to the listed folder, its size and its change mark."""

    name: str
    size_bytes: int
    modified_ns: int


@dataclass(frozen=True)
class Location:
    """A file or folder, on the local disk or in an S3 bucket.

    Build one with :func:`locate`; it pickles, so it can travel to workers.

    Attributes:
        path: Absolute local path, or ``bucket/key`` for S3.
        remote: True for S3.
    """

    path: str
    remote: bool

    def __truediv__(self, name: str) -> Location:
        return Location(f"{self.path.rstrip('/')}/{name}", self.remote)

    def __str__(self) -> str:
        return f"{_S3_SCHEME}{self.path}" if self.remote else self.path

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rstrip("/").rsplit("/", 1)[-1]

    @property
    def parent(self) -> Location:
        """The folder that holds this path."""
        return Location(self.path.rstrip("/").rsplit("/", 1)[0], self.remote)

    @property
    def filesystem(self) -> pafs.FileSystem:
        """A pyarrow filesystem for :attr:`path`, for libraries that want one."""
        return s3.arrow_filesystem() if self.remote else pafs.LocalFileSystem()

    @property
    def _object(self) -> s3.Object:
        return s3.Object.of(self.path)

    def entry(self) -> Entry | None:
        """This file's size and change mark, under an empty name; None if there is no file."""
        if self.remote:
            meta = self._object.head()
            return _entry("", meta) if meta else None
        info = pafs.LocalFileSystem().get_file_info(self.path)
        if info.type != pafs.FileType.File:
            return None
        return Entry("", info.size, info.mtime_ns or 0)

    def is_file(self) -> bool:
        """Whether a file is there."""
        return self.entry() is not None

    def is_dir(self) -> bool:
        """Whether a folder (or S3 prefix) is there."""
        return self._object.is_folder() if self.remote else Path(self.path).is_dir()

    def size_bytes(self) -> int:
        """Size of the file.

        Raises:
            UserError: there is no file.
        """
        entry = self.entry()
        if entry is None:
            raise UserError(f"{self}: no such file")
        return entry.size_bytes

    def read_bytes(self) -> bytes:
        """The whole file.

        Raises:
            UserError: there is no file.
        """
        try:
            return self._object.read() if self.remote else Path(self.path).read_bytes()
        except FileNotFoundError as error:
            raise UserError(f"{self}: no such file") from error

    def read_text(self) -> str:
        """The whole file as UTF-8.

        Raises:
            UserError: there is no file, or it holds something else.
        """
        data = self.read_bytes()
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise UserError(f"{self} line {line}: not UTF-8 text") from error

    def open_input(self) -> pa.NativeFile:
        """The file, opened for random access.

        Raises:
            UserError: there is no file.
        """
        try:
            if self.remote:
                return self._object.open()
            return pafs.LocalFileSystem().open_input_file(self.path)
        except FileNotFoundError as error:
            raise UserError(f"{self}: no such file") from error

    def write_bytes(self, data: bytes | memoryview | pa.Buffer) -> None:
        """Publish a file atomically: readers see the old one, none, or all of the new one."""
        if self.remote:
            self._object.write(memoryview(data).cast("B"))
        else:
            _write_local(Path(self.path), data)

    def upload(self, source: Path) -> None:
        """Copy a local file here, atomically, a part at a time."""
        source.stat()  # one that is absent is named
        if self.remote:
            self._object.write(source)
        else:
            _copy_local(source, Path(self.path))

    def files(self) -> Iterator[Entry]:
        """Every file below this folder, by name; temporary files of unfinished writes left out."""
        start = len(self.path.rstrip("/")) + 1
        for entry in sorted(self._listed(start), key=lambda entry: entry.name):
            if not entry.name.rsplit("/", 1)[-1].startswith(".tmp-"):
                yield entry

    def _listed(self, start: int) -> Iterator[Entry]:
        """The files below in no order, named by what follows the ``start`` of their path."""
        if self.remote:
            target = self._object
            for meta in target.below():
                yield _entry(f"{target.bucket}/{meta['path']}"[start:], meta)
            return
        selector = pafs.FileSelector(self.path, recursive=True, allow_not_found=True)
        for info in pafs.LocalFileSystem().get_file_info(selector):
            if info.type == pafs.FileType.File:
                yield Entry(info.path[start:], info.size, info.mtime_ns or 0)

    def folders(self) -> list[str]:
        """Names of the folders directly inside this one."""
        if self.remote:
            return self._object.folders()
        selector = pafs.FileSelector(self.path, recursive=False, allow_not_found=True)
        infos = pafs.LocalFileSystem().get_file_info(selector)
        return sorted(i.base_name for i in infos if i.type == pafs.FileType.Directory)


def _entry(name: str, meta: ObjectMeta) -> Entry:
    return Entry(name, meta["size"], int(meta["last_modified"].timestamp()) * 10**9)


def locate(path: str | os.PathLike[str]) -> Location:
    """The location a user's path names: ``s3://bucket/key`` or a local path.

    Raises:
        UserError: another scheme, or an S3 path without a bucket.
    """
    text = os.fspath(path)
    if text.startswith(_S3_SCHEME):
        rest = text[len(_S3_SCHEME) :].strip("/")
        if not rest:
            raise UserError(f"{text!r} names no bucket: expected s3://BUCKET/KEY")
        return Location(rest, remote=True)
    if "://" in text:
        scheme = text.split("://", 1)[0]
        raise UserError(f"{text!r}: unknown scheme {scheme!r}; expected a local path or s3://")
    return Location(str(Path(text).expanduser().resolve()), remote=False)


def check_access(locations: Iterable[Location]) -> None:
    """Fail now, in one line, if a bucket that a job is going to use cannot be used.

    Raises:
        UserError: no credentials, wrong credentials, no such bucket, or no answer.
    """
    buckets = {location._object.bucket: location for location in locations if location.remote}
    for location in buckets.values():
        location._object.check()


def _write_local(path: Path, data: bytes | memoryview | pa.Buffer) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Renamed within its folder, which is atomic, and only once it is on the disk: after a crash of
    # the machine the name may else stand for an empty file.
    temporary = path.parent / f".tmp-{uuid.uuid4().hex}"
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _copy_local(source: Path, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".tmp-{uuid.uuid4().hex}"
    try:
        shutil.copyfile(source, temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def relative_to_here(path: str) -> str:
    """A local path as seen from the working directory, if it lies below; others as they are."""
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path
