"""Extraction killed at random moments, in every way, writes what an undisturbed run writes.

``MMKRL_KILLS`` says how many kills of each kind to try; without it none, for the time they take
(``test_kill`` has one of the job).
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import psutil
import pytest
import ray
import yaml

from tests.jobs.published import hashes
from tests.jobs.test_kill import kill_all, running

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(900)]

_KILLS = int(os.environ.get("MMKRL_KILLS", "0"))
_LATEST_S = 25.0  # the moment of a kill is drawn from the seconds in which the job works
_JOINS = 3  # attempts of a node to join
_AFTER_INGEST = "after-ingest.db"
_REPEAT = 4  # the crawl's pictures are read so many times, so that there is something to kill


@pytest.fixture(scope="module")
def undisturbed(new_place, crawl):
    """A place whose corpus is a few times the crawl, and its features."""
    place = new_place("whole")
    config = yaml.safe_load((place.folder / "config.yaml").read_text())
    pack, hostile = config["ingest"]["sources"]
    config["ingest"]["sources"] = [pack | {"name": f"web{n}"} for n in range(_REPEAT)] + [hostile]
    config["extract"] |= {"image_size": 192, "unit_rows": 16}
    config["cluster"] = {"extraction": {"stall_s": 20}}
    (place.folder / "config.yaml").write_text(yaml.safe_dump(config))
    place.done("ingest")
    shutil.copy(place.folder / "mlflow.db", place.folder / _AFTER_INGEST)
    place.done("extract")
    return place


def another(undisturbed, new_place, name):
    """A place with the same corpus and no features yet; MLflow knows of the corpus."""
    place = new_place(name)
    text = (undisturbed.folder / "config.yaml").read_text()
    moved = text.replace(str(undisturbed.folder), str(place.folder))
    (place.folder / "config.yaml").write_text(moved)
    shutil.copy(undisturbed.folder / _AFTER_INGEST, place.folder / "mlflow.db")
    return place.take(undisturbed, "ingest")


def assert_same(place, undisturbed):
    found, expected = place.dataset("extract"), undisturbed.dataset("extract")
    assert found.digest == expected.digest
    assert hashes(found) == hashes(expected)


def some_worker(process, title):
    """A process of the job's Ray that does some work, if there is one now."""
    with contextlib.suppress(psutil.Error):
        for each in psutil.Process(process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if title in " ".join(each.cmdline()):
                    return each
    return None


@pytest.mark.parametrize("seed", range(_KILLS))
def test_killing_the_job_and_all_of_its_ray(undisturbed, new_place, seed):
    place = another(undisturbed, new_place, "driver")
    with running(place, "extract") as process:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=random.Random(seed).uniform(5, _LATEST_S))
        kill_all(process)
    place.done("extract")
    assert_same(place, undisturbed)


@pytest.mark.parametrize("seed", range(_KILLS))
@pytest.mark.parametrize("title", ["_Infer", "DecodeUnit", "isolated_child"])
def test_killing_a_worker(undisturbed, new_place, title, seed):
    place = another(undisturbed, new_place, "worker")
    draw = random.Random(seed)
    with running(place, "extract") as process:
        killed = None
        while killed is None and process.poll() is None:
            time.sleep(draw.uniform(0.0, 0.5))
            killed = some_worker(process, title)
        assert killed is not None, f"no process called {title} was ever seen"
        time.sleep(draw.uniform(0.0, 2.0))
        with contextlib.suppress(psutil.NoSuchProcess):
            killed.send_signal(signal.SIGKILL)
        assert process.wait(timeout=400) == 0, (place.folder / "extract.log").read_text()[-4000:]
    assert_same(place, undisturbed)


def start_node(address):
    """Processes of this machine that try to become another node of a Ray cluster."""
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block"]
    return subprocess.Popen(
        [*command, "--address", address, "--num-cpus", "4"],
        env=os.environ | {"RAY_AUTH_MODE": "token"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


@contextlib.contextmanager
def second_node(address):
    """Another node that has joined; on a busy machine it may give up while it starts."""
    before, node = nodes_alive(), start_node(address)
    try:
        for attempt in range(_JOINS):
            while node.poll() is None and nodes_alive() == before:
                time.sleep(0.2)
            if node.poll() is None:
                break
            assert attempt + 1 < _JOINS, "no second node could be started"
            node = start_node(address)
        yield node
    finally:
        kill_all(node)


def nodes_alive():
    return sum(node["Alive"] for node in ray.nodes())


@pytest.mark.parametrize("seed", range(_KILLS))
def test_killing_a_node(undisturbed, new_place, joined, seed):
    place = joined(another(undisturbed, new_place, "node"))
    draw = random.Random(seed)
    address = place.environment["RAY_ADDRESS"]
    with second_node(address) as node, running(place, "extract") as process:
        time.sleep(draw.uniform(6, _LATEST_S))
        kill_all(node)
        assert process.wait(timeout=400) == 0, (place.folder / "extract.log").read_text()[-4000:]
    assert_same(place, undisturbed)
