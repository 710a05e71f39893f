"""Paths, local or ``s3://``: reading, listing and atomic publishing.

Everything that touches a file goes through :class:`Location`. It is deliberately not a cache and
knows nothing of datasets. S3 endpoints and credentials come from the standard AWS settings
(environment, profile or instance role).
"""

from __future__ import annotations

import functools
import os
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.fs as pafs

from mmkrl.errors import UserError

_S3_SCHEME = "s3://"


@dataclass(frozen=True)
class Entry:
    """One listed file: its path relative to the listed folder, its size and its change mark."""

    name: str
    size_bytes: int
    modified_ns: int


@functools.cache
def _s3() -> pafs.FileSystem:
    """The S3 filesystem; pyarrow finds the credentials, but not the endpoint, as boto3 does."""
    import boto3

    settings = boto3.client("s3").meta
    endpoint = urlsplit(settings.endpoint_url)
    own = not (endpoint.hostname or "").endswith((".amazonaws.com", ".amazonaws.com.cn"))
    return pafs.S3FileSystem(
        region=settings.region_name,
        scheme=endpoint.scheme if own else None,
        endpoint_override=endpoint.netloc if own else None,
        connect_timeout=10,
        request_timeout=60,
    )


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
        """The pyarrow filesystem that reads :attr:`path`."""
        return _s3() if self.remote else pafs.LocalFileSystem()

    def is_file(self) -> bool:
        """Whether a file is there."""
        return bool(self.filesystem.get_file_info(self.path).type == pafs.FileType.File)

    def is_dir(self) -> bool:
        """Whether a folder (or S3 prefix) is there."""
        return bool(self.filesystem.get_file_info(self.path).type == pafs.FileType.Directory)

    def size_bytes(self) -> int:
        """Size of the file.

        Raises:
            UserError: there is no file.
        """
        info = self.filesystem.get_file_info(self.path)
        if info.type != pafs.FileType.File:
            raise UserError(f"{self}: no such file")
        return int(info.size)

    def read_bytes(self) -> bytes:
        """The whole file.

        Raises:
            UserError: there is no file.
        """
        try:
            with self.filesystem.open_input_stream(self.path) as stream:
                return bytes(stream.read())
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
            return self.filesystem.open_input_file(self.path)
        except FileNotFoundError as error:
            raise UserError(f"{self}: no such file") from error

    def write_bytes(self, data: bytes | memoryview | pa.Buffer) -> None:
        """Publish a file atomically: readers see the old one, none, or all of the new one."""
        if self.remote:
            with self.filesystem.open_output_stream(self.path) as stream:
                stream.write(data)
        else:
            _write_local(Path(self.path), data)

    def upload(self, source: Path) -> None:
        """Copy a local file here, atomically, a piece at a time."""
        if self.remote:
            _upload_s3(source, self.path)
        else:
            _copy_local(source, Path(self.path))

    def files(self) -> Iterator[Entry]:
        """Every file below this folder, by name; temporary files of unfinished writes left out."""
        selector = pafs.FileSelector(self.path, recursive=True, allow_not_found=True)
        infos = self.filesystem.get_file_info(selector)
        for info in sorted(infos, key=lambda item: item.path):
            if info.type == pafs.FileType.File and not info.base_name.startswith(".tmp-"):
                name = info.path[len(self.path.rstrip("/")) + 1 :]
                yield Entry(name, info.size, info.mtime_ns or 0)

    def folders(self) -> list[str]:
        """Names of the folders directly inside this one."""
        selector = pafs.FileSelector(self.path, recursive=False, allow_not_found=True)
        infos = self.filesystem.get_file_info(selector)
        return sorted(i.base_name for i in infos if i.type == pafs.FileType.Directory)


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


def check_access(location: Location) -> None:
    """Fail now, in one line, if the bucket of an S3 location cannot be used.

    Raises:
        UserError: no credentials, wrong credentials, or no such bucket.
    """
    if not location.remote:
        return
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    bucket = location.path.split("/", 1)[0]
    try:
        boto3.client("s3").head_bucket(Bucket=bucket)
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "unknown")
        meaning = {"403": "access denied: check the credentials", "404": "no such bucket"}
        raise UserError(f"s3://{bucket}: {meaning.get(code, code)}") from error
    except BotoCoreError as error:
        raise UserError(f"s3://{bucket}: {error}") from error


def _upload_s3(source: Path, path: str) -> None:
    """Upload with boto3, which gives up a multipart upload when the source fails.

    Closing a pyarrow stream early would publish the first part as if it were the whole.
    """
    import boto3

    bucket, key = path.split("/", 1)
    boto3.client("s3").upload_file(str(source), bucket, key)


def _write_local(path: Path, data: bytes | memoryview | pa.Buffer) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
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
