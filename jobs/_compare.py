"""What ``jobs.compare`` compares: evaluations by run or folder, and what they were made of."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from jobs.config import PipelineConfig
from mmkrl.data.dataset import Dataset, open_dataset
from mmkrl.data.lineage import Lineage, lineage
from mmkrl.data.splits.names import TEST
from mmkrl.errors import UsageError, UserError
from mmkrl.evaluate.report.compare import Compared, Side
from mmkrl.evaluate.report.evaluation import Evaluation
from mmkrl.io.storage import locate
from mmkrl.models.bcdnn.space import KnowledgeSpace
from mmkrl.models.training import open_space
from mmkrl.tracking.outputs import output_of
from mmkrl.tracking.runs import flatten
from mmkrl.viz.compare import ComparisonContext, Setting, Source
from mmkrl.viz.compare_pictures import RelevantImages, best_images
from mmkrl.viz.gallery import Shelf

_RUN = re.compile(r"[0-9a-f]{32}")
_METHOD = "#"
_WITH_PICTURES = "text-image"  # the task whose queries find images
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def sides(config: PipelineConfig, runs: Sequence[str]) -> list[Side]:
    """The evaluations that were named, as sides A, B, ...

    Args:
        config: Where runs are kept.
        runs: Each an MLflow run id or a folder, and ``#METHOD`` for another than the reference.

    Raises:
        UserError: an evaluation that is not there, or a method that it did not measure.
    """
    if not 2 <= len(runs) <= len(_LETTERS):
        raise UsageError(f"{len(runs)} evaluations are named: give 2 to {len(_LETTERS)}")
    return [_side(config, name, given) for name, given in zip(_LETTERS, runs, strict=False)]


def _side(config: PipelineConfig, name: str, given: str) -> Side:
    place, _, method = given.partition(_METHOD)
    if _RUN.fullmatch(place):
        place = output_of(config.tracking, place, "evaluate")
    evaluation = Evaluation.of(open_dataset(locate(place)))
    method = method or evaluation.reference
    if method not in evaluation.report["results"]:
        known = ", ".join(evaluation.report["results"])
        raise UserError(f"{place} has no method {method!r}; it measured: {known}")
    return Side(name, evaluation, method)


def comparison_context(compared: Compared) -> ComparisonContext:
    """Where the sides come from, in what they differ, and what they find."""
    origins = [lineage(side.evaluation.dataset) for side in compared.sides]
    return ComparisonContext(
        [_source(*pair, compared) for pair in zip(compared.sides, origins, strict=True)],
        differing([_settings(origin) for origin in origins]),
        _shelves(compared, origins),
    )


def _source(side: Side, origin: Lineage, compared: Compared) -> Source:
    dataset = side.evaluation.dataset
    _, made = origin.get("train", (None, dataset.manifest))
    seeds = len(side.evaluation.query_values(TEST, side.method, compared.headline).value_SQ)
    run = dataset.manifest.notes.get("mlflow_run", "")
    data = side.evaluation.data
    return Source(side.name, side.method, str(dataset.location), run, made.commit, data, seeds)


def _settings(origin: Lineage) -> dict[str, str]:
    """The resolved configuration of every job that an evaluation builds on, by dotted name."""
    configs: dict[str, Any] = {job: manifest.config for job, (_, manifest) in origin.items()}
    return flatten(configs)


def differing(settings: Sequence[Mapping[str, str]]) -> list[Setting]:
    """The keys in which configurations differ; those of jobs that one lacks among them."""
    keys = sorted({key for each in settings for key in each})
    rows = [Setting(key, [each.get(key) for each in settings]) for key in keys]
    return [row for row in rows if len(set(row.values)) > 1]


def _shelves(compared: Compared, origins: Sequence[Lineage]) -> dict[str, dict[str, list[Shelf]]]:
    """Pictures of the queries on which each other side differs most from the first."""
    origin = origins[0]
    if compared.headline[0] != _WITH_PICTURES or not {"mine", "ingest"} <= origin.keys():
        return {}
    spaces = {
        side.name: space
        for side, own in zip(compared.sides, origins, strict=True)
        if (space := _space(side, own))
    }
    relevant = RelevantImages.of(open_dataset(origin["mine"][0]))
    corpus: Dataset = open_dataset(origin["ingest"][0])
    shelves = {}
    for against in compared.against:
        queries = [query.name for query in (*against.gained, *against.lost)]
        both = {k: spaces[k] for k in (compared.sides[0].name, against.side.name) if k in spaces}
        if queries and both:
            shelves[against.side.name] = best_images(queries, both, relevant, corpus)
    return shelves


def _space(side: Side, origin: Lineage) -> KnowledgeSpace | None:
    """The space of a side; there is one of the served method alone."""
    if "train" not in origin or side.method != side.evaluation.reference:
        return None
    space = open_space(open_dataset(origin["train"][0]))
    return space if isinstance(space, KnowledgeSpace) else None
