"""Perceptual hashes (pHash, from the DCT) for near-duplicate detection, of 256 bits.

Pictures that differ in size, encoding or a little cropping have hashes that differ in few bits.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import imagehash
import numpy as np
import pyarrow as pa
from PIL import Image

from mmkrl.data.dataset import Dataset, write_unit
from mmkrl.data.dead_letters import dead_letter
from mmkrl.data.isolation.parent import Result, shared
from mmkrl.data.manifest import FileEntry, UnitRecord
from mmkrl.data.pictures import Limits, UnusablePicture, decode
from mmkrl.data.schemas import DEAD_LETTERS, HASHES
from mmkrl.io.storage import Location

_SIDE = 16  # a hash has _SIDE² bits
_PIXELS = 64  # side of the picture it is made from
Hasher = Callable[[Sequence[bytes]], Iterable[Result]]


def perceptual_hash(data: bytes) -> bytes:
    """The DCT hash of a picture, 32 bytes.

    Raises:
        UnusablePicture: the picture cannot be decoded.
    """
    picture = Image.fromarray(decode(data, Limits(), size=_PIXELS))
    return np.packbits(imagehash.phash(picture, hash_size=_SIDE).hash).tobytes()


def hasher() -> Callable[[bytes], bytes]:
    """:func:`perceptual_hash` for an isolated process, with all it needs imported."""
    # The limit of memory holds from the first row on: what libraries load at their first use must
    # be loaded before, or it would count as the row's.
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG")
    perceptual_hash(file.getvalue())
    return perceptual_hash


def isolated_hashes(pictures: Sequence[bytes]) -> Iterable[Result]:
    """The hash of every picture, or the reason why there is none, from a process that may die."""
    return shared(f"{__name__}:{hasher.__name__}").map(pictures)


def hash_part(
    location: Location,
    number: int,
    corpus: Dataset,
    images: FileEntry,
    hashes: Hasher = isolated_hashes,
) -> UnitRecord:
    """Hash one part of a corpus and publish the table ``hashes``.

    Args:
        location: Where the hashes go.
        number: Number of this unit.
        corpus: The ingested corpus.
        images: The part's images.
        hashes: What hashes pictures.
    """
    columns = ["image_id", "uri", "width", "height", "image"]
    rows = corpus.read(images, columns).to_pylist()
    hashed, dead = [], []
    for row, result in zip(rows, hashes([row["image"] for row in rows]), strict=True):
        if isinstance(result, UnusablePicture):
            dead.append(dead_letter("dedupe", row["uri"], result.reason, result.detail))
            continue
        identity = {"image_id": row["image_id"], "uri": row["uri"]}
        hashed.append({**identity, "pixels": row["width"] * row["height"], "hash": result})
    return write_unit(
        location,
        number,
        {
            "hashes": pa.Table.from_pylist(hashed, HASHES.arrow),
            "dead_letters": pa.Table.from_pylist(dead, DEAD_LETTERS.arrow),
        },
        rows_in=len(rows),
        rows_out=len(hashed),
    )


@dataclass(frozen=True)
class Hashes:
    """The hashes of one part of a corpus.

    Attributes:
        found: Hash by image id and uri.
        faults: Reason and detail by uri, of pictures without one.
    """

    found: Mapping[tuple[str, str], bytes]
    faults: Mapping[str, tuple[str, str]]

    @classmethod
    def of_part(cls, hashed: Dataset, number: int) -> Hashes:
        """What :func:`hash_part` published under a number."""
        rows = _part(hashed, "hashes", number)
        dead = _part(hashed, "dead_letters", number)
        return cls(
            {(row["image_id"], row["uri"]): row["hash"] for row in rows},
            {row["record"]: (row["reason"], row["detail"]) for row in dead},
        )

    def of(self, image_id: str, uri: str) -> bytes:
        """The hash of an image.

        Raises:
            UnusablePicture: it has none, as the picture cannot be decoded.
        """
        if (image_id, uri) not in self.found:
            raise UnusablePicture(*self.faults[uri])
        return self.found[image_id, uri]


def _part(dataset: Dataset, table: str, number: int) -> list[dict[str, Any]]:
    """The rows of a table that one unit published."""
    name = f"{table}/part-{number:06d}"
    files = [file for file in dataset.files(table) if file.path.startswith(name)]
    return [row for file in files for row in dataset.read(file).to_pylist()]
