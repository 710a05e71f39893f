"""The champion behind HTTP, asked all kinds of question. Takes a minute: MMKRL_SERVE=1 runs it."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from mmkrl.index.space import KnowledgeSpace
from mmkrl.index.triple_space import TripleSpace

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif("MMKRL_SERVE" not in os.environ, reason="set MMKRL_SERVE=1"),
]

_READY_S = 180


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


@contextlib.contextmanager
def serving(place, model):
    """A server of a registered model; gives what asks it."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", model]
    command += ["--env-manager", "local", "--port", str(port), "--workers", "1"]
    hidden = {"PYTHONPATH"}
    environment = {k: v for k, v in place.environment.items() if k not in hidden}
    environment |= {
        "MLFLOW_TRACKING_URI": place.tracking,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    with (place.folder / "serve.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=place.folder,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _wait(process, port, place.folder / "serve.log")
        yield lambda *rows, **params: ask(port, rows, params)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 15)
        process.wait(timeout=30)


def _wait(process, port, log):
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=5)
            return
        time.sleep(1)
    pytest.fail(f"the server did not start:\n{log.read_text()[-3000:]}")


def ask(port, rows, params):
    """Status and answers of a request."""
    columns = sorted({column for row in rows for column in row})
    data = [[row.get(column) for column in columns] for row in rows]
    body = {"dataframe_split": {"columns": columns, "data": data}, "params": params}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/invocations",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=120) as reply:
            return reply.status, json.load(reply)["predictions"]
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_a_space_is_asked_the_four_kinds_of_question(chain):
    place, _ = chain
    place.done("register")
    trained, corpus = place.dataset("train"), place.dataset("ingest")
    space = KnowledgeSpace.load(Path(str(trained.location / "space")))
    picture = next(corpus.iterate("images", ["image"]))["image"][0].as_py()
    text, sent = "woman | as_role | school", base64.b64encode(picture).decode()
    with serving(place, "models:/small@champion") as asked:
        status, found = asked(
            {"task": "embed_text", "text": text},
            {"task": "embed_image", "image": sent},
            {"task": "retrieve", "text": text},
            {"task": "recognise", "image": sent},
            count=3,
        )
        refused = asked({"task": "score_triples", "text": text})
    assert status == 200
    text_1D, image_1D = space.embed_texts([text]), space.embed_images([picture])
    for row, expected in enumerate((text_1D, image_1D, text_1D, image_1D)):
        assert found[row]["vector"] == pytest.approx(expected[0].tolist(), abs=1e-5)
    assert found[2]["names"] == [answer.name for answer in space.retrieve(text_1D, 3)[0]]
    assert found[3]["names"] == [answer.name for answer in space.recognise(image_1D, 3)[0]]
    assert refused[0] == 400
    assert "expected one of embed_text, embed_image, retrieve, recognise" in refused[1]


def test_a_model_of_triples_is_asked_for_scores_heads_and_tails(triples):
    place, _ = triples
    place.done("register", "--set", "registry.name=graph")
    space = TripleSpace.load(Path(str(place.dataset("train").location / "space")))
    head, relation, tail = space.example
    with serving(place, "models:/graph@champion") as asked:
        status, found = asked(
            {"task": "score_triples", "head": head, "relation": relation, "tail": tail},
            {"task": "predict_tails", "head": head, "relation": relation},
            {"task": "predict_heads", "relation": relation, "tail": tail},
            count=4,
        )
        refused = asked({"task": "predict_tails", "head": "nobody", "relation": relation})
    assert status == 200
    assert found[0]["scores"] == pytest.approx(space.score([space.example]))
    assert found[1]["names"] == [answer.name for answer in space.tails(head, relation, 4)]
    assert found[2]["names"] == [answer.name for answer in space.heads(relation, tail, 4)]
    assert refused[0] == 400
    assert "the graph has no entity called 'nobody'" in refused[1]
