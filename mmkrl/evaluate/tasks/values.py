"""What is measured of a method: the values of a task, a row a query."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Values = Mapping[str, npt.NDArray[np.float64]]


@dataclass(frozen=True)
class TaskValues:
    """One method's values on one task, a row a query.

    Attributes:
        values: Metric values by name, each of length Q.
        groups: What each query belongs to (a relationship, a triple); intervals resample these.
        definition: What counts as right.
        queries: Size of the query pool, skipped ones included.
        gallery: Items each query is compared with.
        asked: Position of each query in what the task asks about, where values are to be kept by
            query; what the positions count is for those who know the data to say.
    """

    values: Values
    groups: npt.NDArray[np.int64]
    definition: str
    queries: int
    gallery: int
    asked: npt.NDArray[np.int64] | None = None
