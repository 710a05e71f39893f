"""Format ``karpathy``: dataset_*.json of Karpathy's splits (Flickr8k, Flickr30k, COCO)."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel

from mmkrl.data.readers.config import SourceConfig
from mmkrl.data.readers.inputs import load_annotations
from mmkrl.data.readers.listed import annotation_file, plan_annotated
from mmkrl.data.readers.records import Cut, ReadUnit, Row


class _Sentence(BaseModel):
    raw: str


class _Image(BaseModel):
    filename: str
    filepath: str = ""
    split: str
    sentences: list[_Sentence]


class _Karpathy(BaseModel):
    images: list[_Image]


def plan(number: int, source: SourceConfig, cut: Cut) -> Iterator[ReadUnit]:
    """Runs of the images that the JSON lists."""
    return plan_annotated(
        number, source, _rows(load_annotations(annotation_file(source), _Karpathy)), cut
    )


def _rows(annotations: _Karpathy) -> Iterator[tuple[str, Row]]:
    for image in annotations.images:
        name = f"{image.filepath}/{image.filename}" if image.filepath else image.filename
        yield name, {"caption": [one.raw for one in image.sentences], "split": image.split}
