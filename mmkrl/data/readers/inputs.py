"""Files of a source: listing them, and opening them as streams."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pyarrow as pa
from pydantic import BaseModel, ValidationError

from mmkrl.errors import UserError
from mmkrl.io.storage import Entry, Location

_STREAM_BYTES = 8 << 20  # one request to S3
_BLOCK_BYTES = 1 << 20
_OPENERS = 16

InputFile = tuple[Location, Entry]
Item = TypeVar("Item")
Annotations = TypeVar("Annotations", bound=BaseModel)


def input_files(location: Location, *endings: str) -> list[InputFile]:
    """The file at a location, or the files below a folder that have one of the endings.

    Args:
        location: File or folder.
        endings: Such as ``.tar``; without any, all files are meant.

    Raises:
        UserError: nothing is there, or no file has one of the endings.
    """
    single = location.entry()
    if single is not None:
        return [(location, single)]
    if not location.is_dir():
        raise UserError(f"ingest source {location}: no such file or folder")
    found = [
        (location / entry.name, entry)
        for entry in location.files()
        if not endings or entry.name.endswith(endings)
    ]
    if not found:
        kind = " or ".join(endings) + " " if endings else ""
        raise UserError(f"ingest source {location}: no {kind}files in this folder")
    return found


def concurrently(
    work: Callable[[Location], list[Item]], files: Iterable[Location]
) -> Iterator[Item]:
    """What is found in each file, in the files' order, with many of them open at a time."""
    with ThreadPoolExecutor(_OPENERS) as pool:
        for found in pool.map(work, files):
            yield from found


def open_stream(location: Location) -> pa.NativeFile:
    """The file's bytes from first to last, read ahead in large requests.

    Raises:
        UserError: there is no file.
    """
    return pa.BufferedInputStream(location.open_input(), _STREAM_BYTES)


def byte_blocks(location: Location) -> Iterator[bytes]:
    """The file's bytes, a MiB at a time."""
    with open_stream(location) as stream:
        while data := stream.read(_BLOCK_BYTES):
            yield data


def text_lines(file: Location) -> Iterator[str]:
    """The lines of a UTF-8 file, with their ends; only a line feed ends one.

    Raises:
        UserError: there is no file, or it holds something else.
    """
    with io.BufferedReader(open_stream(file)) as lines:
        for number, line in enumerate(lines, start=1):
            try:
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise UserError(f"{file} line {number}: not UTF-8 text") from error


def load_annotations(file: Location, schema: type[Annotations]) -> Annotations:
    """An annotation file as typed values; keys that the schema does not name are ignored.

    Raises:
        UserError: no JSON, or another form; names the first key that is wrong.
    """
    try:
        return schema.model_validate_json(file.read_bytes())
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{file}: {where or 'JSON'}: {first['msg']}") from error
