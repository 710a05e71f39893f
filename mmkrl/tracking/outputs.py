"""Finding what a run made."""

from __future__ import annotations

import json

from mmkrl.errors import UserError
from mmkrl.tracking.config import TrackingConfig


def output_of(config: TrackingConfig, run_id: str, job: str) -> str:
    """Where the dataset lies that a run of a job published.

    Args:
        config: Where the run is kept.
        run_id: Its id in MLflow.
        job: The job that it must be a run of.

    Raises:
        UserError: there is no such run, or it published no such dataset.
    """
    import mlflow
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    mlflow.set_tracking_uri(config.uri)
    try:
        inputs = MlflowClient().get_run(run_id).inputs
    except MlflowException as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"run {run_id} cannot be read from {config.uri}: {reason}") from error
    for entry in inputs.dataset_inputs if inputs else []:
        made = any(tag.key == "mlflow.data.context" and tag.value == "output" for tag in entry.tags)
        if made and entry.dataset.name == job:
            return str(json.loads(entry.dataset.source)["uri"])
    raise UserError(f"run {run_id} published no output of {job!r}: name a run that did")
