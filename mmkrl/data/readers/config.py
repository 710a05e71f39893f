"""What a user says about a source of pictures and texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, model_validator

from mmkrl.config import Section, known_to
from mmkrl.plugins import Registry

TextRole = Literal["alt", "title", "keyword", "caption", "split", "label", "robots"]
Role = Literal["image", "uri", "source", "license", TextRole]
TEXT_ROLES: tuple[TextRole, ...] = get_args(TextRole)
ROLES: tuple[Role, ...] = get_args(Role)  # the first is the image
_USUAL_NAMES: dict[Role, str] = {role: role for role in ROLES} | {"keyword": "keywords"}
Option = Literal["images", "splits", "columns"]
_OPTIONS: dict[Option, str] = {
    "images": "the folder of the pictures",
    "splits": "a list of images by split",
    "columns": "columns by role",
}
READERS: Registry[type[Any]] = Registry(
    "reader",
    "mmkrl.readers",
    {
        "parquet": "mmkrl.data.readers.parquet:ParquetReader",
        "folder": "mmkrl.data.readers.folder:FolderReader",
        "webdataset": "mmkrl.data.readers.webdataset:WebDatasetReader",
        "img2dataset": "mmkrl.data.readers.img2dataset:Img2DatasetReader",
        "lmdb": "mmkrl.data.readers.lmdb:LmdbReader",
        "coco": "mmkrl.data.readers.coco:CocoReader",
        "karpathy": "mmkrl.data.readers.karpathy:KarpathyReader",
        "flickr": "mmkrl.data.readers.flickr:FlickrReader",
    },
)
"""Subclasses of :class:`mmkrl.data.readers.reader.Reader`."""


class SourceConfig(Section):
    """One place to read images and their texts from."""

    path: str
    """Folder or file, local or ``s3://``; for coco, karpathy and flickr the annotation file."""
    format: Annotated[str, known_to(READERS)]
    """``parquet``: one row a picture. ``folder``: image files, with an optional captions.jsonl or
    captions.csv. ``webdataset``: tar shards. ``img2dataset``: its tar or Parquet output. ``lmdb``:
    a Caffe LMDB. ``coco``, ``karpathy``, ``flickr``: an annotation file beside a folder. Or a
    reader of an installed package, or ``python:MODULE:CLASS``."""
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
        reader = READERS.get(self.format)
        for option, meaning in _OPTIONS.items():
            given = bool(getattr(self, option))
            if option in reader.needs and not given:
                raise ValueError(f"format {self.format!r} needs {option}: {meaning}")
            if option not in reader.takes and given:
                able = [name for name in READERS.names() if option in READERS.get(name).takes]
                raise ValueError(f"{option} is for {', '.join(able)}, not for {self.format!r}")
        return self

    def names(self, usual: Mapping[Role, str]) -> dict[Role, str]:
        """The column or key by role, whether the data has it or not.

        Args:
            usual: The format's own names, where they are not those of the roles.
        """
        named = {**_USUAL_NAMES, **usual, **self.columns}
        return {role: name for role, name in named.items() if name}
