"""Measure the zero-shot tasks for every trained model and baseline, with intervals and pictures."""

from __future__ import annotations

import json
import sys

import rich

from cluster.parallel import parallel
from cluster.training import local_folder
from jobs.command import Outcome, command
from jobs.config import PipelineConfig
from jobs.recorded import Work, recorded
from jobs.steps import Step, finished
from mmkrl.data.dataset import Dataset, write_file
from mmkrl.data.knowledge import Knowledge, load_knowledge
from mmkrl.data.words import load_words
from mmkrl.evaluate.baselines import BASELINES, ridge_images
from mmkrl.evaluate.config import EvaluateConfig
from mmkrl.evaluate.report import as_json, as_table, from_json
from mmkrl.evaluate.summary import headline, summarise
from mmkrl.evaluate.zero_shot import Space, TaskValues, zero_shot_tasks
from mmkrl.index.showcase import showcase
from mmkrl.tracking import Run
from mmkrl.train.config import TrainConfig
from mmkrl.train.members import load_member

SHOWN = (
    ("text-image", "mAP"),
    ("image-text", "mAP"),
    ("image-image", "mAP"),
    ("text-text", "NDCG@10"),
    ("recognition", "top-1"),
    ("recognition", "top-5"),
)
_REPORT, _GALLERY = "report.json", "gallery.html"


def run(config: PipelineConfig, force: bool) -> Outcome:
    """Evaluate all methods on the held-out relationships."""

    def work(step: Step, tracked: Run) -> Work:
        inputs = step.inputs["mine"], step.inputs["extract"], step.inputs["train"]
        methods = [("baseline", name) for name in BASELINES]
        methods += [(variant, str(seed)) for variant, seed in config.train.members]
        calls = {
            f"{kind} {name}": (config.train, config.evaluate, inputs, kind, name)
            for kind, name in methods
        }
        values = parallel(measure, calls, label="evaluate")
        results = summarise(_by_method(methods, list(values.values())), config.evaluate)
        report = json.dumps(as_json(results), indent=1)
        page = _page(config, inputs)
        tracked.text(report, _REPORT)
        tracked.text(page, _GALLERY)
        files = [
            write_file(step.location, _REPORT, report.encode()),
            write_file(step.location, _GALLERY, page.encode()),
        ]
        return Work([], files, {}, headline(results))

    outcome = recorded(config, "evaluate", work, force=force)
    show(finished(config, "evaluate"))
    return outcome


def measure(
    train: TrainConfig,
    evaluate: EvaluateConfig,
    inputs: tuple[Dataset, Dataset, Dataset],
    kind: str,
    name: str,
) -> dict[str, TaskValues]:
    """All task values of one method; runs on a worker."""
    mined, extracted, trained = inputs
    knowledge = load_knowledge(mined, extracted, load_words(train.words), local_folder("features"))
    if kind == "baseline":
        return zero_shot_tasks(knowledge, BASELINES[name](knowledge, evaluate))
    return zero_shot_tasks(
        knowledge, _trained_space(train, evaluate, knowledge, trained, (kind, int(name)))
    )


def _trained_space(
    train: TrainConfig,
    evaluate: EvaluateConfig,
    knowledge: Knowledge,
    trained: Dataset,
    member: tuple[str, int],
) -> Space:
    """A member's vectors; a model that learned no images gets its images by ridge regression."""
    learner = load_member(trained, train, knowledge, *member)
    text_RD = learner.text_vectors()
    if member[0] == "text_only":
        return Space(text_RD, ridge_images(knowledge, text_RD, evaluate.ridge_strengths))
    return Space(text_RD, learner.every_image())


def _by_method(
    methods: list[tuple[str, str]], values: list[dict[str, TaskValues]]
) -> dict[str, list[dict[str, TaskValues]]]:
    """Values by method, one entry a seed."""
    grouped: dict[str, list[dict[str, TaskValues]]] = {}
    for (kind, name), value in zip(methods, values, strict=True):
        label = name if kind == "baseline" else f"BC-DNN {kind.replace('_', ' ')}"
        grouped.setdefault(label, []).append(value)
    return grouped


def _page(config: PipelineConfig, inputs: tuple[Dataset, Dataset, Dataset]) -> str:
    """The gallery of the served model."""
    mined, extracted, trained = inputs
    words = load_words(config.train.words)
    knowledge = load_knowledge(mined, extracted, words, local_folder("features"))
    learner = load_member(trained, config.train, knowledge, *config.train.members[0])
    space = Space(learner.text_vectors(), learner.every_image())
    corpus = finished(config, "ingest")
    return showcase(knowledge, space, corpus, config.evaluate.gallery_queries)


def show(evaluated: Dataset) -> None:
    """Print the table of a finished evaluation."""
    report = json.loads(evaluated.read_bytes(evaluated.file(_REPORT)))
    table = as_table(from_json(report), columns=SHOWN, title="Relationships never seen in training")
    rich.print(table, file=sys.stderr)


app = command("evaluate", run, __doc__)

if __name__ == "__main__":
    app()
