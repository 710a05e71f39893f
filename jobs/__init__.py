"""The commands: one thin file per verb, each ``python -m jobs.VERB --config FILE.yaml``.

From Python, :func:`run` does the same and returns what came of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobs.result import Result

__all__ = ["run"]


def run(
    job: str,
    config: str,
    overrides: Mapping[str, Any] | None = None,
    *,
    force: bool = False,
    **settings: Any,
) -> Result:
    """Run a job and return its result; see :func:`jobs.result.run_job`."""
    from jobs.result import run_job

    return run_job(job, config, overrides, force=force, **settings)
