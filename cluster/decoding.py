"""The decoding half of extraction: pieces of the corpus, and the task that decodes one.

It imports no torch, so that decoding tasks start fast; the process that decodes for them does.
"""

from __future__ import annotations

import pickle
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cluster.session import private_mb
from mmkrl.data.dataset import Dataset, read_rows
from mmkrl.data.dead_letters import dead_letter
from mmkrl.data.manifest import FileEntry
from mmkrl.data.views.duplicates import superseded
from mmkrl.encoders.config import ExtractConfig
from mmkrl.encoders.decoding import COLUMNS, Decoder
from mmkrl.encoders.retry import Former, keep
from mmkrl.io.storage import Location

_REPEATED = "another image stands for it; see dedupe"


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
    """A task that reads and decodes one piece.

    Args:
        config: How to decode.
        deduped: Output of the job ``dedupe``, if duplicates are to be left out.
    """

    def __init__(self, config: ExtractConfig, deduped: Dataset | None = None) -> None:
        self._config = config
        self._deduped = deduped

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """One row in (unit, piece), one row out (pixels and what is known of them)."""
        started = time.perf_counter()
        piece: CorpusPiece = pickle.loads(row["piece"])  # noqa: S301 - our own bytes
        rows = read_rows(piece.location, piece.entry, piece.start, piece.stop, COLUMNS)
        ids, uris = (rows[name].to_pylist() for name in COLUMNS[:2])
        kept = keep(piece.former, ids, uris) if piece.former else None
        place_N = np.array(kept.again if kept else range(len(ids)), np.int64)
        repeated_N = self._repeated(rows)[place_N]
        wanted_N = place_N[~repeated_N]
        read = time.perf_counter()
        decoded = Decoder(self._config)(rows.take(wanted_N))
        dead = {int(wanted_N[i]): letter for i, letter in decoded.dead.items()}
        dead |= {
            int(i): dead_letter("extract", uris[i], "duplicate", _REPEATED)
            for i in place_N[repeated_N]
        }
        places = {
            "features": [int(i) for i in wanted_N if int(i) not in dead],
            "dead_letters": sorted(dead),
        }
        letters = [dead[place] for place in sorted(dead)]
        return {
            "unit": row["unit"],
            "rows_in": rows.num_rows,
            "read_bytes": rows.nbytes,
            "read_s": read - started,
            "decode_s": time.perf_counter() - read,
            "decode_mb": private_mb(),
            "ids": pickle.dumps((decoded.image_ids, letters, kept, places)),
            "pixels": decoded.pixel_NHWC.tobytes(),
        }

    def _repeated(self, rows: pa.Table) -> npt.NDArray[np.bool_]:
        """For every row whether it is left out as a duplicate."""
        if self._deduped is None:
            return np.zeros(rows.num_rows, bool)
        return superseded(self._deduped).among(rows)
