"""Finding a few pictures of a corpus by their ids."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from mmkrl.data.dataset import Dataset


def pictures(corpus: Dataset, image_ids: Iterable[str]) -> dict[str, bytes]:
    """The encoded bytes of some images, by id; ids that are not there are left out."""
    wanted = pa.array(sorted(set(image_ids)), pa.string())
    found: dict[str, bytes] = {}
    for entry in corpus.files("images"):
        if len(found) == len(wanted):
            break
        table = corpus.read(entry, ["image_id", "image"])
        rows = table.filter(pc.is_in(table.column("image_id"), value_set=wanted))
        found |= dict(
            zip(rows.column("image_id").to_pylist(), rows.column("image").to_pylist(), strict=True)
        )
    return found
