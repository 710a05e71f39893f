"""An installed package adds a reader, a miner, an encoder, a graph model, a loss and a metric.

Each is one file of ``tests/support/outside_lab``; nothing of the project is touched. The whole
chain runs with all of them: a BC-DNN, a graph model and a dual encoder stand in one table.
"""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image, ImageDraw

from tests.jobs.conftest import Place

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(900)]

LAB = Path(__file__).parents[1] / "support" / "outside_lab"
COLOURS = ("red", "green", "blue", "yellow", "orange")
SHAPES = ("circle", "square", "line", "cross", "arc")
BCDNN = {"family": "bcdnn", "batch_size": 32, "hidden": 32, "dimension": 16, "rounds": 1}
BCDNN |= {"text_steps": 20, "image_steps": 30}
MOVED = {"family": "triples", "model": "moved", "dimension": 8, "epochs": 30, "batch_size": 8}
MOVED |= {"margin": 1.0, "bound": "free"}
SQUARES = {"family": "captions", "text": "mean", "loss": {"name": "squares", "wanted": 0.9}}
SQUARES |= {"dimension": 16, "word_dimension": 16, "batch_size": 16, "epochs": 4, "validations": 2}


def drawing(colour, shape, seed):
    generator = np.random.default_rng(seed)
    image = Image.new("RGB", (64, 64), "white")
    x, y = generator.integers(4, 20, 2).tolist()
    box, pen = (x, y, x + 40, y + 40), ImageDraw.Draw(image)
    draw = {
        "circle": lambda: pen.ellipse(box, fill=colour),
        "square": lambda: pen.rectangle(box, fill=colour),
        "line": lambda: pen.line(box, fill=colour, width=6),
        "cross": lambda: (
            pen.line(box, fill=colour, width=6),
            pen.line((x, y + 40, x + 40, y), fill=colour, width=6),
        ),
        "arc": lambda: pen.arc(box, 0, 200, fill=colour, width=6),
    }
    draw[shape]()
    file = io.BytesIO()
    image.save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder in which an installer put the package, built from a copy of its source."""
    folder = tmp_path_factory.mktemp("outside")
    source = folder / "source"
    (source / "outside_lab").mkdir(parents=True)
    for file in (LAB / "pyproject.toml", *(LAB / "outside_lab").glob("*.py")):
        (source / file.relative_to(LAB)).write_text(file.read_text())
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    command += ["--no-build-isolation", "--target", str(folder / "site"), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / "site"


@pytest.fixture(scope="module")
def done(installed, new_place):
    """The place in which the chain ran with what the package adds, and how it ended."""
    plain = new_place("outside")
    path = f"{plain.environment['PYTHONPATH']}:{installed}"
    place = Place(plain.folder, plain.environment | {"PYTHONPATH": path})
    lines = ["no line"]
    for n, (colour, shape) in enumerate((c, s) for c in COLOURS for s in SHAPES):
        for copy in range(5):
            picture = drawing(colour, shape, 10 * n + copy)
            caption = f"a {colour} {shape} on white paper"
            row = {"picture": picture, "title": f"{colour} {shape}", "caption": caption}
            lines.append(json.dumps(row))
    (place.folder / "crawl.lines").write_text("\n".join(lines) + "\n")
    config = yaml.safe_load((place.folder / "config.yaml").read_text())
    columns = {"image": "picture", "title": "title", "caption": "caption"}
    source = {"path": str(place.folder / "crawl.lines"), "format": "lines", "columns": columns}
    config |= {
        "ingest": {"sources": [source | {"name": "lab"}]},
        "mine": {"miner": "colours", "split": {"near_duplicate_bits": 0}},
        "graph": {"source": "mined"},
        "extract": {"backbones": ["fields"], "image_size": 64},
        "train": {"models": {"ours": BCDNN, "moved": MOVED, "squares": SQUARES}},
        "evaluate": {"resamples": 100, "gallery_queries": 1, "metrics": ["misses"]},
    }
    (place.folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    ended = place.run("pipeline")
    assert ended.status == 0, ended.stderr[-6000:]
    return place, ended


def test_the_chain_runs_with_all_of_them(done):
    _, ended = done
    steps = ["ingest", "dedupe", "mine", "graph", "extract", "train", "evaluate"]
    assert sorted(ended.steps()) == sorted(steps)
    assert ended.result["rows_in"] == ended.result["rows_out"] + ended.result["dead_letters"] == 126


def test_a_line_that_cannot_be_read_is_a_dead_letter_of_the_reader(done):
    place, _ = done
    (letter,) = place.dataset("ingest").table("dead_letters").to_pylist()
    assert letter["reason"] == "bad_line"
    assert letter["record"].endswith("crawl.lines line 1")


def test_models_of_all_families_stand_in_one_table(done):
    place, _ = done
    dataset = place.dataset("evaluate")
    results = json.loads(dataset.read_bytes(dataset.file("report.json")))["results"]
    assert {"ours", "moved", "squares", "random", "captions random"} <= results.keys()
    assert "text-image" in results["ours"]
    assert "captions text-image" in results["squares"]
    assert "triples link prediction" in results["moved"]
    assert results["ours"]["recognition"]["metrics"]["top-1"]["mean"] > 0


@pytest.mark.parametrize(
    ("method", "task"),
    [
        ("ours", "recognition"),
        ("moved", "triples link prediction"),
        ("squares", "captions image-text"),
    ],
)
def test_the_metric_is_measured_with_an_interval_and_its_direction(done, method, task):
    place, _ = done
    dataset = place.dataset("evaluate")
    report = json.loads(dataset.read_bytes(dataset.file("report.json")))
    found = report["results"][method][task]["metrics"]["misses"]
    assert 0 <= found["low"] <= found["mean"] <= found["high"] <= 1
    assert report["metrics"]["misses"]["higher_is_better"] is False


def test_what_was_learned_can_be_asked(done):
    place, _ = done
    asked = place.done("query", "--set", "query.text=circle | has colour | red")
    assert asked["metrics"]["best_score"] <= 1.0001
