"""Measure every trained model beside its baselines, with intervals and pictures."""

from __future__ import annotations

from cluster.parallel import parallel
from jobs._evaluate import comparison, show
from jobs.command import Outcome, command
from jobs.config import PipelineConfig
from jobs.recorded import Work, recorded
from jobs.steps import Step, finished
from mmkrl.data.dataset import write_file
from mmkrl.data.splits.names import TEST, VALIDATION
from mmkrl.evaluate.metrics.registry import further_metrics, vocabulary
from mmkrl.evaluate.report.evaluation import REPORT, Evaluation
from mmkrl.evaluate.report.report import as_text
from mmkrl.evaluate.report.summary import headline, summarise, with_further
from mmkrl.tracking.runs import Run


def run(config: PipelineConfig, force: bool) -> Outcome:
    """Evaluate all methods on what training has not seen."""
    compared = comparison(config)
    further = further_metrics(config.evaluate.metrics)

    def work(step: Step, tracked: Run) -> Work:
        chosen = (VALIDATION, *compared.served)
        calls = [chosen, *((TEST, *method) for method in compared.methods())]
        measured = parallel(compared.measure, {call: call for call in calls}, label="evaluate")
        tests = {call[1:]: measured[call] for call in calls[1:]}
        values = compared.by_label(tests)
        results = summarise(values, config.evaluate)
        every = {task: scores for tasks in results.values() for task, scores in tasks.items()}
        headlines, columns = (
            with_further(pairs, every, further) for pairs in (compared.headlines, compared.columns)
        )
        ahead, metric = compared.differences(values, headlines), vocabulary(config.evaluate.metrics)
        report = as_text(results, compared.reference, ahead, metric)
        files = []
        for path, text in ({REPORT: report} | compared.pages()).items():
            tracked.text(text, path)
            files.append(write_file(step.location, path, text.encode()))
        kept = {TEST: tests, VALIDATION: {compared.served: measured[chosen]}}
        unit = compared.keep_values(step.location, kept)
        facts = compared.notes(headlines, columns)
        return Work([unit], files, facts, headline(results, headlines))

    outcome = recorded(config, "evaluate", work, force=force)
    show(Evaluation.of(finished(config, "evaluate")))
    return outcome


app = command("evaluate", run, __doc__)

if __name__ == "__main__":
    app()
