"""Format ``coco``: the JSON of COCO captions (images and annotations) beside a folder."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from pydantic import BaseModel

from mmkrl.data.readers.inputs import load_annotations
from mmkrl.data.readers.listed import AnnotatedReader, annotation_file
from mmkrl.data.readers.records import Row


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


class CocoReader(AnnotatedReader):
    """Reads the images that the JSON lists; captions of images it does not list come last."""

    def annotations(self) -> Iterator[tuple[str, Row]]:
        """What is known of each image."""
        return _rows(load_annotations(annotation_file(self.source), _Coco))


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
