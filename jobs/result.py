"""The Python door to the jobs: ``jobs.run("pipeline", "demo.yaml", train__seeds=[0])``."""

from __future__ import annotations

import html
import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from jobs.command import Outcome, no_cluster, ray_session
from jobs.config import PipelineConfig
from mmkrl.config import load
from mmkrl.errors import UsageError
from mmkrl.io.storage import check_access, locate, relative_to_here

if TYPE_CHECKING:
    import pandas as pd

    from mmkrl.data.dataset import Dataset
    from mmkrl.evaluate.report.evaluation import Evaluation
    from mmkrl.serving.loaded import Model

_WITHOUT_RAY = ("register", "deliver")
JOBS = (
    *("ingest", "dedupe", "parse", "mine", "graph", "extract", "train", "evaluate"),
    *("register", "query", "pipeline", "deliver"),
)
"""Jobs that take nothing but a configuration."""


@dataclass(frozen=True)
class Result:
    """What came of a job.

    Attributes:
        job: Its name.
        config: The resolved configuration.
        outcome: What the job's result line says.
    """

    job: str
    config: PipelineConfig
    outcome: Outcome

    @property
    def metrics(self) -> dict[str, float]:
        """The numbers of the result line."""
        return self.outcome.metrics

    @cached_property
    def dataset(self) -> Dataset:
        """What the job published.

        Raises:
            UserError: its output is no dataset, as that of a query.
        """
        from mmkrl.data.dataset import open_dataset

        return open_dataset(locate(self.outcome.output))

    @property
    def mlflow_run(self) -> str:
        """Id of the run in MLflow; empty if the server was away."""
        return str(self.dataset.manifest.notes.get("mlflow_run", ""))

    @cached_property
    def report(self) -> Evaluation:
        """The evaluation, of an evaluation or a whole chain."""
        from mmkrl.evaluate.report.evaluation import Evaluation

        return Evaluation.of(self.dataset)

    @property
    def table(self) -> pd.DataFrame:
        """The report as a table: a row a method, a column a number that the report shows."""
        import pandas as pd

        rows = {
            method: {
                f"{task} {metric}": tasks[task].metrics[metric].mean
                for task, metric in self.report.columns
                if task in tasks
            }
            for method, tasks in self.report.results.items()
        }
        return pd.DataFrame.from_dict(rows, orient="index")

    @cached_property
    def model(self) -> Model:
        """The trained model, ready to be asked, of a training or a whole chain."""
        from jobs.steps import finished
        from mmkrl.serving.loaded import load as opened

        return opened(str(finished(self.config, "train").location))

    def __repr__(self) -> str:
        return f"<{self.job} {self.outcome.status}: {relative_to_here(self.outcome.output)}>"

    def _repr_html_(self) -> str:
        """How a notebook shows it: the report's table if there is one."""
        line = f"<p><code>{html.escape(repr(self))}</code></p>"
        if self.job not in ("evaluate", "pipeline"):
            return line
        shown: str = self.table.to_html(float_format="{:.3f}".format)
        return line + shown


def run_job(
    job: str,
    config: str,
    overrides: Mapping[str, Any] | None = None,
    *,
    force: bool = False,
    **settings: Any,
) -> Result:
    """Run a job as its command does, and return what came of it.

    Args:
        job: Such as ``"pipeline"``.
        config: YAML file, local or ``s3://``.
        overrides: Values by dotted key, such as ``{"train.models.BC-DNN.margin": 0.1}``.
        force: Make a new version even if the work is finished.
        settings: Values by key with ``__`` for the dots, such as ``train__seeds=[0]``.

    Raises:
        UserError: what the command would have said in one line.
    """
    if job not in JOBS:
        raise UsageError(f"no job is called {job!r}; they are: {', '.join(JOBS)}")
    dotted = {key.replace("__", "."): value for key, value in settings.items()}
    given = [
        f"{key}={json.dumps(value)}" for key, value in (dict(overrides or {}) | dotted).items()
    ]
    resolved = load(config, given, PipelineConfig)
    check_access([locate(resolved.workspace)])
    module = importlib.import_module(f"jobs.{job}")
    connect = no_cluster if job in _WITHOUT_RAY else ray_session
    with connect(resolved.cluster):
        return Result(job, resolved, module.run(resolved, force))
