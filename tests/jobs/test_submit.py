"""Jobs submitted to a real Ray head, with a token, as a platform's users submit them."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

pytestmark = pytest.mark.ray

_ROOT = Path(__file__).parents[2]
_RAY = str(Path(sys.executable).with_name("ray"))
_EXCLUDES = [".git/", ".venv/", "runs/", "mlruns/", "tests/", "docs/", "benchmarks/"]
_START_TIMEOUT_S = 120
_JOB_TIMEOUT_S = 180


@dataclass(frozen=True)
class Submission:
    """What became of a submitted job."""

    exit_status: int
    status: str
    logs: list[str]

    @property
    def result(self) -> dict[str, Any]:
        """The job's result line."""
        return json.loads(self.logs[-1])


@dataclass(frozen=True)
class Head:
    """A running head, and how to reach it."""

    url: str
    token: str
    environment: dict[str, str]

    def get(self, path: str) -> Any:
        """An answer of the head's HTTP interface."""
        request = urllib.request.Request(self.url + path)
        request.add_header("Authorization", f"Bearer {self.token}")
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def submit(self, name: str, *entrypoint: str) -> Submission:
        """Submit a job, wait for its end and fetch its logs."""
        name = f"{name}-{secrets.token_hex(4)}"
        done = _submit(self, self.environment, "--submission-id", name, "--", *entrypoint)
        with contextlib.suppress(urllib.error.HTTPError):
            status = self.get(f"/api/jobs/{name}")["status"]
            logs = self.get(f"/api/jobs/{name}/logs")["logs"].strip().splitlines()
            return Submission(done.returncode, status, logs)
        pytest.fail(f"the job was not accepted:\n{done.stdout}")


def _submit(
    head: Head, environment: dict[str, str], *arguments: str
) -> subprocess.CompletedProcess[str]:
    package = ["--working-dir", ".", "--runtime-env-json", json.dumps({"excludes": _EXCLUDES})]
    return subprocess.run(
        [_RAY, "job", "submit", "--address", head.url, *package, *arguments],
        check=False,
        cwd=_ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_JOB_TIMEOUT_S,
    )


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    """A head on this machine that asks for a token."""
    folder = tmp_path_factory.mktemp("head")
    token_file = folder / "token"
    token_file.touch(mode=0o600)
    token_file.write_text(secrets.token_hex(32))
    environment = _without_ray() | {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token_file),
    }
    ports = _free_ports(4)
    running = Head(f"http://127.0.0.1:{ports[1]}", token_file.read_text(), environment)
    sockets = tempfile.mkdtemp(prefix="r", dir="/tmp")  # socket paths must stay short
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            _start(sockets, ports), env=environment, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        _wait_until_up(running, process, folder / "log")
        yield running
    finally:
        _end(process)
        shutil.rmtree(sockets, ignore_errors=True)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The demo's configuration, with results and sources at places that stay.

    The working directory is unpacked anew whenever a file in it changes, and files just unpacked
    are new files to ``ingest``.
    """
    folder = tmp_path_factory.mktemp("work")
    sources = json.dumps([{"path": str(_ROOT / "jobs/demo"), "format": "parquet"}])
    overrides = {
        "workspace": f"{folder}/workspace",
        "tracking.uri": f"sqlite:///{folder}/mlflow.db",
        "ingest.sources": sources,
    }
    items = [part for key, value in overrides.items() for part in ("--set", f"{key}={value}")]
    return ["--config", "jobs/configs/demo.yaml", *items]


@pytest.fixture(scope="module")
def ingested(head: Head, settings: list[str]) -> Submission:
    """The first submission of ``jobs.ingest``."""
    return head.submit("ingest", "python", "-m", "jobs.ingest", *settings)


@pytest.fixture(scope="module")
def later(head: Head, settings: list[str], ingested: Submission) -> dict[str, Submission]:
    """What is submitted after it, all at once: several jobs share a cluster."""
    entrypoints = {
        "dedupe": ["jobs.dedupe", *settings, "--set", "cluster.min_cpus=8"],
        "again": ["jobs.ingest", *settings],
        "wrong": ["jobs.ingest", *settings, "--set", "ingest.sorces=1"],
        "wait": [
            *("jobs.ingest", *settings),
            *("--set", "cluster.min_gpus=1", "--set", "cluster.wait_s=1"),
        ],
    }
    with ThreadPoolExecutor() as pool:
        running = {
            name: pool.submit(head.submit, name, "python", "-m", *arguments)
            for name, arguments in entrypoints.items()
        }
        return {name: submission.result() for name, submission in running.items()}


def _without_ray() -> dict[str, str]:
    """This environment without Ray's settings, with this Python first."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    kept.pop("PYTHONPATH", None)  # the code must come with the job
    return kept | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"}


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _start(sockets: str, ports: list[int]) -> list[str]:
    gcs, dashboard, agent, client = ports
    return [
        _RAY,
        "start",
        "--head",
        "--block",
        f"--port={gcs}",
        f"--ray-client-server-port={client}",
        f"--dashboard-agent-listen-port={agent}",
        "--dashboard-host=127.0.0.1",
        f"--dashboard-port={dashboard}",
        f"--temp-dir={sockets}",
        "--num-cpus=8",
        "--object-store-memory=200000000",
        "--disable-usage-stats",
    ]


def _wait_until_up(head: Head, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError):
            if head.get("/api/version") and head.get("/api/jobs/") is not None:
                return
        time.sleep(0.5)
    pytest.fail(f"the head did not start:\n{log.read_text()[-3000:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End this head alone; ``ray stop`` would end every Ray on the machine."""
    with contextlib.suppress(psutil.NoSuchProcess):
        family = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        _, alive = psutil.wait_procs(family, timeout=2)
        for each in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
    process.kill()
    process.wait()


def test_ingest_is_done(ingested):
    assert ingested.exit_status == 0, ingested.logs
    assert ingested.status == "SUCCEEDED"
    result = ingested.result
    assert (result["job"], result["status"]) == ("ingest", "done")
    assert result["rows_in"] == result["rows_out"] + result["dead_letters"] > 0
    assert (Path(result["output"]) / "manifest.json").is_file()


def test_dedupe_waits_for_its_nodes_and_finds_what_ingest_made(later):
    deduped = later["dedupe"]
    assert deduped.exit_status == 0, deduped.logs
    assert deduped.status == "SUCCEEDED"
    result = deduped.result
    assert (result["job"], result["status"]) == ("dedupe", "done")
    assert result["rows_in"] == result["rows_out"] + result["dead_letters"] > 0
    assert (Path(result["output"]) / "manifest.json").is_file()


def test_the_same_ingest_again_is_skipped(ingested, later):
    again = later["again"]
    assert again.exit_status == 0, again.logs
    changed = {"status": "skipped", "seconds": again.result["seconds"]}
    assert again.result == ingested.result | changed


def test_an_unknown_key_fails_with_one_line(later):
    wrong = later["wrong"]
    assert wrong.exit_status != 0
    assert wrong.status == "FAILED"
    assert [line for line in wrong.logs if line.startswith("error:")] == [
        "error: unknown key 'ingest.sorces'; did you mean 'sources'? "
        "(valid keys here: max_bytes, max_pixels, sources, unit_mb, unit_rows)"
    ]
    assert not any("Traceback" in line for line in wrong.logs)
    assert wrong.result["status"] == "failed"


def test_nodes_that_never_come_fail_with_one_line(later):
    waited = later["wait"]
    assert waited.status == "FAILED"
    assert waited.result["error"] == (
        "cluster.min_cpus = 0, cluster.min_gpus = 1: not free after 1 s; the cluster has 8 CPUs "
        "and 0 GPUs in all. Ask for less, or raise its max_workers"
    )


def test_without_the_token_nothing_is_accepted(head, tmp_path):
    stranger = _without_ray() | {"HOME": str(tmp_path)}
    refused = _submit(head, stranger, "--", "true")
    assert refused.returncode != 0
    assert "Authentication required" in refused.stdout
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{head.url}/api/jobs/", timeout=10)
