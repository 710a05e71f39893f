"""First pass of mining: what each image's text says, one part of the corpus at a time.

A miner turns the texts of one image into a finding; this module applies it to a part of the
corpus and keeps what the second pass (:mod:`mmkrl.mining.relationships`) needs to know of the
picture itself: its id and the perceptual hash that deduplication made.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from mmkrl.data.dataset import Dataset, write_unit
from mmkrl.data.dead_letters import dead_letter
from mmkrl.data.manifest import FileEntry, UnitRecord
from mmkrl.data.pictures import UnusablePicture
from mmkrl.data.schemas import CANDIDATES, DEAD_LETTERS
from mmkrl.data.views.duplicates import superseded
from mmkrl.io.storage import Location
from mmkrl.mining.dedupe.phash import Hashes

_COLUMNS = ["image_id", "source", "uri"]
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


@dataclass(frozen=True)
class CorpusPart:
    """One images file of a corpus with what belongs to it.

    Attributes:
        number: Its index among the images files.
        corpus: The ingested corpus.
        deduped: Its duplicates and hashes.
    """

    number: int
    corpus: Dataset
    deduped: Dataset


def mine_part(
    location: Location,
    part: CorpusPart,
    miner: Callable[[Texts], Finding],
    *,
    kept_only: bool = False,
) -> UnitRecord:
    """Apply a miner to one part of a corpus and publish the candidates.

    Args:
        location: Where candidates go.
        part: The part.
        miner: What reads the texts; see :class:`mmkrl.mining.text_miner.TextMiner`.
        kept_only: Set aside images for which another one stands.
    """
    images = part.corpus.files("images")[part.number]
    rows = part.corpus.read(images, _COLUMNS)
    texts = texts_of_part(part.corpus, images)
    hashes = Hashes.of_part(part.deduped, part.number)
    replaced = superseded(part.deduped).among(rows) if kept_only else np.zeros(len(rows), bool)
    candidates, dead = [], []
    for row, is_replaced in zip(rows.to_pylist(), replaced.tolist(), strict=True):
        try:
            finding = miner(texts[row["uri"]])
            picture_hash = hashes.of(row["image_id"], row["uri"])
            if is_replaced:
                raise NotUsable("duplicate", "another image that shows the same is kept")
        except (NotUsable, UnusablePicture) as fault:
            dead.append(dead_letter("mine", row["uri"], fault.reason, fault.detail))
            continue
        candidates.append({**row, **vars(finding), "hash": picture_hash})
    return write_unit(
        location,
        part.number,
        {
            "candidates": pa.Table.from_pylist(candidates, CANDIDATES.arrow),
            "dead_letters": pa.Table.from_pylist(dead, DEAD_LETTERS.arrow),
        },
        rows_in=len(rows),
        rows_out=len(candidates),
    )


def texts_of_part(corpus: Dataset, images: FileEntry) -> Mapping[str, dict[str, list[str]]]:
    """Texts by uri and kind."""
    name = images.path.rsplit("/", 1)[-1]
    texts: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for entry in corpus.files("texts"):
        if entry.path.endswith(f"/{name}"):
            for row in corpus.read(entry).to_pylist():
                texts[row["uri"]][row["kind"]].append(row["text"])
    return texts
