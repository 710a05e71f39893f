"""What a reader is told and what it gives: sources, units of work, records.

Formats name what they know of a picture by *role* (image, uri, caption, ...); one function,
:func:`record`, turns the values of a row into a record, whatever the format.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

from pydantic import Field, model_validator

from mmkrl.config import Section
from mmkrl.data.dead_letters import storable
from mmkrl.io.storage import Location

Format = Literal[
    "parquet", "folder", "webdataset", "img2dataset", "lmdb", "coco", "karpathy", "flickr"
]
TextRole = Literal["alt", "title", "keyword", "caption", "split", "label", "robots"]
Role = Literal["image", "uri", "source", "license", TextRole]
TEXT_ROLES: tuple[TextRole, ...] = get_args(TextRole)
ROLES: tuple[Role, ...] = get_args(Role)  # the first is the image
Row: TypeAlias = Mapping[str, Any]  # what is known of a picture, by role
_USUAL_NAMES: dict[Role, str] = {role: role for role in ROLES} | {"keyword": "keywords"}
_WITH_COLUMNS = ("parquet", "webdataset", "img2dataset")
_WITH_IMAGES = ("coco", "karpathy", "flickr")


class SourceConfig(Section):
    """One place to read images and their texts from."""

    path: str
    """Folder or file, local or ``s3://``; for coco, karpathy and flickr the annotation file."""
    format: Format
    """``parquet``: one row a picture. ``folder``: image files, with an optional captions.jsonl or
    captions.csv. ``webdataset``: tar shards. ``img2dataset``: its tar or Parquet output. ``lmdb``:
    a Caffe LMDB. ``coco``, ``karpathy``, ``flickr``: an annotation file beside a folder."""
    name: str = "web"
    """The web source to record for pictures that do not name their own."""
    images: str | None = None
    """Folder of the pictures that an annotation file (coco, karpathy, flickr) names."""
    splits: dict[str, str] = Field(default_factory=dict)
    """Lists of images by the name of their split, as flickr's authors gave them:
    ``{train: Flickr_8k.trainImages.txt, validation: ..., test: ...}``."""
    columns: dict[Role, str | None] = Field(default_factory=dict)
    """Columns (or keys of a sample's JSON) by role: image, uri, source, license, alt, title,
    keyword, caption, split, label, robots. A role left out has the column of its own name
    (keyword: keywords; img2dataset's uri: url) if there is one; null leaves the role out."""

    @model_validator(mode="after")
    def _fits_its_format(self) -> SourceConfig:
        if self.format in _WITH_IMAGES and self.images is None:
            raise ValueError(f"format {self.format!r} needs images: the folder of the pictures")
        if self.format not in _WITH_IMAGES and self.images is not None:
            raise ValueError(f"images is for {', '.join(_WITH_IMAGES)}, not for {self.format!r}")
        if self.format != "flickr" and self.splits:
            raise ValueError(f"splits is for flickr, not for {self.format!r}, which has its own")
        if self.format not in _WITH_COLUMNS and self.columns:
            raise ValueError(f"columns is for {', '.join(_WITH_COLUMNS)}, not for {self.format!r}")
        return self

    def names(self) -> dict[Role, str]:
        """The column or key by role, whether the data has it or not."""
        usual = _USUAL_NAMES | ({"uri": "url"} if self.format == "img2dataset" else {})
        return {role: name for role, name in (usual | self.columns).items() if name}


@dataclass(frozen=True)
class Cut:
    """How large a unit of work may be.

    Attributes:
        rows: Most rows.
        bytes: Most bytes of pictures; a piece that cannot be cut may be larger.
    """

    rows: int
    bytes: int

    def runs(self, pieces: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
        """Neighbouring pieces put together, as (first, one past the last).

        Args:
            pieces: Rows and bytes of each piece that cannot be cut.
        """
        start, stop, rows, size = 0, 0, 0, 0
        for more_rows, more_bytes in pieces:
            full = rows + more_rows > self.rows or size + more_bytes > self.bytes
            if full and stop > start:
                yield start, stop
                start, rows, size = stop, 0, 0
            stop, rows, size = stop + 1, rows + more_rows, size + more_bytes
        if stop > start:
            yield start, stop


@dataclass(frozen=True)
class ListedFile:
    """A picture file that a folder holds or an annotation file names.

    Attributes:
        name: Path inside the folder.
        size_bytes: Its size; None if the folder has no such file.
        row: What is known of it, by role.
    """

    name: str
    size_bytes: int | None
    row: Row


@dataclass(frozen=True)
class ReadUnit:
    """A piece of a source.

    Attributes:
        source: Position of the source in the configuration.
        path: The file, or the folder.
        start: First piece: a row group of a Parquet file, a record of an LMDB.
        stop: One past the last; None for all there are.
        files: The files of a folder, as they were listed when the work was planned.
        key: Key of the first record of an LMDB; empty for its first.
    """

    source: int
    path: Location
    start: int = 0
    stop: int | None = None
    files: tuple[ListedFile, ...] = ()
    key: bytes = b""


@dataclass(frozen=True)
class Record:
    """One image as the web gave it: nothing about it has been checked."""

    uri: str
    source: str
    image: bytes
    texts: tuple[tuple[str, str], ...]  # (kind, text)
    license: str
    targets: Mapping[str, tuple[float, ...]] = field(default_factory=dict)  # vectors by name


@dataclass(frozen=True)
class Unreadable:
    """A row that could not be read at all."""

    uri: str
    reason: str
    detail: str


def record(
    uri: str,
    image: bytes,
    row: Row,
    source: SourceConfig,
    targets: Mapping[str, tuple[float, ...]] | None = None,
) -> Record | Unreadable:
    """The record of a row; empty texts say nothing, but an empty caption is kept to be counted.

    Args:
        uri: Where the picture is, if the row does not say.
        image: Encoded bytes.
        row: Values by role; the value of a text role is a text, a number or a list of them.
        source: Where the row comes from.
        targets: Vectors by name.
    """
    for role in ROLES[1:]:
        if not _fits(role, row.get(role)):
            detail = f"{role} = {str(row[role])[:100]!r}: expected a text"
            return Unreadable(uri, "bad_metadata", detail)
    texts = ((role, str(text)) for role in TEXT_ROLES for text in _values(row.get(role)))
    return Record(
        uri=storable(row.get("uri") or uri),
        source=storable(row.get("source") or source.name),
        image=image,
        texts=tuple((r, storable(text)) for r, text in texts if text or r == "caption"),
        license=storable(row.get("license") or ""),
        targets=targets or {},
    )


def too_large(uri: str, size_bytes: int, max_bytes: int) -> Unreadable:
    """The row of a picture that is not even read because of its size."""
    return Unreadable(uri, "too_many_bytes", f"{size_bytes} bytes, the limit is {max_bytes}")


def _values(value: Any) -> list[Any]:
    """The values of a text role: none, one or several."""
    values = value if isinstance(value, list) else [value]
    return [one for one in values if one is not None]


def _fits(role: str, value: Any) -> bool:
    if role in TEXT_ROLES:
        return all(isinstance(one, str | int | float) for one in _values(value))
    return value is None or isinstance(value, str)
