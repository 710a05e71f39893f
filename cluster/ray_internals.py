"""What the project needs of Ray that Ray offers no public way to; nothing else here reaches so far.

Each has its reason beside it, and ``tests/cluster/test_ray_internals.py`` says which one a new
version of Ray breaks.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

from ray.data import DataContext

PROGRESS_LOGGER = "ray.data._internal.progress"
"""Says in every process, as a warning, that the progress bars are off which we turned off."""


@contextlib.contextmanager
def called_at_every_step(check: Callable[[], None]) -> Iterator[None]:
    """Ray Data calls a function in the loop of every plan that is made and run inside the block.

    What it raises ends the plan cleanly. Ray Data has no other way to end a plan from outside: who
    iterates over its rows waits for the next one, and its own time-out knows nothing of lost nodes.
    It documents neither the field of the context nor what it calls.
    """

    class EveryStep:
        def before_execution_starts(self, executor: Any) -> None: ...

        def on_execution_step(self, executor: Any) -> None:  # noqa: ARG002 - Ray's
            check()

        def after_execution_succeeds(self, executor: Any) -> None: ...

        def after_execution_fails(self, executor: Any, error: Exception) -> None: ...

    context = DataContext.get_current()
    before = context.custom_execution_callback_classes
    context.custom_execution_callback_classes = [*before, EveryStep]  # type: ignore[list-item]
    try:
        yield
    finally:
        context.custom_execution_callback_classes = before


def without_searcher() -> Any:
    """What population-based training may see of Tune when a trial joins it.

    Tune refuses a searcher beside it, since settings change behind a searcher's back. Ours is told
    of every change, so the scheduler is shown that there is none.
    """
    return SimpleNamespace(search_alg=None)
