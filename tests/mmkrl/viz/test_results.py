"""Published pages are generated, and are those of the results files."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mmkrl.evaluate.metrics.registry import metric
from mmkrl.viz.results import as_json, headline, insert, page

ROOT = Path(__file__).parents[3]
FILES = sorted((ROOT / "docs/results").glob("*.json"))


def interval(mean, low=None):
    bounds = {"mean": mean, "low": low, "high": low}
    return bounds | {"n_groups": 2, "n_queries": 2, "seed_values": []}


def scores(**metrics):
    return {
        "definition": "same",
        "n_queries": 2,
        "n_gallery": 3,
        "skipped": 1,
        "metrics": metrics,
    }


def test_methods_without_a_number_leave_its_cell_empty():
    tasks = {"text-image": scores(mAP=interval(0.5, 0.25))}
    metrics = {name: metric(name).to_json() for name in ("mAP", "top-1", "top-5")}
    result = {"seeds": [0, 1], "metrics": metrics, "results": {"ours": tasks, "other": {}}}
    table = headline(result)
    assert "3 images of 2 relationships" in table
    assert "| ours | 0.500 (0.250 to 0.250) |  |  |  |  |" in table
    assert "| other |  |  |  |  |  |" in table


def test_the_page_tells_how_far_the_served_method_is_ahead():
    result = {
        "name": "n",
        "command": "c",
        "key": "k",
        "commit": "m",
        "seeds": [0],
        "inputs": {},
        "metrics": {name: metric(name).to_json() for name in ("mAP", "MR")},
        "results": {"ours": {"text-image": scores(mAP=interval(0.5), MR=interval(20.0))}},
        "ahead": {
            "ours": {
                "other": {
                    "text-image mAP": interval(0.25, 0.125),
                    "text-image MR": interval(-3.0, -4.0),
                }
            }
        },
    }
    assert "How far ours is ahead" in page([result])
    assert "| method | mAP | MR ↓ |" in page([result])
    assert "| than | text-image mAP | text-image MR ↓ |" in page([result])
    assert "| other | 0.250 (0.125 to 0.125) | -3.0 (-4.0 to -4.0) |" in page([result])
    assert "ahead" not in page([result | {"ahead": {"ours": {}}}])  # of nobody


def test_a_file_has_a_line_a_key_and_no_digits_of_noise():
    text = as_json({"name": "x", "results": {"ours": [0.123456789, 12], "seeds": None}})
    assert text.count("\n") == 4
    assert json.loads(text) == {"name": "x", "results": {"ours": [0.123457, 12], "seeds": None}}


def test_only_the_text_between_the_marks_changes():
    text = "before\n<!-- results:start -->\nold\n<!-- results:end -->\nafter\n"
    changed = insert(text, "new")
    assert changed == text.replace("old", "new")
    assert insert(changed, "new") == changed


@pytest.mark.skipif(not FILES, reason="no results are published")
def test_the_readme_and_the_page_are_those_of_the_results_files(tmp_path):
    results = [json.loads(file.read_text()) for file in FILES]
    readme = (ROOT / "README.md").read_text()
    shown = next(result for result in results if result["name"] == "demo")
    assert insert(readme, headline(shown)) == readme
    made = page(results)
    assert all(f"## {result['name']}\n" in made for result in results)
    command = [sys.executable, "-m", "jobs.publish_results", "--page", str(tmp_path / "page.md")]
    subprocess.run(command, cwd=ROOT, check=True)
    assert (tmp_path / "page.md").read_text() == made
