"""Methods that are measured side by side on the same tasks, and their report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import pyarrow as pa

from mmkrl.data.dataset import write_unit
from mmkrl.data.manifest import UnitRecord
from mmkrl.evaluate.report.query_values import QueryNames, query_table, value_table
from mmkrl.evaluate.report.summary import Headline
from mmkrl.evaluate.tasks.values import TaskValues
from mmkrl.io.storage import Location


class Comparison(Protocol):
    """What a report needs of a kind of model; it must pickle, since methods are measured apart."""

    @property
    def title(self) -> str:
        """Heading of the table."""
        ...

    @property
    def headlines(self) -> Sequence[Headline]:
        """The numbers by which methods are compared."""
        ...

    @property
    def columns(self) -> Sequence[Headline]:
        """The numbers that the table shows."""
        ...

    @property
    def reference(self) -> str:
        """The label of the method whose lead over the others is told."""
        ...

    def methods(self) -> Sequence[tuple[str, ...]]:
        """Every method to measure, as arguments of :meth:`label` and :meth:`measure`."""
        ...

    @property
    def label(self) -> Callable[..., str]:
        """What a method is called; its seeds share one label."""
        ...

    @property
    def measure(self) -> Callable[..., dict[str, TaskValues]]:
        """All task values of a split and a method."""
        ...

    @property
    def served(self) -> tuple[str, ...]:
        """The method of the first member, the one that can be registered."""
        ...

    def named(self, split: str, tasks: Mapping[str, TaskValues]) -> dict[str, QueryNames]:
        """The queries of those tasks, by name, of which values are kept by query."""
        ...


def by_label(
    compared: Comparison, measured: Mapping[tuple[str, ...], dict[str, TaskValues]]
) -> dict[str, list[dict[str, TaskValues]]]:
    """What was measured, by label; methods that differ in their seed share one.

    Args:
        compared: The comparison.
        measured: Task values by method.
    """
    values: dict[str, list[dict[str, TaskValues]]] = {}
    for method, tasks in measured.items():
        values.setdefault(compared.label(*method), []).append(tasks)
    return values


def keep_values(
    location: Location,
    compared: Comparison,
    values: Mapping[str, Mapping[str, Sequence[Mapping[str, TaskValues]]]],
) -> UnitRecord:
    """Write all values of the tasks that know what each of their queries asks.

    Args:
        location: The dataset of the evaluation.
        compared: The comparison.
        values: Task values by split and method, one entry a seed.
    """
    queries, kept = [], []
    for split, methods in values.items():
        first = next(iter(methods.values()))[0]
        tasks = {name: task for name, task in first.items() if task.asked is not None}
        columns = [(name, metric) for name, task in tasks.items() for metric in task.values]
        named = compared.named(split, tasks)
        queries += [query_table(split, name, named[name], tasks[name].groups) for name in tasks]
        kept.append(value_table(split, methods, columns))
    tables = {"queries": pa.concat_tables(queries), "values": pa.concat_tables(kept)}
    rows = tables["queries"].num_rows
    return write_unit(location, 0, tables, rows_in=rows, rows_out=rows)


def notes(
    compared: Comparison, headlines: Sequence[Headline], columns: Sequence[Headline]
) -> dict[str, Any]:
    """What an evaluation's manifest says of what was compared."""
    return {
        "title": compared.title,
        "reference": compared.reference,
        "served": list(compared.served),
        "headlines": [list(pair) for pair in headlines],
        "columns": [list(pair) for pair in columns],
    }
