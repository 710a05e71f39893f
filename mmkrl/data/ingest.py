"""From foreign records to the corpus tables: images, texts and dead letters."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow as pa
from pydantic import Field

from mmkrl.config import Section
from mmkrl.data.dataset import write_unit
from mmkrl.data.digest import content_id
from mmkrl.data.manifest import UnitRecord
from mmkrl.data.pictures import Limits, UnusablePicture, inspect
from mmkrl.data.readers import ReadUnit, Record, SourceConfig, Unreadable, read
from mmkrl.data.schemas import DEAD_LETTERS, IMAGES, TEXTS
from mmkrl.storage import Location


class IngestConfig(Section):
    """What to read, and how large a picture may be."""

    sources: list[SourceConfig]
    """Where images and texts come from; read in this order."""
    unit_rows: int = Field(default=1000, ge=1)
    """Files of a folder to read in one piece; more means fewer, larger output files."""
    max_bytes: int = Field(default=32 << 20, ge=1)
    """Largest encoded picture, in bytes; larger ones become dead letters."""
    max_pixels: int = Field(default=64_000_000, ge=1)
    """Largest picture, width times height; larger ones become dead letters undecoded."""

    @property
    def limits(self) -> Limits:
        """The limits for one picture."""
        return Limits(self.max_bytes, self.max_pixels)


def ingest_unit(
    location: Location, number: int, unit: ReadUnit, config: IngestConfig
) -> UnitRecord:
    """Read one unit of a source and publish its part of the corpus."""
    images: list[dict[str, Any]] = []
    texts: list[dict[str, str]] = []
    dead: list[dict[str, str]] = []
    formats: Counter[str] = Counter()
    for item in read(unit, config.sources[unit.source]):
        try:
            image = _image_row(item, config.limits)
        except UnusablePicture as fault:
            dead.append(_dead_letter(item.uri, fault))
            continue
        images.append(image)
        formats[image["format"]] += 1
        texts.extend(_text_rows(image, item))
    return write_unit(
        location,
        number,
        {
            "images": pa.Table.from_pylist(images, IMAGES.arrow),
            "texts": pa.Table.from_pylist(texts, TEXTS.arrow),
            "dead_letters": pa.Table.from_pylist(dead, DEAD_LETTERS.arrow),
        },
        rows_in=len(images) + len(dead),
        rows_out=len(images),
        stats={f"format_{name}": count for name, count in formats.items()},
    )


def _image_row(item: Record | Unreadable, limits: Limits) -> dict[str, Any]:
    if isinstance(item, Unreadable):
        raise UnusablePicture(item.reason, item.detail)
    header = inspect(item.image, limits)
    return {
        "image_id": content_id(item.image),
        "source": item.source,
        "uri": item.uri,
        "format": header.format,
        "width": header.width,
        "height": header.height,
        "license": item.license,
        "image": item.image,
    }


def _text_rows(image: dict[str, Any], item: Record | Unreadable) -> list[dict[str, str]]:
    assert isinstance(item, Record)
    shared = {key: image[key] for key in ("image_id", "source", "uri")}
    return [{**shared, "kind": kind, "text": text} for kind, text in item.texts]


def _dead_letter(uri: str, fault: UnusablePicture) -> dict[str, str]:
    return {"stage": "ingest", "record": uri, "reason": fault.reason, "detail": fault.detail}
