"""What a user says about a source of pictures and texts."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field, model_validator

from mmkrl.config import Section

Format = Literal[
    "parquet", "folder", "webdataset", "img2dataset", "lmdb", "coco", "karpathy", "flickr"
]
TextRole = Literal["alt", "title", "keyword", "caption", "split", "label", "robots"]
Role = Literal["image", "uri", "source", "license", TextRole]
TEXT_ROLES: tuple[TextRole, ...] = get_args(TextRole)
ROLES: tuple[Role, ...] = get_args(Role)  # the first is the image
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
