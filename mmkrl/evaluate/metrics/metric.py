"""What a metric is: a value a query, how values are summed up, and which direction is better.

One's own is one file, such as ``my_lab.py`` where jobs are started (or on ``PYTHONPATH``)::

    from mmkrl.evaluate.metrics.metric import Metric

    def misses(ranking):
        return ranking.rank_Q > 50

    MissesAt50 = Metric("misses at 50", misses, higher_is_better=False)

and ``evaluate.metrics: [python:my_lab:MissesAt50]`` measures it in every task that ranks. A package
gives it a name with the entry point ``misses = my_lab:MissesAt50`` in the group ``mmkrl.metrics``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from mmkrl.arrays import FloatArray
from mmkrl.errors import UserError
from mmkrl.evaluate.metrics.ties import FirstMarked, MarkedPositions

Statistic: TypeAlias = Literal["mean", "median"]
"""How the values of all queries become one number. A mean has paired differences between methods;
the difference of two medians is no statistic of the queries' differences, so a median has none."""


@dataclass(frozen=True)
class Ranking:
    """Where the right answers of Q queries stand among all candidates.

    Attributes:
        rank_Q: Rank, from 1, of the best right answer of each query; of tied candidates, the
            expected rank over random orders.
        positions: Where all right answers stand, with their ties; None for link prediction, which
            looks for one answer and knows its rank alone.
    """

    rank_Q: FloatArray
    positions: MarkedPositions | None = None

    @classmethod
    def of(cls, positions: MarkedPositions) -> Ranking:
        """The ranking of queries with the positions of all their right answers."""
        return cls(FirstMarked.of(positions).rank().cpu().numpy(), positions)

    @functools.cached_property
    def first(self) -> FirstMarked | None:
        """The tie group of the best right answer; None where the rank alone is known."""
        return None if self.positions is None else FirstMarked.of(self.positions)


@dataclass(frozen=True)
class Metric:
    """A metric, as the report, its intervals and comparisons see it.

    Attributes:
        name: What it is called in reports; stored values are found by it.
        value: Value of each query, shape (Q,), from a ranking; a query's value must not depend on
            the queries that are ranked with it. None for metrics that their own task computes.
        statistic: How values become one number.
        higher_is_better: Which direction is better.
        digits: Digits after the point where it is shown to people.
        all_answers: Whether ``value`` needs :attr:`Ranking.positions`, which link prediction does
            not have.
    """

    name: str
    value: Callable[[Ranking], Any] | None = None
    statistic: Statistic = "mean"
    higher_is_better: bool = True
    digits: int = 3
    all_answers: bool = False

    @property
    def title(self) -> str:
        """The name as the head of a column: an arrow marks what is better when lower."""
        return self.name if self.higher_is_better else f"{self.name} ↓"

    def to_json(self) -> dict[str, Any]:
        """What a report keeps, so that its readers need not have the metric installed."""
        return {
            "statistic": self.statistic,
            "higher_is_better": self.higher_is_better,
            "digits": self.digits,
        }

    @staticmethod
    def from_json(name: str, values: Mapping[str, Any]) -> Metric:
        """The metric of a report, without its ``value``."""
        return Metric(name, **values)


def measure(ranking: Ranking, metrics: Iterable[Metric]) -> dict[str, FloatArray]:
    """The values of every query by metric name, shape (Q,) each, float64.

    Args:
        ranking: Where the right answers stand.
        metrics: What to measure; of several with one name, all must be the same object.

    Raises:
        UserError: two metrics of one name, or a metric that does not give one number a query.
    """
    found: dict[str, Metric] = {}
    for metric in metrics:
        if found.setdefault(metric.name, metric) is not metric:
            raise UserError(
                f"two metrics are called {metric.name!r} and this task measures both: give your "
                "own another name"
            )
    return {name: _values(ranking, metric) for name, metric in found.items()}


def _values(ranking: Ranking, metric: Metric) -> FloatArray:
    if metric.value is None:
        raise UserError(f"{metric.name!r} is computed by its own task, not from rankings")
    value_Q = np.asarray(metric.value(ranking), np.float64)
    if value_Q.shape != ranking.rank_Q.shape:
        raise UserError(
            f"metric {metric.name!r} gave values of shape {value_Q.shape} for rankings of shape "
            f"{ranking.rank_Q.shape}: it must give one number a query"
        )
    return value_Q
