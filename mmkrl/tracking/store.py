"""What MLflow is asked, so that it may be asked again: nothing is recorded twice.

Steps of a metric at or before its last logged one are skipped, and a record that is delivered
again has the time at which it was made, by which MLflow knows it. A store that is busy (a local
SQLite file with several writers) is asked again for a while; one that gives no answer is away.
"""

from __future__ import annotations

import contextlib
import json
import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import tenacity

from mmkrl.errors import UserError
from mmkrl.tracking.config import TrackingConfig
from mmkrl.tracking.spool import Record

logger = logging.getLogger(__name__)
Result = TypeVar("Result")

_SQLITE = "sqlite:///"
TAG = "mmkrl."  # starts the names of the tags that identify a run
_PARENT = "mlflow.parentRunId"
_POINTS_PER_REQUEST = 1000
_BUSY_S = 60.0  # how long to ask a busy local store again
_REQUEST_S, _REQUEST_RETRIES = 20, 3  # of a server; MLflow's own would hold a job up for minutes
_REFUSALS = {"UNAUTHENTICATED", "PERMISSION_DENIED", "CUSTOMER_UNAUTHORIZED"}
_PASSING = {
    "ABORTED",
    "CANCELLED",
    "DEADLINE_EXCEEDED",
    "REQUEST_LIMIT_EXCEEDED",
    "RESOURCE_EXHAUSTED",
    "TEMPORARILY_UNAVAILABLE",
}
_NO_ANSWER = ("API request to", "OperationalError")  # in messages of MLflow's INTERNAL_ERROR

Point: TypeAlias = tuple[str, float, int, int]
"""A metric's name, its value, the time in milliseconds and the step."""


class AwayError(Exception):
    """The tracking server gives no answer."""


class Store:
    """An experiment in MLflow.

    Args:
        config: Which.
    """

    def __init__(self, config: TrackingConfig) -> None:
        self._config = config
        self._experiment: str | None = None
        self._logged: dict[str, dict[str, int]] = {}  # last step, by run and metric

    def ask(self, question: Callable[[], Result]) -> Result:
        """What MLflow answers.

        Raises:
            AwayError: it gives no answer.
            UserError: it refuses us.
        """
        from mlflow.exceptions import MlflowException

        try:
            return self._patiently(question)
        except (MlflowException, OSError) as error:
            reason = " ".join(str(error).split())[:200]
            if getattr(error, "error_code", "") in _REFUSALS:
                raise UserError(
                    f"tracking.uri {self._config.uri}: access denied: set MLFLOW_TRACKING_USERNAME "
                    f"and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN ({reason})"
                ) from error
            if not _passes(error):
                raise
            raise AwayError(reason) from error

    def _patiently(self, question: Callable[[], Result]) -> Result:
        from mlflow.exceptions import MlflowException

        if not self._config.uri.startswith(_SQLITE):
            return question()  # MLflow itself asks a server again
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_delay(_BUSY_S),
            wait=tenacity.wait_random_exponential(multiplier=0.05, max=2),
            retry=tenacity.retry_if_exception(
                lambda error: isinstance(error, MlflowException) and "is locked" in str(error)
            ),
            reraise=True,
        )
        return retrying(question)

    def open(self, record: Record) -> str:
        """The id of the run with these tags: the one already there, or a new one; it is running."""
        from mlflow import MlflowClient

        experiment = self._open_experiment()
        existing = self._find(experiment, record["tags"])
        if existing is not None:
            MlflowClient().update_run(existing, status="RUNNING")
        run_id = existing or self._begin(experiment, record)
        self._log_params(run_id, record["params"])
        self._logged[run_id] = _last_steps(run_id) if existing else {}
        return run_id

    def _begin(self, experiment: str, record: Record) -> str:
        from mlflow import MlflowClient

        tags = dict(record["tags"])
        parent = self._find(experiment, record["parent"]) if record["parent"] else None
        if parent:
            tags[_PARENT] = parent
        begun = MlflowClient().create_run(
            experiment, start_time=record["ms"], tags=tags, run_name=record["name"]
        )
        return str(begun.info.run_id)

    @contextlib.contextmanager
    def active(self, run_id: str) -> Iterator[None]:
        """Within this, the functions of MLflow itself log to a run."""
        import mlflow
        from mlflow.exceptions import MlflowException

        self.ask(lambda: mlflow.start_run(run_id=run_id, log_system_metrics=False))
        try:
            yield
        finally:
            with contextlib.suppress(MlflowException, OSError):
                mlflow.end_run()

    def apply(self, run_id: str, record: Record, data: bytes | None) -> None:
        """Put a record of another kind than ``open`` into a run."""
        from mlflow import MlflowClient

        kind = record["kind"]
        if kind == "points":
            self._log_points(run_id, record["points"])
        elif kind == "file":
            _log_file(run_id, record["path"], data or b"")
        elif kind == "tag":
            MlflowClient().set_tag(run_id, record["name"], record["value"])
        elif kind == "dataset":
            _log_dataset(run_id, record)
        else:
            MlflowClient().set_terminated(run_id, record["status"], record["ms"])

    def _log_points(self, run_id: str, points: Sequence[Point]) -> None:
        from mlflow import MlflowClient
        from mlflow.entities import Metric

        # A job that resumes at a checkpoint measures the steps after it again.
        logged = self._logged[run_id]
        fresh = sorted(
            (point for point in points if point[3] > logged.get(point[0], -1)),
            key=lambda point: point[3],
        )
        metrics = [Metric(name, value, ms, step) for name, value, ms, step in fresh]
        for start in range(0, len(metrics), _POINTS_PER_REQUEST):
            MlflowClient().log_batch(run_id, metrics[start : start + _POINTS_PER_REQUEST])
        logged |= {name: step for name, _, _, step in fresh}

    def _log_params(self, run_id: str, params: Mapping[str, str]) -> None:
        """Log those that are not there yet."""
        from mlflow import MlflowClient
        from mlflow.entities import Param

        there = MlflowClient().get_run(run_id).data.params
        missing = [Param(name, value) for name, value in params.items() if name not in there]
        if missing:
            MlflowClient().log_batch(run_id, params=missing)

    def _open_experiment(self) -> str:
        import mlflow
        from mlflow.environment_variables import (
            MLFLOW_HTTP_REQUEST_MAX_RETRIES,
            MLFLOW_HTTP_REQUEST_TIMEOUT,
            MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT,
        )

        for variable, value in (
            (MLFLOW_HTTP_REQUEST_MAX_RETRIES, _REQUEST_RETRIES),
            (MLFLOW_HTTP_REQUEST_TIMEOUT, _REQUEST_S),
            (MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT, True),
        ):
            if not variable.is_set():
                variable.set(value)
        if self._experiment is None:
            _make_sqlite(self._config.uri)
            mlflow.set_tracking_uri(self._config.uri)
            self._experiment = str(mlflow.set_experiment(self._config.experiment).experiment_id)
        return self._experiment

    def _find(self, experiment: str, tags: Mapping[str, str]) -> str | None:
        from mlflow import MlflowClient

        query = " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
        for found in MlflowClient().search_runs([experiment], query):
            own = {k for k in found.data.tags if k.startswith(TAG)}
            if own == tags.keys():  # a member's run has its parent's tags and more
                return str(found.info.run_id)
        return None


def _passes(error: BaseException) -> bool:
    """Whether the store may answer later."""
    if isinstance(error, OSError):  # what requests raises
        return True
    code, told = getattr(error, "error_code", ""), str(error)
    return code in _PASSING or (
        code == "INTERNAL_ERROR" and any(sign in told for sign in _NO_ANSWER)
    )


def _last_steps(run_id: str) -> dict[str, int]:
    from mlflow import MlflowClient

    client = MlflowClient()
    names = client.get_run(run_id).data.metrics
    return {name: max(m.step for m in client.get_metric_history(run_id, name)) for name in names}


def _log_file(run_id: str, path: str, data: bytes) -> None:
    from mlflow import MlflowClient

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / Path(path).name
        file.write_bytes(data)
        parent = Path(path).parent.as_posix()
        MlflowClient().log_artifact(run_id, str(file), None if parent == "." else parent)


def _log_dataset(run_id: str, record: Record) -> None:
    from mlflow import MlflowClient
    from mlflow.entities import Dataset, DatasetInput, InputTag

    entry: Any = Dataset(
        name=record["name"],
        digest=record["digest"],
        source_type="local" if "://" not in record["place"] else "s3",
        source=json.dumps({"uri": record["place"]}),
        profile=json.dumps(record["profile"]),
    )
    tags = [InputTag("mlflow.data.context", record["context"])]
    MlflowClient().log_inputs(run_id, [DatasetInput(entry, tags)])


def _make_sqlite(uri: str) -> None:
    """Make the tables of a new local store, in a folder beside it, and then move the file.

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
