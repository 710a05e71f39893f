"""What a dataset's manifest says, as typed records."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from mmkrl.errors import UserError
from mmkrl.io.storage import Location

FORMAT_VERSION = 1
MANIFEST_NAME = "manifest.json"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FileEntry(_Record):
    """One published file. ``table`` is None for a file that is not part of a table."""

    path: str
    bytes: int
    sha256: str
    table: str | None = None
    rows: int = 0
    digest: str = "0"


class UnitRecord(_Record):
    """A finished unit of work: written last, so a unit with a record is whole.

    Attributes:
        unit: Index of the unit in the list of work.
        stats: Measurements of this unit (seconds by stage, bytes read).
    """

    unit: int
    rows_in: int
    rows_out: int
    dead_letters: int
    files: list[FileEntry]
    stats: dict[str, float]


class TableEntry(_Record):
    """Totals of one table."""

    version: int
    rows: int
    bytes: int
    digest: str


class Manifest(_Record):
    """The contents page of a dataset. A dataset without one does not exist.

    Attributes:
        key: Hash of the job's configuration and its inputs' digests.
        digest: Hash over content: the same rows give the same digest however they are cut.
        notes: What the job wants to tell readers (metrics, statistics).
    """

    format_version: int
    job: str
    key: str
    created: str
    commit: str
    config: dict[str, Any]
    inputs: dict[str, str]
    rows_in: int
    rows_out: int
    dead_letters: int
    tables: dict[str, TableEntry]
    files: list[FileEntry]
    digest: str
    notes: dict[str, Any]


def read_manifest(source: Location) -> Manifest:
    """The manifest in a file.

    Raises:
        UserError: the file holds something else, or the manifest of another format version.
    """
    try:
        values = json.loads(source.read_text())
        version = values["format_version"]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{source}: not a manifest: {error!r}") from error
    if version != FORMAT_VERSION:
        raise UserError(
            f"{source}: format version {version}, this code reads {FORMAT_VERSION}; make the "
            "dataset again with --force"
        )
    try:
        return Manifest.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{source}: not a manifest: {where}: {first['msg']}") from error
