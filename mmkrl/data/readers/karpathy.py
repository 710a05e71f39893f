"""Format ``karpathy``: dataset_*.json of Karpathy's splits (Flickr8k, Flickr30k, COCO)."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel

from mmkrl.data.readers.inputs import load_annotations
from mmkrl.data.readers.listed import AnnotatedReader, annotation_file
from mmkrl.data.readers.records import Row


class _Sentence(BaseModel):
    raw: str


class _Image(BaseModel):
    filename: str
    filepath: str = ""
    split: str
    sentences: list[_Sentence]


class _Karpathy(BaseModel):
    images: list[_Image]


class KarpathyReader(AnnotatedReader):
    """Reads the images that the JSON lists."""

    def annotations(self) -> Iterator[tuple[str, Row]]:
        """Captions and split of each image."""
        for image in load_annotations(annotation_file(self.source), _Karpathy).images:
            name = f"{image.filepath}/{image.filename}" if image.filepath else image.filename
            yield name, {"caption": [one.raw for one in image.sentences], "split": image.split}
