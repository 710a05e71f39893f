"""What an extraction says of itself: rates, where the time went, what was set aside and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pyarrow.parquet as pq

from mmkrl.data.manifest import UnitRecord
from mmkrl.io.storage import Location

_STAGES = ("read", "decode", "infer", "write")
_MEMORY = ("decode_mb", "infer_mb")  # private memory of a decoding and of an inference worker


def extraction_metrics(
    location: Location, units: Sequence[UnitRecord], since: float, workers: int
) -> dict[str, float]:
    """The figures of a finished extraction.

    Args:
        location: The dataset's folder.
        units: Its units; rates and times are those of the units done by this run.
        since: When this run began, in seconds since the epoch.
        workers: Inference workers.

    Returns:
        The start-up until the first picture is inferred; rates over the time after it; worker
        seconds by stage; peaks of a worker's private memory, in MiB; the share of the workers'
        time spent in the network; dead letters by reason.
    """
    reasons = {f"dead_{reason}": float(n) for reason, n in dead_letters(location, units).items()}
    fresh = [unit for unit in units if unit.stats.get("began_at", 0.0) >= since]
    if not fresh:
        return reasons
    began = min(unit.stats["began_at"] for unit in fresh)
    seconds = max(unit.stats["ended_at"] for unit in fresh) - began
    totals = {f"{stage}_s": _total(fresh, f"{stage}_s") for stage in _STAGES}
    peaks = {f"peak_{name}": max(unit.stats[name] for unit in fresh) for name in _MEMORY}
    return {
        "start_up_s": began - since,
        "wall_s": seconds,
        "images_per_s": sum(unit.rows_in for unit in fresh) / seconds,
        "mb_per_s": _total(fresh, "read_bytes") / seconds / 1e6,
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
    return sum(unit.stats[name] for unit in units)
