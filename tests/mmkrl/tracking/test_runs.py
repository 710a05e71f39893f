"""Runs are found again by what they are, and nothing is recorded twice."""

import math
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from mmkrl.data.dataset import Origin, open_dataset, publish, write_unit
from mmkrl.data.schemas import ENTITIES
from mmkrl.io.storage import locate
from mmkrl.tracking.runs import flatten, run
from mmkrl.train.learner import Measurement
from tests.support.tracking import local_store

mlflow = pytest.importorskip("mlflow")


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """One store for all tests: making it takes seconds. Artifacts go beside it."""
    with local_store(tmp_path_factory.mktemp("mlflow")) as config:
        yield config


@pytest.fixture
def identity(request):
    return {"job": "train", "key": request.node.name, "version": "1"}


def stored(tracked):
    return mlflow.MlflowClient().get_run(tracked.id)


def history(tracked, name):
    points = mlflow.MlflowClient().get_metric_history(tracked.id, name)
    return sorted((point.step, point.value) for point in points)


def losses(*steps, name="loss"):
    return [Measurement(step, name, step / 10) for step in steps]


def test_a_run_is_continued_and_no_step_logged_twice(config, identity):
    with run(config, "train", identity=identity, params={"a": {"b": 1}}) as first:
        first.metrics(losses(1, 2, 3))
        first.metrics(losses(2, 3, 4))
    with run(config, "train", identity=identity, params={"a": {"b": 1}}) as second:
        assert second.id == first.id
        second.metrics(losses(3, 4, 5) + losses(5, name="validation"))
    assert history(first, "loss") == [(step, step / 10) for step in (1, 2, 3, 4, 5)]
    assert history(first, "validation") == [(5, 0.5)]
    assert stored(first).data.params == {"a.b": "1"}


def test_measurements_may_come_in_any_order(config, identity):
    with run(config, "train", identity=identity, params={}) as tracked:
        tracked.metrics(losses(5, 4, 3))
        tracked.metrics(losses(4, 5, 6))
    assert [step for step, _ in history(tracked, "loss")] == [3, 4, 5, 6]


@pytest.mark.parametrize("changed", ["job", "key", "version"])
def test_other_work_gets_another_run(config, identity, changed):
    with run(config, "train", identity=identity, params={}) as first:
        pass
    with run(config, "train", identity=identity | {changed: "other"}, params={}) as second:
        pass
    assert second.id != first.id


def test_a_failed_run_says_so_until_it_succeeds(config, identity):
    opened = []

    def die():
        with run(config, "train", identity=identity, params={}) as tracked:
            opened.append(tracked)
            tracked.metrics(losses(1))
            raise RuntimeError("died")

    with pytest.raises(RuntimeError, match="died"):
        die()
    (first,) = opened
    assert stored(first).info.status == "FAILED"
    with run(config, "train", identity=identity, params={}) as second:
        assert second.id == first.id
        assert stored(second).info.status == "RUNNING"
        second.metrics(losses(1, 2))
    assert stored(first).info.status == "FINISHED"
    assert [step for step, _ in history(first, "loss")] == [1, 2]
    assert mlflow.active_run() is None


def test_members_belong_to_their_parent(config, identity):
    with run(config, "train", identity=identity, params={}) as parent:
        children = []
        for member in ("full-0", "full-1"):
            own = identity | {"member": member}
            with run(config, member, identity=own, params={}, parent=parent) as child:
                child.metrics(losses(1, name=f"loss_{member}"))
                children.append(child)
        with run(config, "full-0", identity=own, params={}, parent=parent) as again:
            assert again.id == children[1].id
    assert len({parent.id, *(child.id for child in children)}) == 3
    tags = [stored(child).data.tags for child in children]
    assert [tag["mlflow.parentRunId"] for tag in tags] == [parent.id] * 2
    assert [tag["mmkrl.member"] for tag in tags] == ["full-0", "full-1"]
    assert "mlflow.parentRunId" not in stored(parent).data.tags


def test_a_restarted_parent_is_not_mistaken_for_its_member(config, identity):
    """The member's run has all tags of its parent's, and is the newer of the two."""
    with run(config, "train", identity=identity, params={}) as parent:
        own = identity | {"member": "full-0"}
        with run(config, "full-0", identity=own, params={}, parent=parent):
            pass
    with run(config, "train", identity=identity, params={}) as again:
        assert again.id == parent.id


def test_inputs_are_recorded(config, identity, tmp_path):
    rows = pa.Table.from_pylist(
        [{"entity": "cat", "image_id": "a", "source": "web"}], ENTITIES.arrow
    )
    location = locate(tmp_path / "mined")
    unit = write_unit(location, 0, {"entities": rows}, rows_in=1, rows_out=1)
    publish(location, Origin("mine", "key", {}, {}, ""), [unit])
    dataset = open_dataset(location)
    with run(config, "train", identity=identity, params={}) as tracked:
        tracked.dataset("mine", dataset, "input")
    (found,) = stored(tracked).inputs.dataset_inputs
    assert found.dataset.name == "mine"
    assert dataset.digest.startswith(found.dataset.digest)
    assert str(location) in found.dataset.source
    assert [(tag.key, tag.value) for tag in found.tags] == [("mlflow.data.context", "input")]


def test_metric_names_with_an_at_sign(config, identity):
    with run(config, "evaluate", identity=identity, params={}) as tracked:
        tracked.summary({"full/text-image/R@1": 0.5, "map": 1})
        tracked.metrics([Measurement(1, "NDCG@10", 0.25)])
    with run(config, "evaluate", identity=identity, params={}) as again:
        again.metrics([Measurement(1, "NDCG@10", 0.25), Measurement(2, "NDCG@10", 0.75)])
    assert history(tracked, "NDCG_at_10") == [(1, 0.25), (2, 0.75)]
    assert stored(tracked).data.metrics["full/text-image/R_at_1"] == 0.5


def test_many_measurements_fit_into_requests(config, identity):
    with run(config, "train", identity=identity, params={}) as tracked:
        tracked.metrics(losses(*range(1200)))
    assert len(history(tracked, "loss")) == 1200


def test_files_are_kept_with_the_run(config, identity, tmp_path):
    (tmp_path / "notes.txt").write_text("kept")
    with run(config, "train", identity=identity, params={}) as tracked:
        tracked.artifact(tmp_path / "notes.txt")
        tracked.image(b"a picture", "loss.png")
        tracked.text("a page", "report/index.html")
    names = [item.path for item in mlflow.MlflowClient().list_artifacts(tracked.id)]
    assert sorted(names) == ["loss.png", "notes.txt", "report"]


_FIRST_RUN = """
import os, sys
import mlflow.store.db.utils as tables
from mmkrl.tracking.config import TrackingConfig
from mmkrl.tracking.runs import run
if sys.argv[2] == "killed":
    tables._upgrade_db = lambda engine: os._exit(9)  # some tables are made, the others are not
config = TrackingConfig(uri=f"sqlite:///{sys.argv[1]}/store.db", experiment="tests")
with run(config, "ingest", identity={"key": "one"}, params={}) as tracked:
    print(tracked.id)
"""


def test_a_store_whose_making_was_killed_is_made_again(tmp_path):
    codes = [
        subprocess.run(
            [sys.executable, "-c", _FIRST_RUN, str(tmp_path), how],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])},
            check=False,
        ).returncode
        for how in ("killed", "whole", "whole")
    ]
    assert codes == [9, 0, 0]
    with sqlite3.connect(tmp_path / "store.db") as store:
        assert store.execute("select name from runs").fetchall() == [("ingest",)]
        (place,) = store.execute("select artifact_location from experiments where name = 'tests'")
    assert ".store" not in place[0]


def test_nested_values_get_dotted_names():
    nested = {"a": {"b": {"c": 1}, "d": [1, 2]}, "e": math.pi, "f": "x" * 7000, "g": {}}
    flat = flatten(nested)
    assert flat.keys() == {"a.b.c", "a.d", "e", "f"}
    assert (flat["a.b.c"], flat["a.d"], len(flat["f"])) == ("1", "[1, 2]", 6000)
