"""Numbered units of work spread over the cluster with Ray Data.

Each unit publishes its own files, so what comes back over Ray is only a small record; units already
published by an earlier, interrupted run are not done again.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import ray
from ray.data import Dataset, TaskPoolStrategy

from cluster.progress import progress
from cluster.session import cores
from mmkrl.data.dataset import finished_units
from mmkrl.data.manifest import UnitRecord
from mmkrl.io.storage import Location

_TASK_CPUS = 0.5

Unit = TypeVar("Unit")


def run_units(
    location: Location,
    units: Sequence[Unit],
    work: Callable[[int, Unit], UnitRecord],
    *,
    label: str,
) -> list[UnitRecord]:
    """Do every unit that is not yet published, in parallel tasks.

    Args:
        location: The dataset the units are published in.
        units: The whole list of work; a unit's position is its number.
        work: Does one unit and publishes it; must be importable or a closure that pickles.
        label: Name for the progress display.

    Returns:
        The records of all units, in order.
    """

    def task(row: dict[str, Any]) -> dict[str, Any]:
        return {"record": work(row["number"], pickle.loads(row["unit"])).model_dump_json()}  # noqa: S301 - our own bytes

    done = finished_units(location)
    if not done.keys() >= set(range(len(units))):  # others may write units of higher numbers here
        pending = pending_units(units, done)
        results = pending.map(task, num_cpus=_TASK_CPUS, compute=TaskPoolStrategy(size=cores()))
        done |= collect(results.iter_rows(), len(units), done, label=label)
    return [done[number] for number in range(len(units))]


def pending_units(units: Sequence[Unit], done: dict[int, UnitRecord]) -> Dataset:
    """A Ray dataset of the units still to do, one row and one block each; there must be some."""
    # A task of Ray Data takes a block, so units that shared one would be done one after another,
    # and be lost together.
    rows = [
        {"number": number, "unit": pickle.dumps(unit)}
        for number, unit in enumerate(units)
        if number not in done
    ]
    return ray.data.from_items(rows, override_num_blocks=len(rows))


def collect(
    rows: Iterable[dict[str, Any]], total: int, done: dict[int, UnitRecord], *, label: str
) -> dict[int, UnitRecord]:
    """Take in the records as they come, showing progress in input rows of the units."""
    records = {}
    seen = sum(record.rows_in for record in done.values())
    with progress(0, label, "rows") as bar:
        bar.update(seen)
        for row in rows:
            record = UnitRecord.model_validate_json(row["record"])
            records[record.unit] = record
            seen += record.rows_in
            finished = len(done) + len(records)
            # How many rows the other units have is known when they are done: the mean so far.
            bar.total = seen * total // finished
            bar.update(record.rows_in)
    return records
