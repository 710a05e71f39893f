"""Jobs killed in the middle, without a chance to clean up, and started again."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time

import psutil
import pytest
from mlflow import MlflowClient

from mmkrl.io.storage import locate
from tests.jobs.published import hashes

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]

_DEADLINE_S = 300
_POLL_S = 0.005
_EXTRACT_INPUTS = ("ingest",)
_TRAIN_INPUTS = ("ingest", "dedupe", "mine", "extract")


@contextlib.contextmanager
def running(place, job, *arguments):
    """A job in the background, its output in a file; it does not outlive the block."""
    with (place.folder / f"{job}.log").open("w") as log:
        process = place.start(job, *arguments, stdout=log, stderr=subprocess.STDOUT)
        try:
            yield process
        finally:
            kill_all(process)


def kill_all(process):
    """SIGKILL to the job's process group and to every process of its Ray, as a power cut."""
    with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
        family = psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, signal.SIGKILL)
        for each in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        psutil.wait_procs(family, timeout=10)
    process.wait()


def wait_for(process, place, job, condition):
    """What a condition on the files of a running job gives, as soon as it gives something."""
    deadline = time.monotonic() + _DEADLINE_S
    while time.monotonic() < deadline and process.poll() is None:
        if found := condition():
            return found
        time.sleep(_POLL_S)
    log = (place.folder / f"{job}.log").read_text()
    return pytest.fail(f"{job} did not come so far:\n{log[-4000:]}")


def files(place, pattern):
    return sorted(place.workspace.glob(pattern))


def manifests(place, job):
    return files(place, f"{job}/*/manifest.json")


def train_runs(place):
    """The MLflow runs of training: parents, and children by name."""
    client = MlflowClient(place.tracking)
    experiment = client.get_experiment_by_name("small").experiment_id
    runs = client.search_runs([experiment], "tags.`mmkrl.job` = 'train'")
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    children = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    return parents, {run.info.run_name: run for run in children}, len(runs)


def histories(place, run):
    """Each metric's values by step; a step logged twice fails."""
    client = MlflowClient(place.tracking)
    found = {}
    for name in run.data.metrics:
        points = client.get_metric_history(run.info.run_id, name)
        found[name] = {point.step: point.value for point in points}
        assert len(found[name]) == len(points), f"{name} has a step twice"
    return found


@pytest.fixture(scope="module")
def undisturbed(chain):
    return chain[0]


def test_extract_killed_in_the_middle_goes_on(undisturbed, new_place):
    place = new_place("extract").take(undisturbed, *_EXTRACT_INPUTS)
    with running(place, "extract") as process:
        records = "extract/*/_units/[0-9]*.json"
        wait_for(process, place, "extract", lambda: len(files(place, records)) >= 2)
        kill_all(process)
    before = {path: path.stat().st_mtime_ns for path in files(place, records)}
    assert not manifests(place, "extract")

    assert place.done("extract")["status"] == "done"
    after = {path: path.stat().st_mtime_ns for path in files(place, records)}
    assert 2 <= len(before) < len(after)
    assert {path: after[path] for path in before} == before
    again, expected = place.dataset("extract"), undisturbed.dataset("extract")
    assert again.digest == expected.digest
    assert hashes(again) == hashes(expected)


def assert_trained_alike(place, undisturbed):
    weights = hashes(place.dataset("train"), "models/")
    assert len(weights) == 4
    assert weights == hashes(undisturbed.dataset("train"), "models/")


def assert_one_run_each(place):
    parents, children, total = train_runs(place)
    assert len(parents) == 1
    assert sorted(children) == ["full-0", "text_only-0"]
    assert total == 3
    assert {run.info.status for run in (*parents, *children.values())} == {"FINISHED"}
    for run in (*parents, *children.values()):
        histories(place, run)


def test_train_killed_in_the_middle_goes_on(undisturbed, new_place):
    place = new_place("train").take(undisturbed, *_TRAIN_INPUTS)
    with running(place, "train") as process:
        saved = "train/*/_runs/full-0/checkpoint_*/state.json"
        wait_for(process, place, "train", lambda: files(place, saved))
        kill_all(process)
    assert not manifests(place, "train")
    (run,) = files(place, "train/*/_runs")
    kept = sorted(folder.name for folder in run.iterdir())

    assert place.done("train")["status"] == "done"
    assert sorted(folder.name for folder in run.iterdir()) == kept
    assert_trained_alike(place, undisturbed)
    assert_one_run_each(place)


def test_a_training_worker_that_is_killed_is_replaced(undisturbed, new_place):
    place = new_place("worker").take(undisturbed, *_TRAIN_INPUTS)
    with running(place, "train") as process:
        saved = "train/*/_runs/full-0/checkpoint_*/state.json"
        wait_for(process, place, "train", lambda: files(place, saved))
        workers = training_workers(process)
        for worker in workers:
            worker.kill()
        assert workers
        status = process.wait(timeout=_DEADLINE_S)
    assert status == 0, (place.folder / "train.log").read_text()[-4000:]
    assert_trained_alike(place, undisturbed)
    assert_one_run_each(place)


def training_workers(process):
    """The processes of this job in which Ray Train trains."""
    found = []
    for each in psutil.Process(process.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if "RayTrainWorker" in " ".join(each.cmdline()):
                found.append(each)
    return found


def test_two_workers_log_the_losses_of_one(undisturbed, new_place, joined):
    place = joined(new_place("two")).take(undisturbed, *_TRAIN_INPUTS)
    result = place.done("train", "--set", "cluster.training.workers=2")
    assert result["status"] == "done"
    assert locate(result["output"]).name == undisturbed.dataset("train").location.name
    one, two = train_runs(undisturbed)[1]["full-0"], train_runs(place)[1]["full-0"]
    expected, values = histories(undisturbed, one), histories(place, two)
    assert any(name.startswith("loss_") for name in expected)
    assert values.keys() == expected.keys()
    for name, steps in expected.items():
        if name.startswith("loss_"):
            assert values[name] == pytest.approx(steps, rel=1e-4), name
