"""Sixteen trials log at once, on a SQLite file and on a real server, and nothing is lost."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

mlflow = pytest.importorskip("mlflow")

WRITERS, ROUNDS, METRICS = 16, 3, 5

# One process a trial, made by forking before MLflow opens its store: imports are paid once.
_WRITE = f"""
import os, sys
import mlflow
from mmkrl.tracking.config import TrackingConfig
from mmkrl.tracking.runs import run
from mmkrl.train.learner import Measurement

config = TrackingConfig(uri=sys.argv[1], experiment="many", spool=sys.argv[2])
children = []
for number in range({WRITERS}):
    child = os.fork()
    if child:
        children.append(child)
        continue
    own = {{"trial": str(number)}}
    with run(config, f"trial-{{number}}", identity=own, params={{"a": number}}) as one:
        for step in range({ROUNDS}):
            one.metrics([Measurement(step, f"loss_{{i}}", number + step) for i in range({METRICS})])
    os._exit(0)
sys.exit(sum(os.waitpid(child, 0)[1] != 0 for child in children))
"""


@pytest.fixture(params=["sqlite", "server"])
def uri(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.db"
    server = request.getfixturevalue("server")
    server.start()
    return server.uri


def test_nothing_is_lost_and_nothing_waits(uri, tmp_path):
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(
        [sys.executable, "-c", _WRITE, uri, str(tmp_path / "spool")],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "is locked" not in done.stderr
    assert not list(tmp_path.glob("spool/*"))
    client = mlflow.MlflowClient(uri)
    experiment = client.get_experiment_by_name("many").experiment_id
    runs = client.search_runs([experiment])
    assert sorted(int(run.data.params["a"]) for run in runs) == list(range(WRITERS))
    for run in runs:
        assert run.info.status == "FINISHED"
        number = int(run.data.params["a"])
        for metric in range(METRICS):
            points = client.get_metric_history(run.info.run_id, f"loss_{metric}")
            expected = [(step, number + step) for step in range(ROUNDS)]
            assert sorted((point.step, point.value) for point in points) == expected
