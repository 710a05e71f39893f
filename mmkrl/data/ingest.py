"""From foreign records to the corpus tables: images, texts and dead letters."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import pyarrow as pa

from mmkrl.data.config import IngestConfig
from mmkrl.data.dead_letters import dead_letter
from mmkrl.data.digest import content_id
from mmkrl.data.isolation.parent import shared
from mmkrl.data.manifest import UnitRecord
from mmkrl.data.pictures import Header, Limits, UnusablePicture
from mmkrl.data.readers.records import ReadUnit, Record, Unreadable
from mmkrl.data.readers.registry import read
from mmkrl.data.schemas import DEAD_LETTERS, IMAGES, TARGETS, TEXTS
from mmkrl.data.writing import UnitWriter
from mmkrl.io.storage import Location

_INSPECTOR = "mmkrl.data.pictures:inspector"
_BATCH_ROWS = 256
_BATCH_BYTES = 8 << 20  # pictures of one batch, in bytes; a larger one is a batch of its own
Item: TypeAlias = Record | Unreadable


def ingest_unit(
    location: Location, number: int, unit: ReadUnit, config: IngestConfig
) -> UnitRecord:
    """Read one unit of a source, a batch of rows at a time, and publish its part of the corpus."""
    writer = UnitWriter(location, number)
    rows_in = 0
    formats: Counter[str] = Counter()
    items = read(unit, config.sources[unit.source], max_bytes=config.max_bytes)
    for batch in _batches(items):
        tables = _tables(batch, Limits(config.max_bytes, config.max_pixels))
        writer.add(tables)
        rows_in += len(batch)
        formats.update(tables["images"].column("format").to_pylist())
    return writer.finish(
        rows_in=rows_in,
        rows_out=formats.total(),
        stats={f"format_{name}": count for name, count in sorted(formats.items())},
    )


def _batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Neighbouring rows, few enough for memory: each batch becomes a row group."""
    batch: list[Item] = []
    size = 0
    for item in items:
        more = len(item.image) if isinstance(item, Record) else 0
        if batch and (len(batch) == _BATCH_ROWS or size + more > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += more
    if batch:
        yield batch


def _tables(batch: Sequence[Item], limits: Limits) -> dict[str, pa.Table]:
    """The rows of a batch by table."""
    records = [item for item in batch if isinstance(item, Record)]
    headers = _headers(records, limits)
    images, texts, targets, dead = [], [], [], []
    for item in batch:
        if isinstance(item, Unreadable):
            dead.append(dead_letter("ingest", item.uri, item.reason, item.detail))
            continue
        header = next(headers)
        if isinstance(header, UnusablePicture):
            dead.append(dead_letter("ingest", item.uri, header.reason, header.detail))
            continue
        image = _image_row(item, header)
        shared = {key: image[key] for key in ("image_id", "source", "uri")}
        images.append(image)
        texts += [{**shared, "kind": kind, "text": text} for kind, text in item.texts]
        targets += [
            {"image_id": image["image_id"], "name": name, "vector": vector}
            for name, vector in item.targets.items()
        ]
    rows = {IMAGES: images, TEXTS: texts, TARGETS: targets, DEAD_LETTERS: dead}
    return {
        schema.name: pa.Table.from_pylist(found, schema.arrow) for schema, found in rows.items()
    }


def _headers(records: Sequence[Record], limits: Limits) -> Iterator[Header | UnusablePicture]:
    """What each picture says about itself, or why not, from a process that may die."""
    reader = shared(_INSPECTOR, max_bytes=limits.bytes, max_pixels=limits.pixels)
    for result in reader.map([record.image for record in records]):
        yield result if isinstance(result, UnusablePicture) else Header(**json.loads(result))


def _image_row(item: Record, header: Header) -> dict[str, Any]:
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
