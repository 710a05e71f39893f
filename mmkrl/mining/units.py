"""The seam to whatever runs numbered units of work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from mmkrl.data.manifest import UnitRecord
from mmkrl.io.storage import Location

Unit = TypeVar("Unit")


class RunUnits(Protocol):
    """Runs those units of a list of work that are not yet published."""

    def __call__(
        self,
        location: Location,
        units: Sequence[Unit],
        work: Callable[[int, Unit], UnitRecord],
        *,
        label: str,
    ) -> list[UnitRecord]:
        """The records of all units, in order."""
        ...
