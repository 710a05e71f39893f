"""A handful of independent calls, each in a task of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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
    # An embedded Ray has more logical CPUs than cores: a task takes as many as make up one core.
    task: Any = ray.remote(num_cpus=ray.cluster_resources().get("CPU", 1) / cores())(_call)
    shared = ray.put(work)
    with_work = {name: (shared, arguments) for name, arguments in calls.items()}
    results: dict[Name, Result] = {}
    with progress(len(calls), label, "parts") as bar:
        for ended in completed(task, with_work, at_a_time=len(calls)):
            results |= {name: ray.get(reference) for name, reference in ended.items()}
            bar.update(len(ended))
    return {name: results[name] for name in calls}


def completed(
    task: Any,
    calls: Mapping[Name, tuple[Any, ...]],
    *,
    at_a_time: int,
    poll_s: float | None = None,
) -> Iterator[dict[Name, Any]]:
    """Start tasks as there is room, and say which have ended.

    Args:
        task: The remote function.
        calls: Its arguments by name.
        at_a_time: How many are started before one has ended.
        poll_s: Seconds after which to say so if none has ended; None waits until one has.

    Yields:
        Object references of the results by name; getting one raises what the task raised.
    """
    waiting = list(calls.items())
    running: dict[Any, Name] = {}
    while waiting or running:
        started, waiting = waiting[: at_a_time - len(running)], waiting[at_a_time - len(running) :]
        running |= {task.remote(*arguments): name for name, arguments in started}
        ended, _ = ray.wait(list(running), timeout=poll_s)
        yield {running.pop(reference): reference for reference in ended}


def _call(work: Callable[..., Result], arguments: tuple[Any, ...]) -> Result:
    return work(*arguments)
