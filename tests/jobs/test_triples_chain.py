"""A knowledge graph from its files to a report: read, learned by several models, compared."""

from __future__ import annotations

import json

import pytest

from mmkrl.data.dataset import open_dataset
from mmkrl.evaluate.link_prediction import LINK_PREDICTION
from mmkrl.evaluate.triple_classification import CLASSIFICATION
from mmkrl.storage import locate

pytestmark = [pytest.mark.ray, pytest.mark.timeout(900)]


def report_of(ended):
    dataset = open_dataset(locate(ended.result["output"]))
    return json.loads(dataset.read_bytes(dataset.file("report.json")))


def test_only_what_a_graph_needs_is_run(triples):
    _, ended = triples
    assert list(ended.steps()) == ["graph", "train", "evaluate"]
    assert ended.result["rows_in"] == ended.result["rows_out"] > 0


def test_every_model_is_measured_with_every_seed_and_an_interval(triples):
    _, ended = triples
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


def test_the_first_model_is_compared_with_the_others(triples):
    _, ended = triples
    ahead = report_of(ended)["ahead"]
    assert ahead.keys() == {"complex"}
    assert f"{LINK_PREDICTION} MRR" in ahead["complex"]["translation"]


def test_finished_work_is_skipped(triples):
    place, _ = triples
    again = place.run("pipeline")
    assert {step["status"] for step in again.steps().values()} == {"skipped"}


def test_a_model_without_its_pictures_is_told_in_one_line(triples):
    place, _ = triples
    ended = place.run("train", "--set", "train.triples={one: {model: ikrl}}")
    assert ended.status == 2
    assert "one would learn from images, and the graph has none: set graph.images" in ended.error


def test_shards_of_entities_give_the_same_report(triples):
    place, before = triples
    after = place.run("evaluate", "--set", "evaluate.ranks_by=entities", "--force")
    assert after.status == 0
    assert after.result["output"] != before.result["output"]
    assert report_of(after)["results"] == report_of(before)["results"]
