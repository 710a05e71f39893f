"""The decoding half of extraction: pieces of the corpus, and the task that decodes one.

It imports no torch, so that decoding tasks start fast; the process that decodes for them does.
"""

from __future__ import annotations

import functools
import pickle
import time
from dataclasses import dataclass
from typing import Any

from cluster.session import private_mb
from mmkrl.data.dataset import Dataset
from mmkrl.data.manifest import FileEntry
from mmkrl.features.config import ExtractConfig
from mmkrl.features.decoding import COLUMNS, Decoder


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
        rows = piece.corpus.read_rows(piece.entry, piece.start, piece.stop, COLUMNS)
        read = time.perf_counter()
        decoded = _decoder(self._config.model_dump_json())(rows)
        return {
            "unit": row["unit"],
            "rows_in": rows.num_rows,
            "read_bytes": rows.nbytes,
            "read_s": read - started,
            "decode_s": time.perf_counter() - read,
            "decode_mb": private_mb(),
            "ids": pickle.dumps((decoded.image_ids, decoded.dead)),
            "pixels": decoded.pixel_NHWC.tobytes(),
        }


@functools.lru_cache(maxsize=1)
def _decoder(config: str) -> Decoder:
    """This worker's decoder, whose process outlives one task."""
    return Decoder(ExtractConfig.model_validate_json(config))
