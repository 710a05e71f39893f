"""A sweep over the small crawl as a user runs it: killed, started again, recorded once.

``MMKRL_KILLS`` says how often to kill it; without it never, for the time it takes.
"""

from __future__ import annotations

import json
import os

import pytest
import yaml
from mlflow import MlflowClient
from optuna.distributions import FloatDistribution

from cluster.sweep_config import SweepConfig
from jobs.config import PipelineConfig
from jobs.steps import step
from mmkrl.config import load
from mmkrl.io.storage import locate
from tests.jobs.test_kill import kill_all, running, wait_for
from tuning.spaces import with_settings
from tuning.trials import OptunaStudy

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]

_KILLS = int(os.environ.get("MMKRL_KILLS", "0"))
_INPUTS = ("ingest", "dedupe", "mine", "extract")
_TRIALS, _SCHEDULE = 5, 210
_SPACE = {
    "models.full.margin": FloatDistribution(0.05, 0.5, log=True),
    "models.full.image_learning_rate": FloatDistribution(1e-4, 1e-2, log=True),
}
_CONFIG = SweepConfig(
    sampler="random", trials=_TRIALS, grace=0.25, space=dict.fromkeys(_SPACE, None)
)


@pytest.fixture(scope="module")
def swept(chain, new_place):
    """A place where a sweep was killed and came to its end, and its result line."""
    place = new_place("sweep").take(chain[0], *_INPUTS)
    config = yaml.safe_load((place.folder / "config.yaml").read_text())
    config["train"]["loop"]["validate_steps"] = 10
    config["sweep"] = _CONFIG.model_dump(mode="json", exclude_unset=True)
    config["sweep"]["space"] = {
        "models.full.margin": None,
        "models.full.image_learning_rate": [1e-4, 1e-2],
    }
    (place.folder / "config.yaml").write_text(yaml.safe_dump(config))
    for kill in range(_KILLS):
        with running(place, "tuning.sweep") as process:
            far = kill * _TRIALS // _KILLS + 1
            wait_for(process, place, "tuning.sweep", lambda far=far: begun(place) >= far)
            kill_all(process)
    return place, place.done("tuning.sweep")


def begun(place):
    """How many trials have been validated."""
    lines = [
        json.loads(line)
        for journal in place.workspace.glob("sweep/*/_study.jsonl")
        for line in journal.read_text().splitlines()
    ]
    return len({line["trial_id"] for line in lines if "intermediate_value" in line})


def trials_of(place):
    dataset = place.dataset("sweep")
    return json.loads(dataset.read_bytes(dataset.file("trials.json")))


def test_the_trials_are_those_of_an_undisturbed_sweep(swept, tmp_path):
    trials = OptunaStudy(locate(tmp_path / "study.jsonl"), _SPACE, _CONFIG)
    expected = dict(trials.ask() for _ in range(_TRIALS))
    assert {row["trial"]: row["settings"] for row in trials_of(swept[0])} == expected


def test_every_trial_came_to_an_end(swept):
    place, result = swept
    rows = trials_of(place)
    assert {row["outcome"] for row in rows} <= {"done", "pruned"}
    assert all(row["steps"] <= _SCHEDULE for row in rows)
    assert result["metrics"]["steps"] == sum(row["steps"] for row in rows)
    assert result["metrics"]["best"] == max(row["best"] for row in rows)


def test_mlflow_has_each_trial_once_and_no_step_twice(swept):
    place, _ = swept
    client = MlflowClient(place.tracking)
    experiment = client.get_experiment_by_name("small").experiment_id
    runs = client.search_runs([experiment], "tags.`mmkrl.job` = 'sweep'")
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    children = [run for run in runs if run is not parent]
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert sorted(int(run.data.tags["mmkrl.trial"]) for run in children) == list(range(_TRIALS))
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    rows = {str(row["trial"]): row for row in trials_of(place)}
    for run in children:
        row = rows[run.data.tags["mmkrl.trial"]]
        assert run.data.tags["outcome"] == row["outcome"]
        assert run.data.metrics["best"] == row["best"]
        assert run.data.params == {key: str(value) for key, value in row["settings"].items()}
        for name in run.data.metrics:
            points = client.get_metric_history(run.info.run_id, name)
            assert len({point.step for point in points}) == len(points)
    names = {item.path for item in client.list_artifacts(parent.info.run_id)}
    assert names >= {"sweep.html", "best.yaml", "trials.json"}


def test_the_best_configuration_is_taken_by_the_jobs(swept):
    place, _ = swept
    dataset = place.dataset("sweep")
    best = yaml.safe_load(dataset.read_bytes(dataset.file("best.yaml")))
    number = dataset.manifest.notes["best"]["trial"]
    settings = trials_of(place)[number]["settings"]
    assert {
        f"models.full.{key}": best["train"]["models"]["full"][key]
        for key in ("margin", "image_learning_rate")
    } == (settings)
    assert "sweep" not in best
    path = place.folder / "best.yaml"
    path.write_bytes(dataset.read_bytes(dataset.file("best.yaml")))
    config = load(str(path), [], PipelineConfig)
    assert config.train == with_settings(config.train, settings)
    assert step(config, "extract").finished


def test_the_same_sweep_again_is_skipped(swept):
    place, first = swept
    again = place.done("tuning.sweep")
    assert again["status"] == "skipped"
    assert again["metrics"] == first["metrics"]
