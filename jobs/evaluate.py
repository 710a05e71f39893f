"""Measure every trained model beside its baselines, with intervals and pictures."""

from __future__ import annotations

import sys

import rich

from cluster.parallel import parallel
from jobs.command import Outcome, command
from jobs.comparisons import comparison, pages
from jobs.config import PipelineConfig
from jobs.recorded import Work, recorded
from jobs.steps import Step, finished, step
from mmkrl.data.dataset import write_file
from mmkrl.data.splits.names import TEST, VALIDATION
from mmkrl.evaluate.metrics.registry import further_metrics, vocabulary
from mmkrl.evaluate.report.comparison import by_label, keep_values, notes
from mmkrl.evaluate.report.evaluation import REPORT, Evaluation
from mmkrl.evaluate.report.report import as_table, as_text
from mmkrl.evaluate.report.summary import differences, headline, summarise, with_further
from mmkrl.tracking import Run


def run(config: PipelineConfig, force: bool) -> Outcome:
    """Evaluate all methods on what training has not seen."""
    compared = comparison(config, step(config, "evaluate").inputs)
    further = further_metrics(config.evaluate.metrics)

    def work(step: Step, tracked: Run) -> Work:
        chosen = (VALIDATION, *compared.served)
        calls = [chosen, *((TEST, *method) for method in compared.methods())]
        measured = parallel(compared.measure, {call: call for call in calls}, label="evaluate")
        values = by_label(compared, {call[1:]: measured[call] for call in calls[1:]})
        results = summarise(values, config.evaluate)
        headlines, columns = (
            with_further(pairs, results[compared.reference], further)
            for pairs in (compared.headlines, compared.columns)
        )
        ahead = differences(values, headlines, compared.reference, config.evaluate)
        metric = vocabulary(config.evaluate.metrics)
        report = as_text(results, compared.reference, ahead, metric)
        files = []
        for path, text in ({REPORT: report} | pages(config, compared)).items():
            tracked.text(text, path)
            files.append(write_file(step.location, path, text.encode()))
        kept = {TEST: values, VALIDATION: {compared.reference: [measured[chosen]]}}
        unit = keep_values(step.location, compared, kept)
        facts = notes(compared, headlines, columns)
        return Work([unit], files, facts, headline(results, headlines))

    outcome = recorded(config, "evaluate", work, force=force)
    show(Evaluation.of(finished(config, "evaluate")))
    return outcome


def show(evaluation: Evaluation) -> None:
    """Print the table of a finished evaluation."""
    table = as_table(
        evaluation.results,
        evaluation.metrics,
        columns=evaluation.columns,
        title=evaluation.title,
    )
    rich.print(table, file=sys.stderr)


app = command("evaluate", run, __doc__)

if __name__ == "__main__":
    app()
