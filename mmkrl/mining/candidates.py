"""First pass of mining: what each image's text says, one part of the corpus at a time.

A miner turns the texts of one image into a finding; this module applies it to a part of the
corpus and keeps what the second pass (:mod:`mmkrl.mining.relationships`) needs to know of the
picture itself: its id and a perceptual hash.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import imagehash
import pyarrow as pa
from PIL import Image

from mmkrl.data.dataset import Dataset, write_unit
from mmkrl.data.manifest import FileEntry, UnitRecord
from mmkrl.data.pictures import Limits, UnusablePicture, decode
from mmkrl.data.schemas import CANDIDATES, DEAD_LETTERS
from mmkrl.storage import Location

HASH_SIDE = 16  # a perceptual hash has HASH_SIDE² bits
_HASH_PIXELS = 64
Texts = Mapping[str, list[str]]  # texts of one image by kind


@dataclass(frozen=True)
class Finding:
    """What a text says: a relationship, or an isolated entity (predicate and object empty).

    Attributes:
        pair: The two parts without their attributes, in a fixed order: relationships with the
            same pair look alike, so a zero-shot split moves them together.
    """

    subject: str
    predicate: str = ""
    object: str = ""
    pair: str = ""


class NotUsable(Exception):  # noqa: N818 - a verdict on a row
    """The text of an image states nothing that can be mined."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Miner(Protocol):
    """Finds what the texts of one image state."""

    def __call__(self, texts: Texts) -> Finding:
        """The finding.

        Raises:
            NotUsable: the texts state nothing that can be mined.
        """
        ...


def mine_part(
    location: Location, number: int, corpus: Dataset, images: FileEntry, miner: Miner
) -> UnitRecord:
    """Apply a miner to one part of a corpus and publish the candidates.

    Args:
        location: Where candidates go.
        number: Number of this unit.
        corpus: The ingested corpus.
        images: The part's images; its texts are those of the same part.
        miner: What reads the texts.
    """
    texts = _texts_of_part(corpus, images)
    candidates, dead = [], []
    for row in corpus.read(images, ["image_id", "source", "uri", "image"]).to_pylist():
        try:
            finding = miner(texts[row["uri"]])
            picture_hash = perceptual_hash(row["image"])
        except (NotUsable, UnusablePicture) as fault:
            dead.append(
                {
                    "stage": "mine",
                    "record": row["uri"],
                    "reason": fault.reason,
                    "detail": fault.detail,
                }
            )
            continue
        identity = {key: row[key] for key in ("image_id", "source", "uri")}
        candidates.append({**identity, **vars(finding), "hash": picture_hash})
    return write_unit(
        location,
        number,
        {
            "candidates": pa.Table.from_pylist(candidates, CANDIDATES.arrow),
            "dead_letters": pa.Table.from_pylist(dead, DEAD_LETTERS.arrow),
        },
        rows_in=len(candidates) + len(dead),
        rows_out=len(candidates),
    )


def perceptual_hash(data: bytes) -> bytes:
    """The DCT hash of a picture, HASH_SIDE² bits.

    Raises:
        UnusablePicture: the picture cannot be decoded.
    """
    picture = Image.fromarray(decode(data, Limits(), size=_HASH_PIXELS))
    bits = imagehash.phash(picture, hash_size=HASH_SIDE).hash
    return bytes(int("".join("1" if bit else "0" for bit in bits.ravel()), 2).to_bytes(32, "big"))


def _texts_of_part(corpus: Dataset, images: FileEntry) -> Mapping[str, dict[str, list[str]]]:
    """Texts by uri and kind."""
    name = images.path.rsplit("/", 1)[-1]
    texts: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for entry in corpus.files("texts"):
        if entry.path.endswith(f"/{name}"):
            for row in corpus.read(entry).to_pylist():
                texts[row["uri"]][row["kind"]].append(row["text"])
    return texts
