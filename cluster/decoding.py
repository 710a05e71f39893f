"""The decoding half of extraction: units of the corpus, and the task that decodes one.

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
class CorpusUnit:
    """A unit of extraction: neighbouring rows of one image file of the corpus.

    Attributes:
        location: The corpus.
        entry: The file.
        start: First row.
        stop: One past the last.
        former: The unit in an earlier version of the features, if only chosen dead letters of it
            are to be done again.
    """

    location: Location
    entry: FileEntry
    start: int
    stop: int
    former: Former | None = None


def plan_units(corpus: Dataset, unit_rows: int) -> list[CorpusUnit]:
    """The corpus's images in units of at most ``unit_rows``, in a stable order."""
    return [
        CorpusUnit(corpus.location, entry, start, min(start + unit_rows, entry.rows))
        for entry in corpus.files("images")
        for start in range(0, entry.rows, unit_rows)
    ]


class DecodeUnit:
    """A task that reads and decodes one unit.

    Args:
        config: How to decode.
        deduped: Output of the job ``dedupe``, if duplicates are to be left out.
    """

    def __init__(self, config: ExtractConfig, deduped: Dataset | None = None) -> None:
        self._config = config
        self._deduped = deduped

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """One row in (number, unit), one row out (pixels and what is known of them)."""
        started = time.perf_counter()
        unit: CorpusUnit = pickle.loads(row["unit"])  # noqa: S301 - our own bytes
        rows = read_rows(unit.location, unit.entry, unit.start, unit.stop, COLUMNS)
        ids, uris = (rows[name].to_pylist() for name in COLUMNS[:2])
        kept = keep(unit.former, ids, uris) if unit.former else None
        position_N = np.array(kept.again if kept else range(len(ids)), np.int64)
        repeated_N = self._repeated(rows)[position_N]
        wanted_N = position_N[~repeated_N]
        read = time.perf_counter()
        decoded = Decoder(self._config)(rows.take(wanted_N))
        dead = {int(wanted_N[i]): letter for i, letter in decoded.dead.items()}
        dead |= {
            int(i): dead_letter("extract", uris[i], "duplicate", _REPEATED)
            for i in position_N[repeated_N]
        }
        positions = {
            "features": [int(i) for i in wanted_N if int(i) not in dead],
            "dead_letters": sorted(dead),
        }
        letters = [dead[position] for position in sorted(dead)]
        return {
            "number": row["number"],
            "rows_in": rows.num_rows,
            "read_bytes": rows.nbytes,
            "read_s": read - started,
            "decode_s": time.perf_counter() - read,
            "decode_mb": private_mb(),
            "ids": pickle.dumps((decoded.image_ids, letters, kept, positions)),
            "pixels": decoded.pixel_NHWC.tobytes(),
        }

    def _repeated(self, rows: pa.Table) -> npt.NDArray[np.bool_]:
        """For every row whether it is left out as a duplicate."""
        if self._deduped is None:
            return np.zeros(rows.num_rows, bool)
        return superseded(self._deduped).among(rows)
