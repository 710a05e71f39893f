"""A handful of independent calculations, each in a task of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import ray

from cluster.progress import progress
from cluster.session import cores

Name = TypeVar("Name")
Result = TypeVar("Result")


def parallel(
    work: Callable[..., Result], calls: Mapping[Name, tuple[Any, ...]], *, label: str
) -> dict[Name, Result]:
    """Call a function with several sets of arguments, as many at a time as there are cores.

    Args:
        work: The function.
        calls: Arguments by name.
        label: Name for the progress display.

    Returns:
        Results by name, in the order of ``calls``.
    """
    task: Any = ray.remote(num_cpus=ray.cluster_resources().get("CPU", 1) / cores())(_call)
    shared = ray.put(work)
    waiting = {task.remote(shared, arguments): name for name, arguments in calls.items()}
    results: dict[Name, Result] = {}
    with progress(len(calls), label, "parts") as bar:
        while waiting:
            ready, _ = ray.wait(list(waiting))
            for reference in ready:
                results[waiting.pop(reference)] = ray.get(reference)
                bar.update(1)
    return {name: results[name] for name in calls}


def _call(work: Callable[..., Result], arguments: tuple[Any, ...]) -> Result:
    return work(*arguments)
