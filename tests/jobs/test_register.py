"""Registering what the chain trained, loading it where mmkrl is not installed, and comparing."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import sysconfig
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from mmkrl.models.bcdnn.space import KnowledgeSpace

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]

NAME = "small"  # the experiment's
TEXT = "woman | as_role | school"
_ASK = """
import importlib.util, json, sys
foreign = set(json.loads(sys.argv[3]))

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in foreign:
            raise ImportError(f"{name} is not among the model's requirements")

sys.meta_path.insert(0, Blocked())
assert importlib.util.find_spec("mmkrl") is None, "mmkrl is installed here"
import mlflow, pandas as pd
model = mlflow.pyfunc.load_model("models:/small@champion")
image = open(sys.argv[1], "rb").read()
tasks = ["embed_text", "embed_image", "retrieve", "recognise"]
text = sys.argv[2]
rows = {"task": tasks, "text": [text, None, text, None], "image": [None, image, None, image]}
print(json.dumps(model.predict(pd.DataFrame(rows), params={"count": 3}).to_dict("list")))
"""


def version_of(place, number=1, name=NAME):
    return MlflowClient(place.tracking).get_model_version(name, str(number))


def artifact(place, run, path):
    mlflow.set_tracking_uri(place.tracking)
    return mlflow.artifacts.load_text(f"runs:/{run}/{path}")


@pytest.fixture(scope="module")
def registered(chain):
    """The finished chain's place, and what registering said."""
    place, _ = chain
    return place, place.done("register")


def test_the_first_version_is_the_champion_with_its_card(registered):
    place, result = registered
    assert (result["output"], result["status"]) == ("models:/small/1", "done")
    assert result["metrics"] == {"version": 1.0, "champion": 1.0}
    model = MlflowClient(place.tracking).get_registered_model(NAME)
    assert {alias: str(number) for alias, number in model.aliases.items()} == {"champion": "1"}
    version = version_of(place)
    card = artifact(place, version.tags["mmkrl.run"], "card.md")
    assert version.description.startswith(card[:500])
    trained = place.dataset("train")
    assert version.tags["mmkrl.trained"] == trained.digest
    assert f"`{place.dataset('mine').digest[:16]}`" in card
    assert "| **full** |" in card
    assert "| text_only |" in card
    assert "* Rows that could not be used: ingest 3; " in card


def test_registering_again_makes_no_second_version(registered):
    place, _ = registered
    again = place.done("register")
    assert (again["output"], again["status"]) == ("models:/small/1", "skipped")
    assert len(MlflowClient(place.tracking).search_model_versions(f"name = '{NAME}'")) == 1


def test_the_pipeline_registers_where_a_name_is_set(registered):
    place, _ = registered
    place.done("pipeline", "--set", "registry.name=other")
    tags = [version_of(place, name=name).tags["mmkrl.trained"] for name in (NAME, "other")]
    assert tags[0] == tags[1]


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """A virtual environment with the packages that are installed, and without this project.

    They are not installed anew, torch alone being a gigabyte.
    """
    folder = tmp_path_factory.mktemp("fresh")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    places = sysconfig.get_paths()
    own = next(folder.glob("lib/python*/site-packages"))
    (own / "installed.pth").write_text(f"{places['purelib']}\n{places['platlib']}\n")
    return folder / "bin/python"


def foreign(listed):
    """Modules of installed packages that neither are in a list of requirements nor follow.

    mmkrl itself comes with the model.
    """
    waiting, closure = [canonicalize_name(line.partition("==")[0]) for line in listed], set()
    while waiting:
        name = waiting.pop()
        if name not in closure:
            closure.add(name)
            with contextlib.suppress(PackageNotFoundError):  # for another system
                needs = [Requirement(line) for line in requires(name) or []]
                there = [n for n in needs if n.marker is None or n.marker.evaluate({"extra": ""})]
                waiting += [canonicalize_name(need.name) for need in there]
    return [
        module
        for module, homes in packages_distributions().items()
        if module != "mmkrl" and not closure & {canonicalize_name(home) for home in homes}
    ]


def test_the_champion_answers_where_nothing_but_its_requirements_is(
    registered, fresh, tmp_path, monkeypatch
):
    place, _ = registered
    monkeypatch.setenv("MLFLOW_TRACKING_URI", place.tracking)
    mlflow.set_tracking_uri(place.tracking)
    listed = Path(mlflow.pyfunc.get_model_dependencies("models:/small@champion")).read_text()
    assert all("==" in line for line in listed.split())
    other = foreign(listed.split())
    assert {"ray", "jobs", "spacy"} <= set(other)
    picture = tmp_path / "picture.png"
    images = place.dataset("ingest").iterate("images", ["image"])
    picture.write_bytes(next(images)["image"][0].as_py())
    hidden = {"PYTHONPATH", "VIRTUAL_ENV"}
    environment = {k: v for k, v in place.environment.items() if k not in hidden}
    done = subprocess.run(
        [fresh, "-c", _ASK, str(picture), TEXT, json.dumps(other)],
        cwd=tmp_path,
        env=environment | {"MLFLOW_TRACKING_URI": place.tracking},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    space = KnowledgeSpace.load(Path(str(place.dataset("train").location / "space")))
    text_1D, image_1D = space.embed_texts([TEXT]), space.embed_images([picture.read_bytes()])
    for row, expected in enumerate((text_1D, image_1D, text_1D, image_1D)):
        assert found["vector"][row] == pytest.approx(expected[0].tolist(), abs=1e-5)
    assert found["names"][2] == [answer.name for answer in space.retrieve(text_1D, 3)[0]]
    assert found["names"][3] == [answer.name for answer in space.recognise(image_1D, 3)[0]]


def test_an_ablation_is_compared_with_the_served_model(registered):
    place, _ = registered
    evaluated = place.dataset("evaluate")
    run = evaluated.manifest.notes["mlflow_run"]
    result = place.done("compare", f"{evaluated.location}#text_only", run)
    metrics = result["metrics"]
    assert metrics["problems"] == 0
    report = json.loads(evaluated.read_bytes(evaluated.file("report.json")))
    told = report["ahead"]["full"]["text_only"]["text-image mAP"]["mean"]
    assert metrics["B/text-image/mAP"] == pytest.approx(told)
    page = (Path(result["output"]) / "compare.html").read_text()
    assert 'src="data:image' in page
    (found,) = MlflowClient(place.tracking).search_runs(
        [MlflowClient(place.tracking).get_run(run).info.experiment_id],
        "tags.`mmkrl.job` = 'compare'",
    )
    assert "as_role" in artifact(place, found.info.run_id, "compare.md")
