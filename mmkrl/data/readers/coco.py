"""Format ``coco``: the JSON of COCO captions (images and annotations) beside a folder."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from pydantic import BaseModel

from mmkrl.data.readers.config import SourceConfig
from mmkrl.data.readers.inputs import load_annotations
from mmkrl.data.readers.listed import annotation_file, plan_annotated
from mmkrl.data.readers.records import Cut, ReadUnit, Row


class _Image(BaseModel):
    id: int | str
    file_name: str
    license: int | None = None


class _Annotation(BaseModel):
    image_id: int | str
    caption: str


class _License(BaseModel):
    id: int
    name: str = ""


class _Coco(BaseModel):
    images: list[_Image]
    annotations: list[_Annotation]
    licenses: list[_License] = []


def plan(number: int, source: SourceConfig, cut: Cut) -> Iterator[ReadUnit]:
    """Runs of the images that the JSON lists; captions of images it does not list come last."""
    coco = load_annotations(annotation_file(source), _Coco)
    return plan_annotated(number, source, _rows(coco), cut)


def _rows(coco: _Coco) -> Iterator[tuple[str, Row]]:
    captions: dict[int | str, list[str]] = defaultdict(list)
    for annotation in coco.annotations:
        captions[annotation.image_id].append(annotation.caption)
    licenses = {license_.id: license_.name for license_ in coco.licenses}
    for image in coco.images:
        license_ = licenses.get(image.license, "") if image.license is not None else ""
        yield image.file_name, {"caption": captions.pop(image.id, []), "license": license_}
    for unknown in captions:
        yield f"image_id {unknown}", {}
