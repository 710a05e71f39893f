"""Deliver to MLflow what waits in tracking.spool since the tracking server was away."""

from __future__ import annotations

from jobs.command import Outcome, command, no_cluster
from jobs.config import PipelineConfig
from mmkrl.errors import UserError


def run(config: PipelineConfig, force: bool) -> Outcome:  # noqa: ARG001 - every job's
    """Deliver the records of every run that no job writes any more."""
    from mmkrl.tracking.runs import deliver

    delivered, waiting = deliver(config.tracking)
    if waiting:
        raise UserError(
            f"{waiting} runs still wait in {config.tracking.spool} ({delivered} were delivered): "
            f"see that {config.tracking.uri} answers and that their jobs have ended"
        )
    return Outcome(output=config.tracking.uri, metrics={"runs": float(delivered)})


app = command("deliver", run, __doc__, no_cluster)

if __name__ == "__main__":
    app()
