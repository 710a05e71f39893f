"""What a finished chain found, as figures: digests, numbers, and series of losses.

This is the only place that knows how results are stored: the manifests of the workspace, the runs
in MLflow, the report of the evaluation. All figures have names like ``mine/instances``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

from mlflow import MlflowClient
from safetensors.torch import load_file

Figures: TypeAlias = dict[str, dict[str, Any]]
"""By kind: ``digests`` of what holds no result of floating-point arithmetic, ``float_digests`` of
what does, ``numbers``, and ``series`` of ``[step, value]``."""

_FLOATS = {"features", "evidence", "values"}  # tables that hold results of such arithmetic
_TIMES = re.compile(r"(^|/)(utilisation|peak_\w+|\w+_s)$")
_REPORT = ("evaluate/results/", "evaluate/ahead/")
_KEPT = 4  # points of a series


def read_figures(folder: Path, output: Path, experiment: str) -> Figures:
    """The figures of a chain.

    Args:
        folder: What holds its workspace and its MLflow store.
        output: The dataset of its evaluation.
        experiment: Its name in MLflow.
    """
    figures: Figures = {"digests": {}, "float_digests": {}, "numbers": {}, "series": {}}
    for place, manifest in _chain(folder / "workspace", output):
        job = manifest["job"]
        for name, table in manifest["tables"].items():
            kind = "float_digests" if name in _FLOATS else "digests"
            figures[kind][f"{job}/{name}"] = table["digest"]
            figures["numbers"][f"{job}/{name}/rows"] = table["rows"]
        notes = {key: value for key, value in manifest["notes"].items() if key != "mlflow_run"}
        if job == "evaluate":
            report = json.loads((place / "report.json").read_text())
            told = {part: report[part] for part in ("results", "ahead")}
            notes = {"metrics": notes["metrics"]} | told
        for name, value in _numbers(notes):
            if not _TIMES.search(name):
                figures["numbers"][f"{job}/{name}"] = value
        for file in sorted(place.glob("models/*/weights.safetensors")):
            figures["float_digests"][f"train/{file.parent.name}/weights"] = _tensors(file)
        if job == "train":
            figures["series"] |= _series(folder, experiment, manifest["key"])
    return {kind: dict(sorted(named.items())) for kind, named in figures.items()}


def compact(figures: Figures) -> Figures:
    """Few numbers, and digests of all: what the repository keeps; compact figures stay as they are.

    Of the report a digest a method is kept (its main numbers are among the job's metrics), of each
    series some points and a digest.
    """
    numbers, series = {}, {}
    reports: dict[str, list[Any]] = defaultdict(list)
    for name, value in figures["numbers"].items():
        if name.startswith(_REPORT):
            reports["/".join(name.split("/")[:3])].append([name, value])
        else:
            numbers[name] = value
    for name, points in figures["series"].items():
        series[name] = points if isinstance(points, dict) else _few(points)
    digests = figures["float_digests"] | {name: _sha(values) for name, values in reports.items()}
    return figures | {"float_digests": digests, "numbers": numbers, "series": series}


def _few(points: list[list[Any]]) -> dict[str, Any]:
    places = sorted({round(i * (len(points) - 1) / (_KEPT - 1)) for i in range(_KEPT)})
    kept = [points[place] for place in places]
    return {"count": len(points), "points": kept, "sha256": _sha(points)}


def _chain(workspace: Path, output: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The evaluation and everything that it builds on, found by the digests of the inputs."""
    waiting, seen = [output], set()
    while waiting:
        place = waiting.pop(0)
        if place in seen:
            continue
        seen.add(place)
        manifest = json.loads((place / "manifest.json").read_text())
        yield place, manifest
        for job, digest in manifest["inputs"].items():
            made = (workspace / job).glob("*/manifest.json")
            waiting += [file.parent for file in sorted(made) if _digest(file) == digest][:1]


def _digest(manifest: Path) -> str:
    digest: str = json.loads(manifest.read_text())["digest"]
    return digest


def _numbers(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every number in nested records, by its path."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        path = f"{name}/{key}" if name else str(key)
        if isinstance(inner, dict | list):
            yield from _numbers(inner, path)
        elif isinstance(inner, int | float):
            yield path, inner


def _tensors(file: Path) -> str:
    """A digest of the weights that their names do not change."""
    tensors = load_file(file).values()
    return _sha(sorted(_sha([list(one.shape), one.flatten().tolist()]) for one in tensors))


def _series(folder: Path, experiment: str, key: str) -> dict[str, list[list[Any]]]:
    """All that was logged of the members of a training, by member and name."""
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    found = client.get_experiment_by_name(experiment)
    runs = client.search_runs([found.experiment_id], f"tags.`mmkrl.key` = '{key}'")
    series = {}
    for run in runs:
        member = run.data.tags.get("mmkrl.member")
        for name in run.data.metrics if member else ():
            points = client.get_metric_history(run.info.run_id, name)
            ordered = sorted(points, key=lambda point: point.step)
            series[f"{member}/{name}"] = [[point.step, point.value] for point in ordered]
    return series


def _sha(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]
