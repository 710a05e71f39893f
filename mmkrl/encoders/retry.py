"""Doing chosen dead letters of a finished extraction again, and nothing else.

A unit is merged from what it had and what its retried rows became, in the order of the corpus,
so it is the unit an extraction without those faults would have written.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from mmkrl.data.dataset import read_table
from mmkrl.data.manifest import UnitRecord
from mmkrl.io.storage import Location

_TABLES = ("features", "dead_letters")


@dataclass(frozen=True)
class Former:
    """A unit as an earlier version of the dataset has it.

    Attributes:
        location: Folder of the earlier version.
        record: The unit's record.
        reasons: Reasons of the dead letters to do again.
    """

    location: Location
    record: UnitRecord
    reasons: frozenset[str]

    def table(self, name: str) -> pa.Table | None:
        """One of the unit's tables; None if it has no rows."""
        entries = [entry for entry in self.record.files if entry.table == name]
        return read_table(self.location, entries[0]) if entries else None

    @property
    def concerned(self) -> bool:
        """Whether the unit has dead letters of these reasons."""
        dead = self.table("dead_letters")
        return dead is not None and not self.reasons.isdisjoint(dead["reason"].to_pylist())


@dataclass(frozen=True)
class RetainedRows:
    """The rows of a former unit that stay, and where each stands in it.

    Attributes:
        tables: Features and dead letters.
        positions: Positions in the unit, by table.
        again: Positions of the rows to do again.
    """

    tables: dict[str, pa.Table]
    positions: dict[str, list[int]]
    again: list[int]


def keep(former: Former, ids: Sequence[str], uris: Sequence[str]) -> RetainedRows:
    """Find the rows of a former unit in the unit.

    Args:
        former: The unit as it was.
        ids: Image ids of the unit's rows, in the order of the corpus.
        uris: Their addresses.
    """
    features, dead = former.table("features"), former.table("dead_letters")
    assert dead is not None
    alive = deque(features["image_id"].to_pylist() if features is not None else [])
    lost = deque(dead.select(["record", "reason"]).to_pylist())
    positions: dict[str, list[int]] = {name: [] for name in _TABLES}
    again: list[int] = []
    stays: list[bool] = []
    for position, (image_id, uri) in enumerate(zip(ids, uris, strict=True)):
        told = bool(lost) and lost[0]["record"] == uri and uris.count(uri) == 1
        if alive and alive[0] == image_id and not told:
            alive.popleft()
            positions["features"].append(position)
            continue
        letter = lost.popleft()
        assert letter["record"] == uri
        stays.append(letter["reason"] not in former.reasons)
        (positions["dead_letters"] if stays[-1] else again).append(position)
    tables = {"dead_letters": dead.filter(pa.array(stays, pa.bool_()))}
    if features is not None:
        tables["features"] = features
    return RetainedRows(tables, positions, again)


def merge(
    kept: RetainedRows, tables: dict[str, pa.Table], positions: dict[str, list[int]]
) -> dict[str, pa.Table]:
    """The unit's tables, from the rows that stayed and those done again.

    Args:
        kept: What stayed.
        tables: What the retried rows became.
        positions: Positions in the unit of the rows of ``tables``.
    """
    merged = {}
    for name in _TABLES:
        stayed = [kept.tables[name].cast(tables[name].schema)] if name in kept.tables else []
        order = np.argsort([*kept.positions[name], *positions[name]], kind="stable")
        merged[name] = pa.concat_tables([*stayed, tables[name]]).take(pa.array(order, pa.int64()))
    return merged
