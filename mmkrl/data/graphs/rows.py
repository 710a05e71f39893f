"""Rows of files, with the address of each, and an account of what became of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pyarrow as pa

from mmkrl.arrays import BoolArray, IntArray
from mmkrl.data.dead_letters import dead_letter
from mmkrl.io.storage import Location

STAGE = "graph"
_SHOWN = 100  # characters of a value that a message quotes


@dataclass(frozen=True)
class Rows:
    """Some rows of one file.

    Attributes:
        file: The file.
        number: Each row's number in it, from 1.
        values: What they hold.
        unit: What a row of this file is called.
    """

    file: Location
    number: IntArray
    values: pa.Table
    unit: Literal["line", "row"] = "line"

    def __len__(self) -> int:
        return len(self.number)

    def address(self, position: int) -> str:
        """Where a row stands."""
        return f"{self.file} {self.unit} {self.number[position]}"

    def where(self, mask: BoolArray) -> Rows:
        """Some of these rows."""
        return Rows(self.file, self.number[mask], self.values.filter(pa.array(mask)), self.unit)

    def holding(self, values: pa.Table) -> Rows:
        """The same rows with other values."""
        return Rows(self.file, self.number, values, self.unit)


@dataclass
class Account:
    """How many rows were read, and those that were set aside.

    Attributes:
        rows_in: Rows read, of all files.
        dead: Rows of the table ``dead_letters``.
    """

    rows_in: int = 0
    dead: list[dict[str, str]] = field(default_factory=list)

    def keep(self, rows: Rows, fine: BoolArray, reason: str, detail: Callable[[int], str]) -> Rows:
        """The rows that are fine; the others are set aside.

        Args:
            rows: A batch of rows.
            fine: Which of them can be used.
            reason: A short code for the others.
            detail: What is wrong with the row at a position.
        """
        if fine.all():
            return rows
        for position in np.flatnonzero(~fine).tolist():
            address = rows.address(position)
            self.dead.append(dead_letter(STAGE, address, reason, detail(position)))
        return rows.where(fine)

    def reasons(self) -> dict[str, int]:
        """How many rows were set aside for each reason."""
        return dict(sorted(Counter(row["reason"] for row in self.dead).items()))


def shown(value: object) -> str:
    """A value as a message quotes it."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def mask(values: pa.Array | pa.ChunkedArray) -> BoolArray:
    """Truth values of Arrow as those of numpy; null is false."""
    return np.asarray(values.fill_null(False).to_numpy(zero_copy_only=False), dtype=np.bool_)
