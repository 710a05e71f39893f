"""Finding a few pictures of a corpus by their ids."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from mmkrl.data.dataset import Dataset


@dataclass(frozen=True)
class CorpusPicture:
    """A picture of the corpus.

    Attributes:
        image: Its encoded bytes.
        uri: Where it came from.
        source: The web source it came from.
    """

    image: bytes
    uri: str
    source: str


def pictures(corpus: Dataset, image_ids: Iterable[str]) -> dict[str, CorpusPicture]:
    """Some images, by id; ids that are not there are left out."""
    wanted = pa.array(sorted(set(image_ids)), pa.string())
    found: dict[str, CorpusPicture] = {}
    for entry in corpus.files("images"):
        if len(found) == len(wanted):
            break
        table = corpus.read(entry, ["image_id", "image", "uri", "source"])
        for row in table.filter(pc.is_in(table.column("image_id"), value_set=wanted)).to_pylist():
            found.setdefault(
                row["image_id"], CorpusPicture(row["image"], row["uri"], row["source"])
            )
    return found
