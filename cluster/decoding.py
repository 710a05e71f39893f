"""The decoding half of extraction: pieces of the corpus, and the task that decodes one.

It imports no torch, so that decoding tasks start fast; the process that decodes for them does.
"""

from __future__ import annotations

import functools
import pickle
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from cluster.session import private_mb
from mmkrl.data.dataset import Dataset, read_rows
from mmkrl.data.manifest import FileEntry
from mmkrl.features.config import ExtractConfig
from mmkrl.features.decoding import COLUMNS, Decoder
from mmkrl.features.retry import Former, keep
from mmkrl.storage import Location


@dataclass(frozen=True)
class CorpusPiece:
    """Some rows of one image file of the corpus.

    Attributes:
        location: The corpus.
        entry: The file.
        start: First row.
        stop: One past the last.
        former: The piece in an earlier version of the features, if only chosen dead letters of it
            are to be done again.
    """

    location: Location
    entry: FileEntry
    start: int
    stop: int
    former: Former | None = None


def plan_pieces(corpus: Dataset, unit_rows: int) -> list[CorpusPiece]:
    """The corpus's images in pieces of at most ``unit_rows``, in a stable order."""
    return [
        CorpusPiece(corpus.location, entry, start, min(start + unit_rows, entry.rows))
        for entry in corpus.files("images")
        for start in range(0, entry.rows, unit_rows)
    ]


class DecodePiece:
    """A task that reads and decodes one piece."""

    def __init__(self, config: ExtractConfig) -> None:
        self._config = config

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """One row in (unit, piece), one row out (pixels and what is known of them)."""
        started = time.perf_counter()
        piece: CorpusPiece = pickle.loads(row["piece"])  # noqa: S301 - our own bytes
        rows = read_rows(piece.location, piece.entry, piece.start, piece.stop, COLUMNS)
        count, kept, places = rows.num_rows, None, np.arange(rows.num_rows)
        if piece.former:
            kept = keep(piece.former, *(rows[name].to_pylist() for name in COLUMNS[:2]))
            places = np.array(kept.again, np.int64)
            rows = rows.take(places)
        read = time.perf_counter()
        decoded = _decoder(self._config.model_dump_json())(rows)
        dead = np.array(decoded.dead_places, np.int64)
        row_places = {
            "features": np.delete(places, dead).tolist(),
            "dead_letters": places[dead].tolist(),
        }
        return {
            "unit": row["unit"],
            "rows_in": count,
            "read_bytes": rows.nbytes,
            "read_s": read - started,
            "decode_s": time.perf_counter() - read,
            "decode_mb": private_mb(),
            "ids": pickle.dumps((decoded.image_ids, decoded.dead, kept, row_places)),
            "pixels": decoded.pixel_NHWC.tobytes(),
        }


@functools.lru_cache(maxsize=1)
def _decoder(config: str) -> Decoder:
    """This worker's decoder, whose process outlives one task."""
    return Decoder(ExtractConfig.model_validate_json(config))
