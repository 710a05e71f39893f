"""What an evaluation keeps of every query, so that evaluations can be compared later, in pairs.

Queries and values are two tables of its dataset (:data:`mmkrl.data.schemas.QUERIES`,
:data:`~mmkrl.data.schemas.VALUES`): the values of a method are in the order of the task's queries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mmkrl.arrays import IntArray
from mmkrl.data.schemas import QUERIES, VALUES
from mmkrl.errors import UserError
from mmkrl.evaluate.tasks.values import TaskValues

Headline = tuple[str, str]
"""A task and a metric."""
Tables = dict[str, pa.Table]


@dataclass(frozen=True)
class QueryNames:
    """The queries of a task by name.

    Attributes:
        names: The name of each query, unique within the task.
        relations: The relation each is about; empty if there are none.
    """

    names: Sequence[str]
    relations: Sequence[str]


@dataclass(frozen=True)
class QueryValues:
    """The values of one method on the queries of one task.

    Attributes:
        queries: Their names.
        group_Q: What each belongs to; intervals resample these.
        value_SQ: A row a seed.
    """

    queries: QueryNames
    group_Q: npt.NDArray[np.int64]
    value_SQ: npt.NDArray[np.float64]

    @property
    def mean_Q(self) -> npt.NDArray[np.float64]:
        """Each query's value, averaged over seeds."""
        mean_Q: npt.NDArray[np.float64] = self.value_SQ.mean(axis=0)
        return mean_Q

    def subset(self, rows: Sequence[int]) -> QueryValues:
        """The values on the chosen queries."""
        names, relations = self.queries.names, self.queries.relations
        queries = QueryNames([names[row] for row in rows], [relations[row] for row in rows])
        index_R = np.array(rows, np.int64)
        return QueryValues(queries, self.group_Q[index_R], self.value_SQ[:, index_R])


def query_table(split: str, task: str, names: QueryNames, groups: IntArray) -> pa.Table:
    """The queries of a task as rows of the table ``queries``."""
    count = len(groups)
    columns = {
        "split": pa.repeat(split, count),
        "task": pa.repeat(task, count),
        "query": pa.array(names.names, pa.string()),
        "relation": pa.array(names.relations, pa.string()),
        "group": pa.array(groups),
    }
    return QUERIES.check(pa.table(columns))


def value_table(
    split: str,
    values: Mapping[str, Sequence[Mapping[str, TaskValues]]],
    columns: Sequence[Headline],
) -> pa.Table:
    """Values as rows of the table ``values``.

    Args:
        split: Whose queries.
        values: Task values by method, one entry a seed.
        columns: The numbers to store; those that a method lacks are left out.
    """
    rows = [
        {
            "split": split,
            "method": method,
            "run": run,
            "task": task,
            "metric": metric,
            "value": tasks[task].values[metric],
        }
        for method, seeds in values.items()
        for run, tasks in enumerate(seeds)
        for task, metric in columns
        if task in tasks and metric in tasks[task].values
    ]
    return VALUES.check(pa.Table.from_pylist(rows, VALUES.arrow))


def query_values(tables: Tables, split: str, method: str, headline: Headline) -> QueryValues:
    """The values of a method.

    Args:
        tables: The tables ``queries`` and ``values``.
        split: Whose queries.
        method: The method's label.
        headline: Task and metric.

    Raises:
        UserError: there are none.
    """
    task, metric = headline
    wanted = {"split": split, "method": method, "task": task, "metric": metric}
    found = _rows(tables["values"], wanted).sort_by("run")
    if not found.num_rows:
        raise UserError(f"no values of {method!r} on the {split} queries of '{task} {metric}'")
    queries = _rows(tables["queries"], {"split": split, "task": task})
    names = QueryNames(queries["query"].to_pylist(), queries["relation"].to_pylist())
    values = np.array(found["value"].to_pylist(), float)
    return QueryValues(names, queries["group"].to_numpy(), values)


def headlines(tables: Tables, split: str, method: str) -> list[Headline]:
    """Every task and metric of which a method has values, in the order they were stored."""
    found = _rows(tables["values"], {"split": split, "method": method})
    pairs = zip(found["task"].to_pylist(), found["metric"].to_pylist(), strict=True)
    return list(dict.fromkeys(pairs))


def _rows(table: pa.Table, wanted: Mapping[str, str]) -> pa.Table:
    mask = pa.array(np.ones(table.num_rows, bool))
    for column, value in wanted.items():
        mask = pc.and_(mask, pc.equal(table[column], value))
    return table.filter(mask)
