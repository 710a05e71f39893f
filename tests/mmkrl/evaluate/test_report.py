"""Rendering of results."""

import io
import json
import math

import pytest
from rich.console import Console

from mmkrl.errors import UserError
from mmkrl.evaluate.intervals import Interval
from mmkrl.evaluate.report import Results, TaskScores, as_json, as_table, by_task


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


def rendered(metrics: list[str]) -> str:
    console = Console(file=io.StringIO(), width=200)
    with console.capture() as capture:
        console.print(as_table(RESULTS, metrics=metrics, title="Zero-shot"))
    return capture.get()


def row(text: str, *words: str) -> str:
    (line,) = [line for line in text.splitlines() if all(word in line for word in ("│", *words))]
    return line


def test_json_survives_a_strict_round_trip() -> None:
    plain = as_json(RESULTS)
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain


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


def test_table_shows_intervals_by_task_and_method() -> None:
    text = rendered(["mAP"])
    assert "0.500 (0.400 to 0.600)" in row(text, "text-image")
    assert "0.250 (no interval)" in row(text, "text-image")
    assert row(text, "text-text").split("│")[-2].strip() == "-"


def test_table_leaves_out_metrics_a_task_does_not_have() -> None:
    text = rendered(["mAP", "rank"])
    assert row(text, "text-image", "rank")
    assert row(text, "text-text")


def test_table_states_pools_and_definitions_once() -> None:
    text = " ".join(rendered(["mAP"]).split())
    line = "text-image: 20 queries (2 skipped) x 30 items; relevant = same relationship"
    assert text.count(line) == 1


def test_brackets_in_names_are_shown_as_they_are() -> None:
    results = {"[full]": by_task([scores("text-image", mAP=FULL)])}
    console = Console(file=io.StringIO(), width=120)
    with console.capture() as capture:
        console.print(as_table(results, metrics=["mAP"]))
    assert "[full]" in capture.get()


def test_unknown_metric_and_repeated_task_are_refused() -> None:
    with pytest.raises(UserError, match=r"no method has 'map': the metrics are \['mAP', 'rank'\]"):
        as_table(RESULTS, metrics=["map"])
    with pytest.raises(UserError, match="given twice"):
        by_task([scores("text-image"), scores("text-image")])
