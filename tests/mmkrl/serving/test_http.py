"""Champions behind ``mlflow models serve``, asked over HTTP all they can be asked.

Starting a server takes most of a minute, so this runs only where MMKRL_SERVE is set. With
MMKRL_SERVE=clean the servers run in a virtual environment into which nothing but the model's own
requirements was installed, which takes minutes more.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from mmkrl.serving.log import log_model
from mmkrl.tracking.runs import run
from tests.mmkrl.serving.test_pyfunc import picture, small_space, small_triples
from tests.support.tracking import local_store

mlflow = pytest.importorskip("mlflow")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif("MMKRL_SERVE" not in os.environ, reason="set MMKRL_SERVE=1"),
]

_READY_S = 300
_SPACES = {"space": small_space, "triples": small_triples}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """The URI of a store in which a model of each kind is registered as champion."""
    folder = tmp_path_factory.mktemp("served")
    with local_store(folder) as config:
        for kind, make in _SPACES.items():
            make().save(folder / kind)
            with run(config, kind, identity={"key": kind}, params={}) as tracked:
                uri = log_model(folder / kind, tracked.id, {})
            version = mlflow.register_model(uri, kind).version
            mlflow.MlflowClient().set_registered_model_alias(kind, "champion", version)
        yield folder, config.uri


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


@pytest.fixture(scope="module")
def python(store, tmp_path_factory):
    """What runs the servers."""
    if os.environ["MMKRL_SERVE"] != "clean":
        return Path(sys.executable)
    folder = tmp_path_factory.mktemp("clean")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    mlflow.set_tracking_uri(store[1])
    listed = mlflow.artifacts.download_artifacts("models:/space@champion/requirements.txt")
    subprocess.run([folder / "bin/pip", "install", "--quiet", "-r", listed], check=True)
    return folder / "bin/python"


@contextlib.contextmanager
def serving(store, name, python):
    """A server of a champion, which sees mmkrl only in the model; gives what asks it."""
    folder, uri = store
    port, log = free_port(), folder / f"{name}.log"
    command = [python, "-m", "mlflow", "models", "serve", "-m", f"models:/{name}@champion"]
    command += ["--env-manager", "local", "--port", str(port), "--workers", "1"]
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
    environment = kept | {"MLFLOW_TRACKING_URI": uri, "PATH": path}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        _wait(process, port, log)
        yield lambda *rows, **params: ask(port, rows, params)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=60)


def _wait(process, port, log):
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=30).close()
            return
        time.sleep(1)
    pytest.fail(f"the server did not start:\n{log.read_text()[-3000:]}")


def ask(port, rows, params):
    """Status and answers of a request."""
    columns = sorted({column for row in rows for column in row})
    absent = {"image": ""}  # MLflow decodes every value of a binary column
    data = [[row.get(column, absent.get(column)) for column in columns] for row in rows]
    body = {"dataframe_split": {"columns": columns, "data": data}, "params": params}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/invocations",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=300) as reply:
            return reply.status, json.load(reply)["predictions"]
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_a_space_is_asked_the_four_kinds_of_question(store, python):
    space, image, text = small_space(), picture(), "cat | eats | fish"
    sent = base64.b64encode(image).decode()
    with serving(store, "space", python) as asked:
        status, found = asked(
            {"task": "embed_text", "text": text},
            {"task": "embed_image", "image": sent},
            {"task": "retrieve", "text": text},
            {"task": "recognise", "image": sent},
            count=2,
        )
        refused = asked({"task": "score_triples", "text": text})
    assert status == 200, found
    text_1D, image_1D = space.embed_texts([text]), space.embed_images([image])
    for row, expected in enumerate((text_1D, image_1D, text_1D, image_1D)):
        assert found[row]["vector"] == pytest.approx(expected[0].tolist(), abs=1e-5)
    assert found[2]["names"] == [answer.name for answer in space.retrieve(text_1D, 2)[0]]
    assert found[3]["names"] == [answer.name for answer in space.recognise(image_1D, 2)[0]]
    assert refused[0] == 400
    assert "expected one of embed_text, embed_image, retrieve, recognise" in refused[1]


def test_a_model_of_triples_is_asked_for_scores_heads_and_tails(store, python):
    space = small_triples()
    head, relation, tail = space.example
    with serving(store, "triples", python) as asked:
        status, found = asked(
            {"task": "score_triples", "head": head, "relation": relation, "tail": tail},
            {"task": "predict_tails", "head": head, "relation": relation},
            {"task": "predict_heads", "relation": relation, "tail": tail},
            count=4,
            new=True,
        )
        refused = asked({"task": "predict_tails", "head": "nobody", "relation": relation})
    assert status == 200, found
    assert found[0]["scores"] == pytest.approx(space.score([space.example]))
    assert found[1]["names"] == [a.name for a in space.tails(head, relation, 4, new=True)]
    assert found[2]["names"] == [a.name for a in space.heads(relation, tail, 4, new=True)]
    assert refused[0] == 400
    assert "the graph has no entity called 'nobody'" in refused[1]
