"""The decoding half of extraction: pieces of the corpus, and the task that decodes one.

It imports no torch, so that decoding workers start fast and stay small.
"""

from __future__ import annotations

import pickle
import time
from dataclasses import dataclass
from typing import Any

from mmkrl.data.dataset import Dataset
from mmkrl.data.manifest import FileEntry
from mmkrl.features.config import ExtractConfig
from mmkrl.features.decoding import decode_rows


@dataclass(frozen=True)
class CorpusPiece:
    """Some rows of one image file of the corpus."""

    corpus: Dataset
    entry: FileEntry
    start: int
    stop: int


def plan_pieces(corpus: Dataset, unit_rows: int) -> list[CorpusPiece]:
    """The corpus's images in pieces of at most ``unit_rows``, in a stable order."""
    return [
        CorpusPiece(corpus, entry, start, min(start + unit_rows, entry.rows))
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
        table = piece.corpus.read(piece.entry, ["image_id", "uri", "image"])
        rows = table.slice(piece.start, piece.stop - piece.start)
        decoded = decode_rows(rows, self._config)
        return {
            "unit": row["unit"],
            "rows_in": rows.num_rows,
            "read_bytes": rows.nbytes,
            "decode_s": time.perf_counter() - started,
            "ids": pickle.dumps((decoded.image_ids, decoded.dead)),
            "pixels": decoded.pixel_NHWC.tobytes(),
        }
