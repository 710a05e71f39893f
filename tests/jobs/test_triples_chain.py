"""A knowledge graph from its files to a report: read, learned by several models, compared."""

from __future__ import annotations

import json
import os
from pathlib import Path

import mlflow
import pandas as pd
import pytest
import yaml

from mmkrl.data.dataset import open_dataset
from mmkrl.evaluate.tasks.link_prediction import LINK_PREDICTION
from mmkrl.evaluate.tasks.triple_classification import CLASSIFICATION
from mmkrl.io.storage import locate
from mmkrl.models.triples.space import TripleSpace
from tests.mmkrl.data.graphs.made import write_tsv
from tests.support.graphs import row_graph

pytestmark = [pytest.mark.ray, pytest.mark.timeout(900)]

MODELS = {
    "complex": {
        "family": "triples",
        "model": "complex",
        "dimension": 16,
        "loss": "one_vs_all",
        "learning_rate": 0.2,
        "epochs": 60,
        "batch_size": 12,
    },
    "translation": {
        "family": "triples",
        "model": "transe",
        "dimension": 16,
        "margin": 1,
        "epochs": 60,
        "batch_size": 12,
        "negatives": {"entities": 4, "relations": 1},
    },
}


@pytest.fixture(scope="module")
def done(new_place):
    """A place in which the whole chain of a graph has run, and what it said."""
    place = new_place("triples")
    graph = row_graph()
    named = {
        split: [
            (graph.entities[h], graph.relations[r], graph.entities[t]) for h, r, t in rows.tolist()
        ]
        for split, rows in graph.triples.items()
    }
    write_tsv(locate(place.folder / "graph"), named)
    config = yaml.safe_load((place.folder / "config.yaml").read_text())
    config["ingest"] = {"sources": []}
    config["graph"] = {"path": str(place.folder / "graph"), "overlap": "keep"}
    config["train"] = {"seeds": [0, 1], "models": MODELS}
    (place.folder / "config.yaml").write_text(yaml.safe_dump(config))
    ended = place.run("pipeline")
    assert ended.status == 0, ended.stderr[-6000:]
    return place, ended


def report_of(ended):
    dataset = open_dataset(locate(ended.result["output"]))
    return json.loads(dataset.read_bytes(dataset.file("report.json")))


def test_only_what_a_graph_needs_is_run(done):
    _, ended = done
    assert list(ended.steps()) == ["graph", "train", "evaluate"]
    assert ended.result["rows_in"] == ended.result["rows_out"] > 0


def test_every_model_is_measured_with_every_seed_and_an_interval(done):
    _, ended = done
    results = report_of(ended)["results"]
    assert list(results) == ["complex", "translation"]
    for scores in results.values():
        found = scores[LINK_PREDICTION]["metrics"]
        assert found.keys() == {"MR", "MRR", "Hits@1", "Hits@3", "Hits@10"}
        assert len(found["MRR"]["seed_values"]) == 2
        assert found["MRR"]["low"] <= found["MRR"]["mean"] <= found["MRR"]["high"]
        assert f"{LINK_PREDICTION}, raw" in scores
        assert 0 <= scores[CLASSIFICATION]["metrics"]["accuracy"]["mean"] <= 1
    best = results["complex"][LINK_PREDICTION]["metrics"]["MRR"]["mean"]
    assert best > 0.6  # the held-out triples are training triples too: they can be memorised


def test_the_first_model_is_compared_with_the_others(done):
    _, ended = done
    ahead = report_of(ended)["ahead"]
    assert ahead.keys() == {"complex"}
    assert f"{LINK_PREDICTION} MRR" in ahead["complex"]["translation"]


def test_finished_work_is_skipped(done):
    place, _ = done
    again = place.run("pipeline")
    assert {step["status"] for step in again.steps().values()} == {"skipped"}


def test_what_completes_a_triple_can_be_asked(done):
    place, _ = done
    head, relation, tail = "e03", "next", "e04"
    names = [f"query.head={head}", f"query.relation={relation}", f"query.tail={tail}"]
    for given in (names[:2], names[1:], names):
        settings = [part for one in given for part in ("--set", one)]
        asked = place.done("query", *settings)
        assert isinstance(asked["metrics"]["best_score"], float)
        page = Path(asked["output"]).read_text()
        assert " | ".join(one.partition("=")[2] for one in given) in page
    ended = place.run("query", "--set", "query.text=a cat")
    assert "a space of kind 'triples' can be asked one of score_triples" in ended.error


def test_a_model_without_its_pictures_is_told_in_one_line(done):
    place, _ = done
    ended = place.run("train", "--set", "train.models={one: {family: triples, model: ikrl}}")
    assert ended.status == 2
    assert "one would learn from images, and the graph has none: set graph.images" in ended.error


def test_shards_of_entities_give_the_same_report(done):
    place, before = done
    after = place.run("evaluate", "--set", "cluster.evaluation.ranks_by=entities", "--force")
    assert after.status == 0
    assert after.result["output"] != before.result["output"]
    assert report_of(after)["results"] == report_of(before)["results"]


def test_the_first_model_is_registered_and_asked_by_name(done):
    place, _ = done
    assert place.done("register")["output"] == "models:/small/1"
    (trained,) = (place.workspace / "train").iterdir()
    space = TripleSpace.load(Path(trained) / "space")
    mlflow.set_tracking_uri(place.tracking)
    model = mlflow.pyfunc.load_model("models:/small@champion")
    rows = [{"task": "predict_tails", "head": "e03", "relation": "next"}]
    (found,) = model.predict(pd.DataFrame(rows), {"count": 3}).to_dict("records")
    assert found["names"] == [answer.name for answer in space.tails("e03", "next", 3)]
    assert found["names"][0] == "e04"
    version = mlflow.MlflowClient().get_model_version("small", "1")
    assert "The model saw no images." in version.description
    assert "* triples: " in version.description


OWN = """
from mmkrl.evaluate.metrics.metric import Metric

def misses(ranking):
    return ranking.rank_Q > 1

Misses = Metric("misses at 1", misses, higher_is_better=False)
"""


def test_a_metric_of_ones_own_is_reported_and_compared_in_its_direction(done, monkeypatch):
    place, _ = done
    (place.folder / "my_metrics.py").write_text(OWN)
    path = f"{place.folder}{os.pathsep}{place.environment['PYTHONPATH']}"
    monkeypatch.setitem(place.environment, "PYTHONPATH", path)
    monkeypatch.setitem(place.environment, "COLUMNS", "400")  # the table needs no line breaks
    asked = "evaluate.metrics=[python:my_metrics:Misses, Hits@2]"
    ended = place.run("evaluate", "--set", asked)
    assert ended.status == 0, ended.stderr[-6000:]
    assert "misses at 1 ↓" in ended.stderr  # the table
    report = report_of(ended)
    assert report["metrics"]["misses at 1"]["higher_is_better"] is False
    number = f"{LINK_PREDICTION} misses at 1"
    means = {}
    for method, scores in report["results"].items():
        found = scores[LINK_PREDICTION]["metrics"]
        means[method] = found["misses at 1"]["mean"]
        assert found["misses at 1"]["low"] <= means[method] <= found["misses at 1"]["high"]
        assert found["Hits@1"]["mean"] == pytest.approx(1 - means[method])
        assert found["Hits@1"]["mean"] <= found["Hits@2"]["mean"] <= found["Hits@3"]["mean"]
    assert ended.result["metrics"]["complex/link_prediction/misses_at_1"] == means["complex"]
    ahead = report["ahead"]["complex"]["translation"][number]
    assert ahead["mean"] == pytest.approx(means["complex"] - means["translation"])
    here = ended.result["output"]
    compared = place.done("compare", f"{here}#translation", here, "--set", asked)
    lines = (Path(compared["output"]) / "compare.md").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith(f"| **{number}** |")]
    assert (" better |" in line) == (ahead["high"] < 0)
    assert (" worse |" in line) == (ahead["low"] > 0)
