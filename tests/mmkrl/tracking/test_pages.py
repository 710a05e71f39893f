"""What a reviewer sees in MLflow's own pages, in a real browser."""

import re

import pytest

from mmkrl.tracking.config import TrackingConfig
from mmkrl.tracking.runs import run
from mmkrl.train.learner import Measurement
from tests.support.browser import look

mlflow = pytest.importorskip("mlflow")
pytestmark = pytest.mark.timeout(300)

_UNTIL_LOADED = "--virtual-time-budget=60000"  # milliseconds that the page is given to load


@pytest.fixture(scope="module")
def logged(server):
    """A job of two members on a server: its run and theirs."""
    server.start()
    config = TrackingConfig(uri=server.uri, experiment="pages")
    with run(config, "train the demo", identity={"key": "p"}, params={"margin": 0.2}) as parent:
        members = []
        for seed in (0, 1):
            name, identity = f"full-{seed}", {"key": "p", "member": str(seed)}
            with run(config, name, identity=identity, params={}, parent=parent) as member:
                member.metrics([Measurement(7, "validation_map", 0.625 + seed / 8)])
            members.append(member)
    yield parent, members
    mlflow.set_tracking_uri(None)


def words(elements):
    """The text of a page."""
    return re.sub(r"<[^>]*>", " ", elements)


def runs_of(server, run_id):
    """The address of a run's experiment, and of the run in it."""
    experiment = mlflow.MlflowClient(server.uri).get_run(run_id).info.experiment_id
    table = f"{server.uri}/#/experiments/{experiment}/runs"
    return table, f"{table}/{run_id}"


def test_the_table_of_runs_has_the_job_with_its_members_folded_in(server, logged, tmp_path):
    parent, _ = logged
    elements, picture = look(runs_of(server, parent.id)[0], tmp_path, _UNTIL_LOADED)
    assert "train the demo" in words(elements)
    assert "3 matching runs" in re.sub(r"\s+", " ", words(elements))
    assert picture.stat().st_size > 10_000


def test_the_page_of_a_run_has_its_figures(server, logged, tmp_path):
    for seed, member in enumerate(logged[1]):
        elements, _ = look(runs_of(server, member.id)[1], tmp_path, _UNTIL_LOADED)
        shown = words(elements)
        assert f"full-{seed}" in shown
        assert "validation_map" in shown
        assert str(0.625 + seed / 8) in shown
