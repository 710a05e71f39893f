"""Objects in S3, read and written whole or not at all over a network that fails.

obstore does the requests and limits the time of each, its body included; :mod:`mmkrl.io.retry`
repeats what failed. Lengths are always compared. Endpoint, region and credentials are found as
boto3 finds them.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.fs as pafs
from obstore.exceptions import BaseError, GenericError
from obstore.store import S3Store

from mmkrl.errors import UserError
from mmkrl.io.retry import patience, retry, status

if TYPE_CHECKING:
    from obstore import Bytes, GetOptions, ObjectMeta

_REQUEST_BYTES = 8 << 20  # of one request: it must pass within its time on a slow line, too
_RETRIES = 4  # of one part of an upload: one that fails must not undo the others
_UPLOADS = 4  # parts of one object at a time
_CHECK_S = 20.0  # patience of the check before a job


@functools.cache
def _endpoint() -> tuple[str, str]:
    """Endpoint and region: of the environment, of the profile, or AWS's own."""
    import boto3

    settings = boto3.client("s3").meta
    return settings.endpoint_url, settings.region_name


@functools.cache
def _store(bucket: str, retries: int = 0) -> S3Store:
    """The client of a bucket; it keeps connections and may be used by many threads."""
    import boto3
    from obstore.auth.boto3 import Boto3CredentialProvider

    try:
        credentials = Boto3CredentialProvider(boto3.Session())
    except ValueError as error:
        raise UserError(
            f"s3://{bucket}: no AWS credentials found: set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or use a profile or a role"
        ) from error
    endpoint, region = _endpoint()
    request = timedelta(seconds=patience().request_s)
    return S3Store(
        bucket,
        endpoint=endpoint,
        region=region,
        credential_provider=credentials,
        client_options={
            "allow_http": endpoint.startswith("http://"),
            "connect_timeout": min(request, timedelta(seconds=5)),
            "timeout": request,
        },
        retry_config={
            "max_retries": retries,
            "retry_timeout": timedelta(seconds=patience().operation_s),
        },
    )


@functools.cache
def arrow_filesystem() -> pafs.FileSystem:
    """The same S3 for Ray Train, which stores its checkpoints through pyarrow."""
    endpoint, region = _endpoint()
    url = urlsplit(endpoint)
    own = not (url.hostname or "").endswith((".amazonaws.com", ".amazonaws.com.cn"))
    return pafs.S3FileSystem(
        region=region,
        scheme=url.scheme if own else None,
        endpoint_override=url.netloc if own else None,
        connect_timeout=5,
        request_timeout=patience().request_s,
        # The standard strategy stops repeating for good after some dozens of faults.
        retry_strategy=pafs.AwsDefaultS3RetryStrategy(max_attempts=10),
    )


def forget() -> None:
    """Look at the environment again, which has changed."""
    for found in (patience, _endpoint, _store, arrow_filesystem):
        found.cache_clear()


class _Range(NamedTuple):
    """A part of an object's content, and what the object was at that time."""

    data: Bytes | bytes
    size: int
    mark: str | None


@dataclass(frozen=True)
class Object:
    """A name in a bucket, of an object or a folder; an empty key is the bucket itself."""

    bucket: str
    key: str

    @classmethod
    def of(cls, path: str) -> Object:
        """The object of ``bucket/key``."""
        bucket, _, key = path.strip("/").partition("/")
        return cls(bucket, key)

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}".rstrip("/")

    def head(self) -> ObjectMeta | None:
        """Its size, time and mark of change; None if it does not exist."""
        if not self.key:
            return None
        try:
            return retry(str(self), lambda: _store(self.bucket).head(self.key))
        except FileNotFoundError:
            return None

    def read(self) -> bytes:
        """The whole content, of one version.

        Raises:
            FileNotFoundError: it does not exist.
        """
        return _bytes(self._range(0, None, None))

    def open(self) -> pa.PythonFile:
        """The content for random access, of one version.

        Raises:
            FileNotFoundError: it does not exist.
        """
        meta = self.head()
        if meta is None:
            raise FileNotFoundError(str(self))
        mark = meta["e_tag"]
        file = _File(lambda start, stop: self._range(start, stop, mark), meta["size"])
        return pa.PythonFile(file, mode="r")

    def write(self, source: memoryview | Path) -> None:
        """Publish bytes or a local file: readers see the old object, none, or all of the new."""
        retry(
            str(self),
            lambda: _store(self.bucket, _RETRIES).put(
                self.key, source, chunk_size=_REQUEST_BYTES, max_concurrency=_UPLOADS
            ),
        )

    def below(self) -> list[ObjectMeta]:
        """Every object below this folder, in no order."""
        found: dict[str, ObjectMeta] = {}
        last: str | None = None

        def list_on() -> bool:
            """Add what the list gives; whether that was all of it."""
            nonlocal last
            before = len(found)
            try:
                for metas in _store(self.bucket).list(self.key or None, offset=last):
                    found.update((meta["path"], meta) for meta in metas)
                    # A folder's own entry has lost its slash here; going on after it would
                    # skip what the folder holds.
                    last = next((m["path"] for m in reversed(metas) if m["size"]), last)
            except BaseError:
                if len(found) == before:
                    raise
                return False
            return True

        while not retry(str(self), list_on):
            pass
        return [meta for meta in found.values() if meta["size"] or self._is_object(meta["path"])]

    def folders(self) -> list[str]:
        """Names of the folders directly inside this one."""
        prefix = self.key or None
        found = retry(str(self), lambda: _store(self.bucket).list_with_delimiter(prefix))
        return sorted(path.rsplit("/", 1)[-1] for path in found["common_prefixes"])

    def is_folder(self) -> bool:
        """Whether there is anything below; a bucket that can be listed is always a folder."""
        first = retry(str(self), lambda: next(_store(self.bucket).list(self.key or None), []))
        return bool(first) or not self.key

    def check(self) -> None:
        """Fail soon if the bucket cannot be used.

        Raises:
            UserError: no credentials, wrong credentials, no such bucket, or no answer.
        """
        bucket = Object(self.bucket, "")
        limit_s = min(_CHECK_S, patience().operation_s)
        retry(str(bucket), lambda: next(_store(self.bucket).list(self.key or None), []), limit_s)

    def _is_object(self, key: str) -> bool:
        """Whether an empty entry of a list is an object, not a folder's own entry."""
        return Object(self.bucket, key).head() is not None

    def _get(self, start: int, stop: int, mark: str | None) -> _Range:
        """Bytes ``start`` to ``stop`` or the end, of the version with this mark if one is given."""
        options: GetOptions = {"range": (start, stop)}
        if mark is not None:
            options["if_match"] = mark

        def request() -> _Range:
            try:
                answer = _store(self.bucket).get(self.key, options=options)
            except GenericError as error:
                if start == 0 and status(error) == 416:  # no byte is in range: it is empty
                    return _Range(b"", 0, None)
                raise
            data, meta = answer.bytes(), answer.meta
            expected = min(stop, meta["size"]) - start
            if len(data) != expected:
                raise ConnectionError(f"{len(data)} bytes came, not {expected}")
            return _Range(data, meta["size"], meta["e_tag"])

        return retry(str(self), request)

    def _range(self, start: int, stop: int | None, mark: str | None) -> Bytes | bytes:
        """Bytes ``start`` to ``stop``, or to the end if that is None, all of one version."""
        end = start + _REQUEST_BYTES
        first = self._get(start, end if stop is None else min(end, stop), mark)
        stop = first.size if stop is None else stop
        if stop <= end:
            return first.data
        parts = [memoryview(first.data)]
        for offset in range(end, stop, _REQUEST_BYTES):
            part = self._get(offset, min(offset + _REQUEST_BYTES, stop), first.mark)
            parts.append(memoryview(part.data))
        return b"".join(parts)


class _File(io.RawIOBase):
    """An object as a file; pyarrow sees to it that one thread at a time uses it."""

    def __init__(self, fetch: Callable[[int, int], Bytes | bytes], size: int) -> None:
        self._fetch, self._size = fetch, size
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = origin + offset
        return self._position

    def read(self, size: int = -1) -> bytes:
        return _bytes(self.read_buffer(size))

    def read_buffer(self, size: int = -1) -> Bytes | bytes:
        """What pyarrow calls, so that nothing is copied."""
        stop = self._size if size < 0 else min(self._position + size, self._size)
        if stop <= self._position:
            return b""
        data = self._fetch(self._position, stop)
        self._position = stop
        return data


def _bytes(data: Bytes | bytes) -> bytes:
    return data if isinstance(data, bytes) else data.to_bytes()
