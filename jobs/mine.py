"""Mine (subject, predicate, object) relationships with their images, and split them zero-shot."""

from __future__ import annotations

import functools

from jobs.command import Outcome, command
from jobs.config import PipelineConfig


def run(config: PipelineConfig, force: bool) -> Outcome:
    """Mine the ingested corpus."""
    from jobs._mine import mining
    from jobs.recorded import recorded

    return recorded(config, "mine", functools.partial(mining, config), force=force)


app = command("mine", run, __doc__)

if __name__ == "__main__":
    app()
