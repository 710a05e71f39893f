"""Methods that are measured side by side on the same tasks, and their report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from mmkrl.evaluate.summary import Headline
from mmkrl.evaluate.tasks import TaskValues


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
        """All task values of a method."""
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
