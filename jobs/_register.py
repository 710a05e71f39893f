"""What ``jobs.register`` puts together: the model, what decides over it, and its card."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from jobs.config import PipelineConfig
from jobs.steps import finished, inputs_of
from mmkrl.data.dataset import Dataset
from mmkrl.data.splits.names import VALIDATION
from mmkrl.evaluate.report.evaluation import Evaluation
from mmkrl.models.training import member_name, unpack_space
from mmkrl.serving.card import Facts, model_card
from mmkrl.serving.log import log_model
from mmkrl.serving.registry import Registry, Validated, Verdict, logged_model, verdict
from mmkrl.spaces.space import load_space
from mmkrl.tracking.runs import Run


def model_uri(trained: Dataset, tracked: Run) -> str:
    """The model of a training: that which its run logged, else logged anew from the dataset.

    Args:
        trained: Output of the job ``train``.
        tracked: The run that gets a model that is logged anew.
    """
    uri = logged_model(trained.manifest.notes["mlflow_run"])
    if uri is not None:
        return uri
    with tempfile.TemporaryDirectory() as folder:
        unpack_space(trained, Path(folder))
        return log_model(Path(folder), tracked.id, trained.manifest.inputs)


def tags(config: PipelineConfig, trained: Dataset, evaluated: Evaluation) -> dict[str, str]:
    """What a version remembers."""
    return {
        "trained": trained.digest,
        "evaluated": evaluated.dataset.digest,
        "data": json.dumps(evaluated.data),
        "member": member_name(*config.train.served),
        "commit": trained.manifest.commit,
    }


def validated(evaluated: Evaluation) -> Validated:
    """The validation of the model by the first headline."""
    headline = evaluated.headlines[0]
    kept = evaluated.query_values(VALIDATION, evaluated.reference, headline)
    return Validated.of(evaluated.data, headline, kept)


def decide(config: PipelineConfig, registry: Registry, version: Any, new: Validated) -> Verdict:
    """What becomes of a version beside the champion there is."""
    champion = registry.champion()
    if champion is None:
        return Verdict(True, "the first champion of its name")
    if champion.version == version.version:
        return Verdict(True, "the champion already")
    found = verdict(new, registry.validated(champion), config.evaluate)
    return Verdict(found.wins, f"{found.why} (champion: version {champion.version})", found.ahead)


def card(
    config: PipelineConfig, name: str, trained: Dataset, evaluated: Evaluation, found: Verdict
) -> str:
    """The model card as Markdown."""
    inputs = {job: finished(config, job) for job in inputs_of(config, "evaluate")}
    with tempfile.TemporaryDirectory() as folder:
        unpack_space(trained, Path(folder))
        tasks = list(load_space(Path(folder)).tasks)
    facts = Facts(
        name=name,
        alias=config.registry.champion if found.wins else config.registry.candidate,
        member=member_name(*config.train.served),
        verdict=found.why,
        tasks=tasks,
        trained=trained.manifest,
        evaluated=evaluated.dataset.manifest,
        report=evaluated.report,
        inputs=inputs,
        corpus=finished(config, "ingest") if "extract" in inputs else None,
    )
    return model_card(facts)
