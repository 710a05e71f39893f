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
from mmkrl.evaluate.report import as_table, as_text, from_json
from mmkrl.evaluate.summary import differences, headline, summarise
from mmkrl.index.methods import Evaluation, by_label, label
from mmkrl.tracking import Run
from mmkrl.viz.showcase import showcase

SHOWN = (
    ("text-image", "mAP"),
    ("image-text", "mAP"),
    ("image-image", "mAP"),
    ("text-text", "NDCG@10"),
    ("recognition", "top-1"),
    ("recognition", "top-5"),
)
REPORT, GALLERY = "report.json", "gallery.html"


def run(config: PipelineConfig, force: bool) -> Outcome:
    """Evaluate all methods on the held-out relationships."""

    def work(step: Step, tracked: Run) -> Work:
        evaluation = Evaluation(
            config.train,
            config.evaluate,
            mined=step.inputs["mine"],
            extracted=step.inputs["extract"],
            trained=step.inputs["train"],
            cache=local_folder("features"),
        )
        calls = {" ".join(method): method for method in evaluation.methods()}
        measured = parallel(evaluation.measure, calls, label="evaluate")
        values = by_label(calls, measured)
        results = summarise(values, config.evaluate)
        served = label(*(str(part) for part in config.train.members[0]))
        ahead = differences(values, served, config.evaluate)
        report = as_text(results, served, ahead)
        knowledge = evaluation.knowledge()
        space = evaluation.member_space(knowledge, *config.train.members[0])
        corpus = finished(config, "ingest")
        page = showcase(knowledge, space, corpus, config.evaluate.gallery_queries)
        files = []
        for path, text in ((REPORT, report), (GALLERY, page)):
            tracked.text(text, path)
            files.append(write_file(step.location, path, text.encode()))
        return Work([], files, {}, headline(results))

    outcome = recorded(config, "evaluate", work, force=force)
    show(finished(config, "evaluate"))
    return outcome


def show(evaluated: Dataset) -> None:
    """Print the table of a finished evaluation."""
    report = json.loads(evaluated.read_bytes(evaluated.file(REPORT)))
    table = as_table(
        from_json(report["results"]), columns=SHOWN, title="Relationships never seen in training"
    )
    rich.print(table, file=sys.stderr)


app = command("evaluate", run, __doc__)

if __name__ == "__main__":
    app()
