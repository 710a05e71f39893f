"""A job goes on while the tracking server is away, and all it had to say arrives later, once."""

import pytest

from mmkrl.tracking import runs, store
from mmkrl.tracking.config import TrackingConfig
from mmkrl.tracking.runs import deliver, run
from mmkrl.train.learner import Measurement

mlflow = pytest.importorskip("mlflow")

STEPS = list(range(1, 41))


@pytest.fixture
def config(server, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    yield TrackingConfig(uri=server.uri, experiment="away", spool=str(tmp_path / "spool"))
    mlflow.set_tracking_uri(None)


def losses(steps):
    return [Measurement(step, "loss", step / 10) for step in steps]


def found(name):
    """The runs of this name, oldest first."""
    experiment = mlflow.get_experiment_by_name("away").experiment_id
    runs = mlflow.MlflowClient().search_runs([experiment], order_by=["attributes.start_time"])
    return [run for run in runs if run.info.run_name == name]


def steps_of(run):
    points = mlflow.MlflowClient().get_metric_history(run.info.run_id, "loss")
    return sorted(point.step for point in points)


def work(config, name, *, disturb=lambda step: None):
    """A job with a member that says something of each kind."""
    identity = {"job": name, "key": "k"}
    with run(config, name, identity=identity, params={"a": {"b": 1}}) as parent:
        child = parent.child("member", identity=identity | {"member": "0"}, params={})
        try:
            for step in STEPS:
                disturb(step)
                parent.metrics(losses([step]))
                child.metrics(losses([step]))
        except RuntimeError:
            child.end("FAILED")
            raise
        parent.text("a page", "report/index.html")
        parent.tag("outcome", "well")
        parent.summary({"best@1": 0.5})
        child.end("FINISHED")
    return parent


def assert_all_there(name):
    (parent,) = found(name)
    (child,) = [
        run
        for run in found("member")
        if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id
    ]
    for each in (parent, child):
        assert each.info.status == "FINISHED"
        assert steps_of(each) == STEPS
    assert parent.data.params == {"a.b": "1"}
    assert parent.data.tags["outcome"] == "well"
    assert parent.data.metrics["best_at_1"] == 0.5
    (item,) = mlflow.MlflowClient().list_artifacts(parent.info.run_id, "report")
    assert item.path == "report/index.html"


def dies_at(last):
    def disturb(step):
        if step == last:
            raise RuntimeError("died")

    return disturb


def fragile(apply, last):
    """What records a thing, until the server is away again."""
    calls = []

    def applied(self, run_id, record, data):
        calls.append(record["kind"])
        apply(self, run_id, record, data)
        if len(calls) == last:
            raise store.AwayError("in the middle")

    return applied


def test_away_from_the_beginning_to_the_end(config, server, tmp_path, monkeypatch, caplog):
    """One job ends, another dies and begins again; the delivery itself is cut off as well."""
    server.kill()
    assert work(config, "ends").id == ""
    assert sum("is away" in record.message for record in caplog.records) <= 2
    with pytest.raises(RuntimeError, match="died"):
        work(config, "dies", disturb=dies_at(25))
    assert deliver(config) == (0, 4)
    server.start()
    with monkeypatch.context() as patch:
        patch.setattr(store.Store, "apply", fragile(store.Store.apply, 20))
        assert deliver(config) == (0, 4)
    assert deliver(config) == (4, 0)
    assert list((tmp_path / "spool").iterdir()) == []
    work(config, "dies")
    assert_all_there("ends")
    assert_all_there("dies")


def test_killed_in_the_middle_and_back_before_the_end(config, server, monkeypatch):
    monkeypatch.setattr(runs, "_AGAIN_S", 0.0)
    server.start()

    def disturb(step):
        if step == 10:
            server.kill()
        if step == 30:
            server.start()

    assert work(config, "middle", disturb=disturb).id
    assert deliver(config) == (0, 0)
    assert_all_there("middle")
