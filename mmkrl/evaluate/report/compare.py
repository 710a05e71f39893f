"""Evaluations side by side: paired differences, relation by relation, query by query.

Everything is told against the first of them. Differences are paired query by query and resampled
by group (:func:`~mmkrl.evaluate.metrics.intervals.paired_test`); p-values are those of each number
alone, not corrected for how many there are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmkrl.data.splits.names import TEST
from mmkrl.errors import UserError
from mmkrl.evaluate.config import EvaluateConfig
from mmkrl.evaluate.metrics.intervals import Interval, paired_test
from mmkrl.evaluate.metrics.metric import Metric
from mmkrl.evaluate.report.evaluation import Evaluation
from mmkrl.evaluate.report.query_values import Headline, QueryValues

_ONE_RELATION = ", relation "
_MOST = 6  # queries shown in either direction


@dataclass(frozen=True)
class Side:
    """One of what is compared: a method of an evaluation."""

    name: str
    evaluation: Evaluation
    method: str


@dataclass(frozen=True)
class Difference:
    """How far a side is above the first, query by query, and how surprising that is."""

    interval: Interval
    p: float
    queries: int


@dataclass(frozen=True)
class Number:
    """A metric of a task: its interval by side, and the differences from the first side.

    Attributes:
        headline: Task and metric.
        metric: The metric itself, as the first side describes it.
        values: By side; None where a side has no such number.
        differences: By side but the first; None where there are no paired values.
        headlined: Whether it is one by which methods are judged.
    """

    headline: Headline
    metric: Metric
    values: list[Interval | None]
    differences: list[Difference | None]
    headlined: bool

    @property
    def sign(self) -> int:
        """1 if higher is better, -1 if lower."""
        return 1 if self.metric.higher_is_better else -1


@dataclass(frozen=True)
class Relation:
    """The queries about one relation: on how many a side is better than the first, equal, worse."""

    name: str
    better: int
    equal: int
    worse: int
    mean: float

    @property
    def queries(self) -> int:
        """How many there are."""
        return self.better + self.equal + self.worse


@dataclass(frozen=True)
class Query:
    """A query with the values of the first side and of another one."""

    name: str
    relation: str
    first: float
    other: float

    @property
    def difference(self) -> float:
        """The other's value minus the first's."""
        return self.other - self.first


@dataclass(frozen=True)
class Against:
    """A side against the first one, by the first headline.

    Attributes:
        side: The other side.
        relations: By relation, those first that make most of the difference; empty if queries are
            about none.
        gained: The queries on which the other side is furthest ahead.
        lost: Those on which it is furthest behind.
    """

    side: Side
    relations: list[Relation]
    gained: list[Query]
    lost: list[Query]


@dataclass(frozen=True)
class Compared:
    """Everything that a comparison tells.

    Attributes:
        sides: What is compared.
        headline: The task and metric by which queries and relations are told apart.
        problems: Why the sides cannot be compared, one sentence each; empty if they can.
        numbers: Every number that the first side has.
        against: The other sides.
    """

    sides: list[Side]
    headline: Headline
    problems: list[str]
    numbers: list[Number]
    against: list[Against]


def compare(sides: Sequence[Side], config: EvaluateConfig, *, anyway: bool = False) -> Compared:
    """Put evaluations side by side.

    Args:
        sides: At least two.
        config: Settings of the bootstrap.
        anyway: Compare what cannot be compared, on the queries that are the same.

    Raises:
        UserError: fewer than two sides, or sides that cannot be compared; where they share no query
            of the first headline, ``anyway`` does not help.
    """
    if len(sides) < 2:
        raise UserError(f"{len(sides)} evaluation is given: name at least two to compare")
    first, *others = sides
    headline = first.evaluation.headlines[0]
    problems = [problem for other in others for problem in incomparable(first, other)]
    if problems and not anyway:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise UserError(f"not comparable: {problems[0]}{more}; --anyway compares them all the same")
    return Compared(
        list(sides),
        headline,
        problems,
        _numbers(sides, config),
        [_against(first, other, headline) for other in others],
    )


def figures(compared: Compared) -> dict[str, float]:
    """The differences of the headline numbers, flat: side, task and metric in the name."""
    found: dict[str, float] = {"problems": float(len(compared.problems))}
    for number in (number for number in compared.numbers if number.headlined):
        for against, difference in zip(compared.against, number.differences, strict=True):
            if difference:
                name = "/".join((against.side.name, *number.headline)).replace(" ", "_")
                found |= {name: difference.interval.mean, f"{name}/p": difference.p}
    return found


def incomparable(first: Side, other: Side) -> list[str]:
    """Why two sides do not measure the same thing, one sentence each."""
    names, here, there = f"{first.name} and {other.name}", first.evaluation, other.evaluation
    problems = [
        f"{names} stand on different data: {job} is {here.data.get(job, 'not there')[:12]} in "
        f"{first.name}, {there.data.get(job, 'not there')[:12]} in {other.name}"
        for job in sorted({*here.data, *there.data})
        if here.data.get(job) != there.data.get(job)
    ]
    mine, theirs = here.results[first.method], there.results[other.method]
    for task in (task for task in mine if task in theirs and _ONE_RELATION not in task):
        sizes = [(each[task].n_queries, each[task].n_gallery) for each in (mine, theirs)]
        if sizes[0] != sizes[1]:
            told = [f"{queries} queries among {gallery}" for queries, gallery in sizes]
            problems.append(f"{names} have different pools for {task}: {told[0]}, and {told[1]}")
    return problems


def _numbers(sides: Sequence[Side], config: EvaluateConfig) -> list[Number]:
    results = [side.evaluation.results[side.method] for side in sides]
    judged = set(sides[0].evaluation.headlines)
    metrics = sides[0].evaluation.metrics
    measured = [set(side.evaluation.measured(TEST, side.method)) for side in sides]
    return [
        Number(
            (task, name),
            metrics[name],
            [each[task].metrics.get(name) if task in each else None for each in results],
            [
                _difference(sides[0], other, (task, name), config)
                if (task, name) in measured[0] & measured[i] and metrics[name].statistic == "mean"
                else None
                for i, other in enumerate(sides[1:], start=1)
            ],
            (task, name) in judged,
        )
        for task, scores in results[0].items()
        if _ONE_RELATION not in task
        for name in scores.metrics
    ]


def _difference(
    first: Side, other: Side, headline: Headline, config: EvaluateConfig
) -> Difference | None:
    a, b = _both(first, other, headline)
    there_Q = np.isfinite(a.mean_Q) & np.isfinite(b.mean_Q)
    if not there_Q.any():
        return None
    values = b.mean_Q[there_Q], a.mean_Q[there_Q]
    settings = {"resamples": config.resamples, "seed": config.seed}
    interval, p = paired_test(*values, a.group_Q[there_Q], **settings)
    return Difference(interval, p, int(there_Q.sum()))


def _both(first: Side, other: Side, headline: Headline) -> tuple[QueryValues, QueryValues]:
    """The values of two sides on the same queries, in the same order."""
    a, b = (side.evaluation.query_values(TEST, side.method, headline) for side in (first, other))
    if list(a.queries.names) == list(b.queries.names):
        return a, b
    row_of = {name: row for row, name in enumerate(b.queries.names)}
    rows = {name: row for row, name in enumerate(a.queries.names) if name in row_of}
    return a.subset(list(rows.values())), b.subset([row_of[name] for name in rows])


def _against(first: Side, other: Side, headline: Headline) -> Against:
    a, b = _both(first, other, headline)
    if not len(a.queries.names):
        raise UserError(
            f"{first.name} and {other.name} share no query of '{' '.join(headline)}': there is "
            "nothing to compare"
        )
    rows = zip(
        a.queries.names, a.queries.relations, a.mean_Q.tolist(), b.mean_Q.tolist(), strict=True
    )
    queries = [Query(*row) for row in rows if np.isfinite(row[2:]).all()]
    ordered = sorted(queries, key=lambda query: (-query.difference, query.name))
    return Against(
        other,
        _relations(queries),
        [query for query in ordered[:_MOST] if query.difference > 0],
        [query for query in ordered[: -_MOST - 1 : -1] if query.difference < 0],
    )


def _relations(queries: Sequence[Query]) -> list[Relation]:
    differences: dict[str, list[float]] = defaultdict(list)
    for query in queries:
        if query.relation:
            differences[query.relation].append(query.difference)
    relations = [
        Relation(
            name,
            sum(value > 0 for value in values),
            sum(value == 0 for value in values),
            sum(value < 0 for value in values),
            float(np.mean(values)),
        )
        for name, values in differences.items()
    ]
    return sorted(relations, key=lambda one: (-abs(one.mean * one.queries), one.name))
