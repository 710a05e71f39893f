"""The whole chain over a crawl with hostile files, and questions to what it learned."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient

import jobs
from mmkrl.errors import UsageError
from mmkrl.models.bcdnn.space import KnowledgeSpace

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]

_JOBS = ("ingest", "dedupe", "mine", "extract", "train", "evaluate")
_KEYS = [
    "job",
    "output",
    "rows_in",
    "rows_out",
    "dead_letters",
    "metrics",
    "status",
    "seconds",
]
_QUESTION = "woman firefighter"
_ASK = """
import json, sys
import mlflow, pandas as pd
model = mlflow.pyfunc.load_model(sys.argv[1])
image = open(sys.argv[2], "rb").read()
text = sys.argv[3]
rows = pd.DataFrame(
    {
        "task": ["embed_text", "embed_image", "retrieve", "recognise"],
        "text": [text, None, text, None],
        "image": [None, image, None, image],
    }
)
print(json.dumps(model.predict(rows, params={"count": 3}).to_dict("list")))
"""


@pytest.fixture(scope="module")
def quick(chain, joined):
    """The finished chain's place; its jobs join a Ray that is up."""
    return joined(chain[0])


@pytest.fixture(scope="module")
def empty(new_place, joined):
    """A place where nothing has been done."""
    return joined(new_place("empty"))


@pytest.fixture(scope="module")
def picture(quick):
    """A good picture in a file."""
    corpus = quick.dataset("ingest")
    path = quick.folder / "picture.png"
    path.write_bytes(next(corpus.iterate("images", ["image"]))["image"][0].as_py())
    return path


def dead_letters(place, job):
    rows = place.dataset(job).table("dead_letters").to_pylist()
    return {Path(row["record"]).name: row["reason"] for row in rows}


def test_the_chain_ends_with_one_result_line(chain):
    place, ended = chain
    result = ended.result
    assert sorted(result) == sorted(_KEYS)
    assert (result["job"], result["status"]) == ("pipeline", "done")
    assert result["rows_in"] == result["rows_out"] + result["dead_letters"]
    assert result["dead_letters"] == 3
    assert Path(result["output"]).parent == place.workspace / "evaluate"
    assert all(isinstance(value, float) for value in result["metrics"].values())
    assert list(ended.steps()) == list(_JOBS)
    assert {step["status"] for step in ended.steps().values()} == {"done"}


def test_hostile_files_are_dead_letters_with_their_reason(chain):
    place, _ = chain
    assert dead_letters(place, "ingest") == {
        "bomb.png": "too_many_pixels",
        "empty.png": "empty",
        "text.png": "not_an_image",
    }
    (reason,) = dead_letters(place, "extract").values()
    assert reason == "truncated"
    assert dead_letters(place, "dedupe") == {"truncated.png": "truncated"}
    assert dead_letters(place, "mine")["truncated.png"] == "truncated"


@pytest.mark.parametrize("job", _JOBS)
def test_every_row_is_accounted_for(chain, job):
    dataset = chain[0].dataset(job)
    manifest = dataset.manifest
    assert manifest.rows_in == manifest.rows_out + manifest.dead_letters
    assert manifest.dead_letters == dataset.rows("dead_letters")


def test_the_same_chain_again_is_skipped(chain, quick):
    again = quick.run("pipeline")
    assert again.status == 0, again.stderr
    first, second = chain[1].steps(), again.steps()
    assert {step["status"] for step in second.values()} == {"skipped"}
    assert {j: s["output"] for j, s in second.items()} == {j: s["output"] for j, s in first.items()}
    changed = {"status": "skipped", "seconds": again.result["seconds"]}
    assert again.result == chain[1].result | changed


def test_python_gets_what_the_command_prints(chain, quick, monkeypatch):
    monkeypatch.chdir(quick.folder)
    result = jobs.run("pipeline", "config.yaml", train__seeds=[0])
    assert result.outcome.status == "skipped"
    assert result.metrics == chain[1].result["metrics"]
    assert result.mlflow_run == quick.dataset("evaluate").manifest.notes["mlflow_run"]
    assert {"full", "text_only", "random"} <= set(result.table.index)
    assert "text-image mAP" in result._repr_html_()
    found = result.model.retrieve("woman | as_role | school", count=3)
    ids = set(quick.dataset("ingest").table("images", ["image_id"])["image_id"].to_pylist())
    assert len(found) == 3
    assert set(found["name"]) <= ids
    with pytest.raises(UsageError, match="no job is called 'pipline'; they are: ingest, "):
        jobs.run("pipline", "config.yaml")
    with pytest.raises(UsageError, match=r"'train\.variants' is now a model each"):
        jobs.run("pipeline", "config.yaml", {"train.variants": ["full"]})


def test_force_makes_a_new_version_of_the_same_content(chain, joined, new_place):
    place = joined(new_place("forced")).take(chain[0], "ingest", "dedupe", "mine")
    before = place.dataset("mine")
    result = place.done("mine", "--force")
    assert result["status"] == "done"
    assert result["output"] == str(before.location).removesuffix("-v1") + "-v2"
    assert json.loads((Path(result["output"]) / "manifest.json").read_text())["digest"] == (
        before.digest
    )


def test_a_text_finds_images(quick):
    result = quick.done("query", "--set", f"query.text={_QUESTION}", "--set", "query.count=4")
    assert sorted(result) == sorted(_KEYS)
    assert Path(result["output"]).read_text().count('src="data:image') == 4


def test_a_picture_finds_relationships(quick, picture):
    result = quick.done("query", "--set", f"query.image={picture}")
    page = Path(result["output"]).read_text()
    assert "data:image" in page
    assert "as_role" in page


@pytest.mark.parametrize("given", [[], ["text=a cat", "image=cat.png"]], ids=["neither", "both"])
def test_a_query_needs_one_of_text_and_image(quick, given):
    ended = quick.run("query", *(part for item in given for part in ("--set", f"query.{item}")))
    assert ended.status == 2
    assert "query.text" in ended.error
    assert "query.image" in ended.error
    assert ended.result["status"] == "failed"


def test_an_unknown_key_is_named_with_the_nearest(chain):
    ended = chain[0].run("query", "--set", "query.imagee=cat.png")
    assert ended.status == 2
    assert ended.error == (
        "error: unknown key 'query.imagee'; did you mean 'image'? "
        "(valid keys here: count, head, image, relation, tail, text)"
    )


@pytest.mark.parametrize(
    ("item", "says"),
    [
        ("query.image={text}", "not_an_image"),
        ("query.image={folder}/missing.png", "no such file"),
        ("query.text=firefighter", "two known words"),
    ],
    ids=["no picture", "no file", "one word"],
)
def test_a_question_without_sense_is_one_line(quick, crawl, item, says):
    item = item.format(text=crawl / "hostile/text.png", folder=crawl)
    ended = quick.run("query", "--set", item)
    assert ended.status == 1
    assert says in ended.error


def test_missing_input_names_the_command(empty):
    ended = empty.run("mine")
    assert ended.status == 1
    assert "python -m jobs.ingest" in ended.error


def test_a_missing_source_is_one_line(empty):
    sources = json.dumps([{"path": "nowhere", "format": "folder"}])
    ended = empty.run("ingest", "--set", f"ingest.sources={sources}")
    assert ended.status in (1, 2)
    assert "nowhere: no such file or folder" in ended.error


@pytest.fixture(scope="module")
def served(chain, picture):
    """Answers of the logged model in a process that knows nothing but MLflow."""
    place, _ = chain
    mlflow.set_tracking_uri(place.tracking)
    client = MlflowClient(place.tracking)
    run = client.get_run(place.dataset("train").manifest.notes["mlflow_run"])
    (model,) = run.outputs.model_outputs
    environment = {k: v for k, v in place.environment.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", _ASK, f"models:/{model.model_id}", str(picture), _QUESTION],
        cwd=place.folder.parent,
        env=environment | {"MLFLOW_TRACKING_URI": place.tracking},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_the_logged_model_embeds_as_the_dataset_does(chain, picture, served):
    trained = chain[0].dataset("train")
    space = KnowledgeSpace.load(Path(str(trained.location / "space")))
    text_1D, image_1D = space.embed_texts([_QUESTION]), space.embed_images([picture.read_bytes()])
    vector_TD = served["vector"]
    for row, expected in enumerate((text_1D, image_1D, text_1D, image_1D)):
        np.testing.assert_allclose(vector_TD[row], expected[0].numpy(), rtol=0, atol=1e-5)
    assert served["names"][2] == [answer.name for answer in space.retrieve(text_1D, 3)[0]]


def test_the_logged_model_gives_the_asked_number_of_answers(served):
    assert [len(names) for names in served["names"]] == [0, 0, 3, 3]
    assert [len(scores) for scores in served["scores"]] == [0, 0, 3, 3]
    assert served["scores"][3] == sorted(served["scores"][3], reverse=True)
