"""A page to audit mining by: what was kept and dropped of some relationships, and who says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mmkrl.data.dataset import Dataset, read_table
from mmkrl.data.manifest import FileEntry
from mmkrl.data.views.images_by_id import CorpusPicture, pictures
from mmkrl.io.storage import Location
from mmkrl.viz.gallery import Picture, Shelf, gallery

_PICTURES = 12  # a relationship
_DRAWN = 20  # relationships
_SLOTS = ["subject", "predicate", "object"]
_COLUMNS = [*_SLOTS, "image_id", "uri", "license", "sentence", "score", "reason"]
_NOTE = (
    "Each row is a mined relationship with its images, best first: green frames are kept, grey "
    "ones were set aside for the reason given. The number is how many deviations an image is above "
    "the images of the corpus in what the relationship asks for; below it are the sentence that "
    "states the relationship, and the licence if the crawl names one. Rows are drawn at random "
    "unless they were asked for."
)


def audit(
    location: Location, files: Sequence[FileEntry], corpus: Dataset, chosen: Sequence[str] = ()
) -> str:
    """The page as HTML.

    Args:
        location: The dataset of relationships mined from captions.
        files: The files of its table ``evidence``.
        corpus: Where the pictures are.
        chosen: Relationships to show first, each as ``subject | predicate | object``; some more
            are drawn, with a fixed seed.
    """
    tables = [read_table(location, file, _COLUMNS).to_pandas() for file in files]
    evidence = _evidence(tables, chosen)
    data = pictures(corpus, evidence["image_id"])
    shelves = [
        Shelf(
            f"{name}: {(rows['reason'] == '').sum()} of {len(rows)} images kept",
            [_picture(row, data) for row in _spread(rows).to_dict("records")],
        )
        for name, rows in evidence.groupby("name", sort=False)
    ]
    return gallery("Mined relationships", _NOTE, shelves)


def _evidence(tables: Sequence[pd.DataFrame], chosen: Sequence[str]) -> pd.DataFrame:
    """The evidence of the relationships to show, in their order, the best images first."""
    frame = pd.concat(tables, ignore_index=True)
    frame = frame.assign(name=frame[_SLOTS].agg(" | ".join, axis=1))
    others = np.array(sorted(set(frame["name"]) - set(chosen)), np.str_)
    drawn = np.random.default_rng(0).permutation(others)[:_DRAWN].tolist()
    order = {name: position for position, name in enumerate([*chosen, *drawn])}
    found = frame[frame["name"].isin(order)]
    return found.assign(position=found["name"].map(order)).sort_values(
        ["position", "score", "image_id"], ascending=[True, False, True], ignore_index=True
    )


def _spread(rows: pd.DataFrame) -> pd.DataFrame:
    """At most so many rows, evenly from the best to the worst."""
    if len(rows) <= _PICTURES:
        return rows
    return rows.iloc[np.linspace(0, len(rows) - 1, _PICTURES).round().astype(int)]


def _picture(row: Mapping[Any, Any], data: dict[str, CorpusPicture]) -> Picture:
    found = data.get(str(row["image_id"]))
    reason = f" ({row['reason']})" if row["reason"] else ""
    licence = f" [{row['license']}]" if row["license"] else ""
    caption = f"{row['score']:.1f}{reason}: {row['sentence']}{licence}"
    return Picture(found.image if found else b"", caption, "wrong" if row["reason"] else "right")
