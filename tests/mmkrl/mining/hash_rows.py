"""Hashes of images that do not exist, as a dataset has them, and units of work that run here."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa

from mmkrl.data.dataset import finished_units, write_unit
from mmkrl.data.schemas import HASHES
from mmkrl.io.storage import Location


def run_here(location, pieces, work, *, label):
    """What ``cluster.units.run_units`` does, in this process."""
    done = finished_units(location)
    return [done.get(n) or work(n, piece) for n, piece in enumerate(pieces)]


def image(name: str, hash_W, pixels: int = 100, uri: str = "") -> dict:
    """A row of table ``hashes``."""
    image_id = hashlib.sha256(name.encode()).hexdigest()[:32]
    data = np.asarray(hash_W, np.uint64).tobytes()
    return {"image_id": image_id, "uri": uri or name, "pixels": pixels, "hash": data}


def write_hashes(location: Location, rows: list[dict], unit_rows: int = 1000):
    """Publish hashes as units."""
    return [
        write_unit(
            location,
            number,
            {"hashes": pa.Table.from_pylist(rows[start : start + unit_rows], HASHES.arrow)},
            rows_in=len(rows[start : start + unit_rows]),
            rows_out=len(rows[start : start + unit_rows]),
        )
        for number, start in enumerate(range(0, len(rows), unit_rows))
    ]
