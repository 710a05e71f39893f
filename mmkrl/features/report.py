"""What an extraction says of itself: rates, where the time went, what was set aside and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pyarrow.parquet as pq

from mmkrl.data.manifest import UnitRecord
from mmkrl.storage import Location

_STAGES = ("read", "decode", "infer", "write")
_MEMORY = ("decode_mb", "infer_mb")  # private memory of a decoding and of an inference worker


def extraction_metrics(
    location: Location, units: Sequence[UnitRecord], seconds: float, workers: int
) -> dict[str, float]:
    """The figures of a finished extraction.

    Args:
        location: The dataset's folder.
        units: Its pieces.
        seconds: Wall time of this run; a run that went on from another did part of the pieces.
        workers: Inference workers.

    Returns:
        Rates over the wall time; worker seconds by stage; peaks of a worker's private
        memory, in MiB; the share of the workers' time spent in the network; dead letters by
        reason.
    """
    rows = sum(unit.rows_in for unit in units)
    totals = {f"{stage}_s": _total(units, f"{stage}_s") for stage in _STAGES}
    peaks = {
        f"peak_{name}": max((unit.stats.get(name, 0.0) for unit in units), default=0.0)
        for name in _MEMORY
    }
    reasons = {f"dead_{reason}": float(n) for reason, n in dead_letters(location, units).items()}
    return {
        "wall_s": seconds,
        "images_per_s": rows / seconds,
        "mb_per_s": _total(units, "read_bytes") / seconds / 1e6,
        "utilisation": totals["infer_s"] / (seconds * workers),
        **totals,
        **peaks,
        **reasons,
    }


def dead_letters(location: Location, units: Sequence[UnitRecord]) -> Counter[str]:
    """How many rows were set aside, by reason."""
    counts: Counter[str] = Counter()
    for unit in units:
        for entry in unit.files:
            if entry.table == "dead_letters":
                with (location / entry.path).open_input() as file:
                    counts.update(pq.read_table(file, columns=["reason"])["reason"].to_pylist())
    return counts


def _total(units: Sequence[UnitRecord], name: str) -> float:
    return sum(unit.stats.get(name, 0.0) for unit in units)
