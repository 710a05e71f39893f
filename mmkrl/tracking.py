"""MLflow runs: one per job, written from one place, found again after a restart.

A run is identified by the job's key (configuration and input digests) and version, kept as tags;
a job that continues its work continues its run, and steps already logged are not logged twice.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmkrl.config import Section
from mmkrl.data.dataset import Dataset
from mmkrl.data.manifest import Manifest
from mmkrl.train.learner import Measurement

logger = logging.getLogger(__name__)

_SQLITE = "sqlite:///"
_TAG = "mmkrl."  # starts the names of the tags that identify a run
_METRICS_PER_REQUEST = 1000
_PARAM_LIMIT = 6000  # characters MLflow keeps of one parameter


class TrackingConfig(Section):
    """Where runs are recorded."""

    uri: str = "sqlite:///mlflow.db"
    """MLflow tracking server, or a local SQLite store."""
    experiment: str = "mmkrl"
    """Name of the MLflow experiment; made if it does not exist."""


@dataclass
class Run:
    """An open MLflow run."""

    id: str
    logged: dict[str, int] = field(default_factory=dict)  # last step by metric name

    def metrics(self, measurements: Sequence[Measurement]) -> None:
        """Log values by step; a step at or before the last logged one of its metric is skipped."""
        from mlflow import MlflowClient
        from mlflow.entities import Metric
        from mlflow.utils.time import get_current_time_millis

        now = get_current_time_millis()
        named = [(_metric_name(m.name), m) for m in measurements]
        values = [
            Metric(name, m.value, now, m.step)
            for name, m in named
            if m.step > self.logged.get(name, -1)
        ]
        for start in range(0, len(values), _METRICS_PER_REQUEST):
            MlflowClient().log_batch(self.id, values[start : start + _METRICS_PER_REQUEST])
        for value in values:
            self.logged[value.key] = max(value.step, self.logged.get(value.key, -1))

    def summary(self, metrics: Mapping[str, float]) -> None:
        """Log final values."""
        import mlflow

        mlflow.log_metrics({_metric_name(k): float(v) for k, v in metrics.items()}, run_id=self.id)

    def artifact(self, path: Path, folder: str | None = None) -> None:
        """Keep a file with the run."""
        from mlflow import MlflowClient

        MlflowClient().log_artifact(self.id, str(path), folder)

    def image(self, data: bytes, path: str) -> None:
        """Keep an encoded picture with the run."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / Path(path).name
            file.write_bytes(data)
            self.artifact(file)

    def text(self, text: str, path: str) -> None:
        """Keep a text with the run."""
        from mlflow import MlflowClient

        MlflowClient().log_text(self.id, text, path)

    def dataset(self, name: str, dataset: Dataset, context: str) -> None:
        """Record that the run used (or made) this version of a dataset."""
        from mlflow import MlflowClient
        from mlflow.entities import DatasetInput, InputTag

        entry = _dataset_entry(name, str(dataset.location), dataset.manifest)
        tags = [InputTag("mlflow.data.context", context)]
        MlflowClient().log_inputs(self.id, [DatasetInput(entry, tags)])


@contextlib.contextmanager
def run(
    config: TrackingConfig,
    name: str,
    *,
    identity: Mapping[str, str],
    params: Mapping[str, Any],
    parent: str | None = None,
) -> Iterator[Run]:
    """The MLflow run of a piece of work: the one already there, or a new one.

    Args:
        config: Where runs are kept.
        name: Name to show.
        identity: Tags that identify the work (key, version, ...); a restart has the same.
        params: Nested configuration, logged with dotted names.
        parent: Id of the run this one belongs to.

    The run ends as FINISHED, or as FAILED if an exception passes through.
    """
    import mlflow

    experiment = _experiment(config)
    tags = {f"{_TAG}{key}": value for key, value in identity.items()}
    existing = _find(experiment, tags)
    if parent:
        tags["mlflow.parentRunId"] = parent
    with mlflow.start_run(
        run_id=existing,
        experiment_id=experiment,
        run_name=name,
        tags=tags,
        nested=parent is not None,
        log_system_metrics=False,
    ) as active:
        if existing is None:
            mlflow.log_params(flatten(params))
        yield Run(active.info.run_id, _last_steps(active.info.run_id))


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested values under dotted names, as MLflow shows them."""
    flat: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = str(value)[:_PARAM_LIMIT]
    return flat


def _experiment(config: TrackingConfig) -> str:
    import mlflow

    _make_sqlite(config.uri)
    mlflow.set_tracking_uri(config.uri)
    return str(mlflow.set_experiment(config.experiment).experiment_id)


def _make_sqlite(uri: str) -> None:
    """Make the tables of a local store that is not there yet, beside its place and then move them.

    MLflow makes them in many steps; a process killed between two would leave a file that no later
    one can use.
    """
    from mlflow import MlflowClient

    name = uri.removeprefix(_SQLITE)
    path = Path(name)
    if name == uri or path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as folder:
        made = Path(folder) / path.name
        MlflowClient(f"{_SQLITE}{made}").search_experiments(max_results=1)
        with contextlib.suppress(FileExistsError):  # another process was faster
            path.hardlink_to(made)


def _find(experiment: str, tags: Mapping[str, str]) -> str | None:
    from mlflow import MlflowClient

    query = " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
    for found in MlflowClient().search_runs([experiment], query):
        own = {k for k in found.data.tags if k.startswith(_TAG)}
        if own == tags.keys():  # a member's run has its parent's tags and more
            return str(found.info.run_id)
    return None


def _last_steps(run_id: str) -> dict[str, int]:
    from mlflow import MlflowClient

    client = MlflowClient()
    names = client.get_run(run_id).data.metrics
    return {name: max(m.step for m in client.get_metric_history(run_id, name)) for name in names}


def _dataset_entry(name: str, path: str, manifest: Manifest) -> Any:
    import json

    from mlflow.entities import Dataset as Entry

    tables = {key: table.model_dump() for key, table in manifest.tables.items()}
    return Entry(
        name=name,
        digest=manifest.digest[:36],
        source_type="local" if "://" not in path else "s3",
        source=json.dumps({"uri": path}),
        profile=json.dumps({"rows": manifest.rows_out, "tables": tables}),
    )


def _metric_name(name: str) -> str:
    """A name MLflow accepts: it allows no @."""
    return name.replace("@", "_at_")
