"""Rendering of results."""

import io
import json
import math

import pytest
from rich.console import Console

from mmkrl.errors import UserError
from mmkrl.evaluate.metrics.intervals import Interval
from mmkrl.evaluate.metrics.metric import Metric
from mmkrl.evaluate.metrics.registry import metric
from mmkrl.evaluate.report.report import (
    Results,
    TaskScores,
    as_json,
    as_table,
    as_text,
    by_task,
    from_json,
    interval_text,
    metrics_of,
)


def scores(task: str, **metrics: Interval) -> TaskScores:
    return TaskScores(
        task=task,
        n_queries=20,
        n_gallery=30,
        definition="relevant = same relationship",
        metrics=metrics,
        skipped=2,
    )


FULL = Interval(0.5, 0.4, 0.6, n_groups=9, n_queries=18, seed_values=(0.45, 0.55))
UNBOUNDED = Interval(0.25, math.nan, math.nan, n_groups=1, n_queries=18)
RESULTS: Results = {
    "ours": by_task(
        [scores("text-image", mAP=FULL, rank=UNBOUNDED), scores("text-text", mAP=FULL)]
    ),
    "random": by_task([scores("text-image", mAP=UNBOUNDED)]),
}

METRICS = {name: Metric(name, higher_is_better=name != "rank") for name in ("mAP", "rank")}

IMAGES, TEXTS = ("text-image", "mAP"), ("text-text", "mAP")


def rendered(*columns: tuple[str, str]) -> str:
    console = Console(file=io.StringIO(), width=200)
    with console.capture() as capture:
        console.print(as_table(RESULTS, METRICS, columns=columns, title="Zero-shot"))
    return capture.get()


def row(text: str, *words: str) -> str:
    (line,) = [line for line in text.splitlines() if all(word in line for word in ("│", *words))]
    return line


def test_json_survives_a_strict_round_trip() -> None:
    plain = as_json(RESULTS)
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert as_json(from_json(json.loads(json.dumps(plain)))) == plain


def test_json_keeps_numbers_beside_pools_and_definition() -> None:
    task = as_json(RESULTS)["ours"]["text-image"]
    assert task["definition"] == "relevant = same relationship"
    assert (task["n_queries"], task["n_gallery"], task["skipped"]) == (20, 30, 2)
    assert task["metrics"]["mAP"] == {
        "mean": 0.5,
        "low": 0.4,
        "high": 0.6,
        "n_groups": 9,
        "n_queries": 18,
        "seed_values": [0.45, 0.55],
    }
    assert task["metrics"]["rank"]["low"] is None


def test_table_shows_each_method_with_its_intervals() -> None:
    text = rendered(IMAGES, TEXTS)
    assert row(text, "ours").count("0.500") == 2
    assert "0.400-0.600" in text
    assert "no interval" in text
    assert row(text, "random", "0.250").split("│")[-2].strip() == "-"


def test_an_arrow_marks_what_is_better_when_lower() -> None:
    text = rendered(IMAGES, ("text-image", "rank"))
    assert "rank ↓" in text
    assert "mAP ↓" not in text


def test_a_report_describes_its_metrics() -> None:
    results = {"ours": by_task([scores("text-image", **{"mAP": FULL, "median rank": FULL})])}
    report = json.loads(as_text(results, "ours", {}, metric))
    assert report["results"] == as_json(results)
    assert report["metrics"] == {
        "mAP": {"statistic": "mean", "higher_is_better": True, "digits": 3},
        "median rank": {"statistic": "median", "higher_is_better": False, "digits": 1},
    }
    found = metrics_of(report)
    assert (found["median rank"].title, found["mAP"].title) == ("median rank ↓", "mAP")
    with pytest.raises(UserError, match="evaluate again with --force"):
        metrics_of({"results": {}})


def test_values_have_the_digits_of_their_metric() -> None:
    assert interval_text(FULL, metric("mAP")) == "0.500 (0.400 to 0.600)"
    assert interval_text(FULL, metric("MR")) == "0.5 (0.4 to 0.6)"
    assert interval_text(UNBOUNDED, metric("mAP")) == "0.250"
    assert interval_text(None, metric("mAP")) == ""


def test_table_states_pools_and_definitions_once() -> None:
    text = " ".join(rendered(IMAGES).split())
    line = "text-image: 20 queries (2 skipped) x 30 items; relevant = same relationship"
    assert text.count(line) == 1


def test_brackets_in_names_are_shown_as_they_are() -> None:
    results = {"[full]": by_task([scores("text-image", mAP=FULL)])}
    console = Console(file=io.StringIO(), width=120)
    with console.capture() as capture:
        console.print(as_table(results, METRICS, columns=[IMAGES]))
    assert "[full]" in capture.get()


def test_unknown_metric_and_repeated_task_are_refused() -> None:
    with pytest.raises(UserError, match="no method has 'text-image map': there are"):
        as_table(RESULTS, METRICS, columns=[("text-image", "map")])
    with pytest.raises(UserError, match="given twice"):
        by_task([scores("text-image"), scores("text-image")])
