"""The demo pack: composed emoji and their parts, as web-image rows in Parquet shards.

The pack holds every composed emoji that states more than a skin tone, and its parts, down to parts
that are not composed, by every vendor that has drawn them. A composition is kept only when it is
grounded: both parts have a name and at least one picture. The same tarballs give the same bytes
with the same versions of Pillow, resvg-py and PyArrow.
"""

from __future__ import annotations

import io
import logging
import os
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from examples.emoji.art import VENDORS, Vendor, read_art
from examples.emoji.names import (
    ANNOTATIONS,
    DERIVED_ANNOTATIONS,
    EMOJI_DATA,
    EmojiName,
    read_names,
    read_sequences,
)
from mmkrl.errors import UserError
from mmkrl.mining.emoji.sequences import code_points, compose, unqualified

_LOG = logging.getLogger(__name__)

SHARDS: Final = 6
WEBP_QUALITY: Final = 75
PACKAGES: Final = (
    EMOJI_DATA,
    ANNOTATIONS,
    DERIVED_ANNOTATIONS,
    *(vendor.package for vendor in VENDORS),
)
SCHEMA: Final = pa.schema(
    [
        ("uri", pa.string()),
        ("source", pa.string()),
        ("image", pa.binary()),
        ("alt", pa.string()),
        ("title", pa.string()),
        ("keywords", pa.list_(pa.string())),
        ("license", pa.string()),
    ]
)
_DICTIONARY_COLUMNS: Final = ["source", "alt", "title", "keywords.list.element", "license"]

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class PackReport:
    """What a build wrote: counts by vendor are rows, counts by predicate are sequences."""

    rows: int
    size_bytes: int
    rows_by_source: Mapping[str, int]
    sequences_by_predicate: Mapping[str, int]


def build_pack(directory: Path, output: Path) -> PackReport:
    """Build the pack from the tarballs in ``directory`` and write its shards to ``output``.

    Raises:
        UserError: a tarball is missing or damaged, or nothing composed was found in them.
    """
    names = read_names(directory)
    sequences = [s for s in read_sequences(directory) if unqualified(s) in names]
    selected = with_parts(sequences)
    rows = picture_rows(directory, selected, names)
    grounded = with_parts({row["alt"] for row in rows})
    rows = [row for row in rows if row["alt"] in grounded]
    if not rows:
        raise UserError(f"no composed emoji with pictures of its parts in {directory}")
    paths = write_shards(rows, output)
    return PackReport(
        rows=len(rows),
        size_bytes=sum(path.stat().st_size for path in paths),
        rows_by_source=_counts(row["source"] for row in rows),
        sequences_by_predicate=_counts(
            parts.predicate for sequence in grounded if (parts := compose(sequence))
        ),
    )


def with_parts(sequences: Collection[str]) -> frozenset[str]:
    """Return the composed emoji whose parts are all in ``sequences``, and those parts.

    A composition that only adds a skin tone is no reason to be selected, but it is followed when
    the toned emoji is itself a part.
    """
    available = frozenset(sequences)
    selected: set[str] = set()
    for sequence in available:
        composition = compose(sequence)
        if composition is None or composition.predicate == "with_skin_tone":
            continue
        closure = _closure(sequence)
        if closure <= available:
            selected |= closure
        else:
            _LOG.warning("left out %s: a part is missing", sequence)
    return frozenset(selected)


def picture_rows(
    directory: Path, selected: Collection[str], names: Mapping[str, EmojiName]
) -> list[Row]:
    """Return a row for every vendor's picture of every selected emoji.

    Args:
        directory: Holds the tarballs.
        selected: Fully qualified sequences, each with a name.
        names: By unqualified sequence.

    Raises:
        UserError: a tarball is missing or damaged.
    """
    return [row for vendor in VENDORS for row in _vendor_rows(vendor, directory, selected, names)]


def write_shards(rows: Sequence[Row], output: Path, schema: pa.Schema = SCHEMA) -> list[Path]:
    """Write the rows sorted by emoji and vendor, dealing whole emoji to the shards in turn.

    Each shard therefore holds all vendors and all kinds of emoji. Files are replaced whole.
    """
    output.mkdir(parents=True, exist_ok=True)
    order = {alt: index for index, alt in enumerate(sorted({row["alt"] for row in rows}))}
    ordered = sorted(rows, key=lambda row: (row["alt"], row["source"]))
    paths = []
    for shard in range(SHARDS):
        dealt = [row for row in ordered if order[row["alt"]] % SHARDS == shard]
        path = output / f"emoji-{shard:05d}.parquet"
        partial = path.with_suffix(".partial")
        pq.write_table(
            pa.Table.from_pylist(dealt, schema=schema),
            partial,
            compression="zstd",
            use_dictionary=_DICTIONARY_COLUMNS,
        )
        os.replace(partial, path)
        paths.append(path)
    return paths


def _closure(sequence: str) -> set[str]:
    closure: set[str] = set()
    pending = [sequence]
    while pending:
        current = pending.pop()
        closure.add(current)
        composition = compose(current)
        if composition is not None:
            pending += {composition.subject, composition.object} - closure
    return closure


def _vendor_rows(
    vendor: Vendor, directory: Path, selected: Collection[str], names: Mapping[str, EmojiName]
) -> Iterator[Row]:
    for sequence, picture in read_art(vendor, directory, selected).items():
        name = names[unqualified(sequence)]
        yield {
            "uri": f"emoji:{vendor.source}/{code_points(sequence)}",
            "source": vendor.source,
            "image": _webp(picture),
            "alt": sequence,
            "title": name.title,
            "keywords": list(name.keywords),
            "license": vendor.license,
        }


def _webp(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=WEBP_QUALITY, method=6)
    return buffer.getvalue()


def _counts(values: Iterator[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))
