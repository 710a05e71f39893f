"""Real photos and their captions from a file to a report, some of them made unusable."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

import mmkrl
from mmkrl.evaluate.baselines.captions import CAPTION_BASELINES
from mmkrl.evaluate.tasks.caption_retrieval import IMAGE_TEXT, TEXT_IMAGE

pytestmark = [pytest.mark.ray, pytest.mark.timeout(900)]

PHOTOS = {"train": 200, "dev": 40, "test": 40, "none": 3}
SMALL = {"family": "captions"} | {
    "dimension": 64,
    "word_dimension": 32,
    "learning_rate": 0.003,
    "batch_size": 64,
}
MODELS = {
    "reads": SMALL
    | {"text": "gru", "loss": {"mining": "max"}, "warmup_epochs": 2, "epochs": 4}
    | {"fine_tune": {"epochs": 0.1, "image_size": 64}},
    "counts": SMALL | {"text": "mean", "epochs": 6, "image": "mlp", "hidden": 64},
}
TRANSFER = {"rounds": 1, "warmup_epochs": 4, "raw_dimension": 16}
SWAPS = [
    {"remove": ["man", "men"], "add": ["woman", "women"]},
    {"remove": ["zebra"], "add": ["dog"]},
]


@pytest.fixture(scope="module")
def photos():
    """A few hundred rows of Flickr8k; some with captions that cannot be used, one twice."""
    root = os.environ.get("MMKRL_DATA")
    if root is None:
        pytest.skip("MMKRL_DATA is not set: no Flickr8k here")
    table = pq.read_table(sorted(Path(root, "flickr8k").glob("*.parquet"))[0])
    rows = []
    for split, count in PHOTOS.items():
        rows += table.filter(pa.compute.equal(table["split"], split))[:count].to_pylist()
    rows[0]["captions"] = []
    rows[1]["captions"][2] = ""
    rows[2]["captions"][0] = "dog " * 10_000
    (tested,) = [row for row in rows if row["split"] == "test"][:1]
    rows.append(tested | {"split": "train", "image": "another name.jpg"})
    return pa.Table.from_pylist(rows, table.schema)


@pytest.fixture(scope="module")
def done(new_place, photos):
    """A place in which the whole chain has run, and what it said."""
    place = new_place("captions")
    pq.write_table(photos, place.folder / "photos.parquet")
    config = yaml.safe_load((place.folder / "config.yaml").read_text())
    columns = {"image": "jpeg", "uri": "image", "caption": "captions"}
    source = {"path": str(place.folder / "photos.parquet"), "format": "parquet", "columns": columns}
    config["ingest"] = {"sources": [source]}
    models = MODELS | {"counts": MODELS["counts"] | {"transfer": TRANSFER}}
    config["train"] = {"seeds": [0, 1], "models": models}
    config["evaluate"] = config.get("evaluate", {}) | {"swaps": SWAPS}
    (place.folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    ended = place.run("pipeline")
    assert ended.status == 0, ended.stderr[-6000:]
    return place, ended


def read(place, job, path):
    dataset = place.dataset(job)
    return json.loads(dataset.read_bytes(dataset.file(path)))


def test_only_what_captions_need_is_run(done):
    _, ended = done
    assert list(ended.steps()) == ["ingest", "extract", "train", "evaluate"]


def test_both_directions_are_measured_with_every_seed_and_an_interval(done):
    place, _ = done
    report = read(place, "evaluate", "report.json")
    assert list(report["results"]) == [*CAPTION_BASELINES, "reads", "counts"]
    for name, scores in report["results"].items():
        for task, queries in ((IMAGE_TEXT, 40), (TEXT_IMAGE, 200)):
            assert scores[task]["n_queries"] == queries
            found = scores[task]["metrics"]["R@1"]
            assert len(found["seed_values"]) == (2 if name in MODELS else 1)
            assert 0 <= found["low"] <= found["mean"] <= found["high"] <= 1
    chance = 10 / 40
    found = report["results"]["counts"][TEXT_IMAGE]["metrics"]["R@10"]["mean"]
    assert found > 1.5 * chance  # 200 photos teach something
    baseline = report["results"]["ridge to texts"][TEXT_IMAGE]["metrics"]["R@10"]["mean"]
    assert baseline > 1.5 * chance
    assert f"{TEXT_IMAGE} R@1" in report["ahead"]["reads"]["counts"]


def test_a_backbone_has_learned_in_a_last_phase(done):
    place, _ = done
    history = read(place, "train", "models/reads-0/history.json")
    assert [entry["phase"] for entry in history][-1] == "fine_tune"
    dataset = place.dataset("train")
    assert dataset.file("models/reads-0/weights.safetensors").bytes > 4 * 3_300_000
    assert dataset.file("models/counts-0/weights.safetensors").bytes < 4 * 1_000_000


def test_arithmetic_is_measured_and_shown(done):
    place, _ = done
    report = read(place, "evaluate", "report.json")
    for scores in report["results"].values():
        assert scores["arithmetic"]["definition"].endswith("; 1 swaps")
        assert 0 < scores["arithmetic"]["metrics"]["chance"]["mean"] < 1
    dataset = place.dataset("evaluate")
    page = dataset.read_bytes(dataset.file("arithmetic.html")).decode()
    assert page.count("- man + woman") == 2


def test_what_cannot_be_used_is_counted(done):
    place, _ = done
    kept = read(place, "train", "captions.json")
    assert kept["statistics"] == {
        "images": 279,
        "captions": 279 * 5 - 1,
        "images_of_no_split": 3,
        "images_without_features": 0,
        "copies_of_held_out_images": 1,
        "copies_in_one_split": 0,
        "empty_captions": 1,
        "images_without_captions": 1,
    }
    assert kept["models"]["reads"]["truncated_captions"] == 1
    words = read(place, "train", "models/reads/vocabulary.json")["words"]
    assert kept["models"]["reads"]["words"] == len(words) > 300


def test_a_model_of_captions_is_registered_and_asked(done):
    place, _ = done
    registered = place.done("register", "--set", "registry.name=photos")
    assert registered["output"] == "models:/photos/1"
    assert registered["metrics"]["champion"] == 1
    asked = place.done("query", "--set", "query.text=a dog runs over the grass")
    assert 0 < asked["metrics"]["best_score"] <= 1.0001
    model = mmkrl.load("models:/photos@champion", tracking=place.tracking)
    found = model.retrieve("a dog runs over the grass", count=3)
    corpus = place.dataset("ingest").table("images", ["image_id", "image"]).to_pylist()
    images = {row["image_id"]: row["image"] for row in corpus}
    assert set(found["name"]) <= images.keys()
    seen = model.recognise(images[found["name"][0]], count=3)
    assert seen["score"].is_monotonic_decreasing
    assert model.embed_text("a dog").shape == (1, SMALL["dimension"])


def test_finished_work_is_skipped(done):
    place, _ = done
    again = place.run("pipeline")
    assert {step["status"] for step in again.steps().values()} == {"skipped"}


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        (
            "train.captions={a: {}}",
            "'train.captions' is now named models of a family: train.",
        ),
        ("train.models.reads.droput=1", "unknown key 'train.models.reads.droput'; did you mean"),
        ("train.models={a: {text: gru}}", "a: say which family, such as a: {family: bcdnn}"),
        ("train.models={a: {family: caption}}", "no model family is called 'caption'; known: capt"),
        ("train.models.reads.dropout=-1", "train.models.reads.dropout = -1: Input should be gr"),
        ("train.models.reads.margin=1", "'train.models.reads.margin' is now loss.margin"),
    ],
)
def test_a_model_that_does_not_fit_is_told_in_one_line(done, setting, says):
    place, _ = done
    ended = place.run("train", "--set", setting)
    assert ended.status == 2
    assert says in ended.error


@pytest.fixture(scope="module")
def mined(new_place, done):
    """A place that took the photos over and trained on what their captions state."""
    place = new_place("mined").take(done[0], "ingest", "extract")
    config = yaml.safe_load((place.folder / "config.yaml").read_text())
    former = yaml.safe_load((done[0].folder / "config.yaml").read_text())
    config["ingest"] = former["ingest"]
    captions = {"test_images": 0.3, "validation_images": 0.3, "wrong_images": 0.2}
    config["mine"] = {"miner": "captions", "min_images": 2, "captions": captions}
    del config["train"]["models"]["text_only"]
    (place.folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    ended = place.run("pipeline")
    assert ended.status == 0, ended.stderr[-6000:]
    return place, ended


def test_relationships_are_mined_from_the_same_photos(mined):
    place, ended = mined
    steps = ended.steps()
    assert [name for name, step in steps.items() if step["status"] == "skipped"] == [
        "ingest",
        "extract",
    ]
    assert steps["mine"]["metrics"]["wrong_images_auc"] > 0.6
    assert set(place.dataset("mine").manifest.notes["leak_checks"].values()) == {0}
    report = read(place, "evaluate", "report.json")
    assert set(report["results"]) > {"full", "random"}
