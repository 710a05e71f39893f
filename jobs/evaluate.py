"""Measure every trained model beside its baselines, with intervals and pictures."""

from __future__ import annotations

import json
import sys

import rich

from cluster.parallel import parallel
from jobs.command import Outcome, command
from jobs.comparisons import comparison, pages
from jobs.config import PipelineConfig
from jobs.recorded import Work, recorded
from jobs.steps import Step, finished, step
from mmkrl.data.dataset import Dataset, write_file
from mmkrl.data.splits.names import TEST, VALIDATION
from mmkrl.evaluate.report.comparison import Comparison, by_label, keep_values, notes
from mmkrl.evaluate.report.evaluation import REPORT
from mmkrl.evaluate.report.report import as_table, as_text, from_json
from mmkrl.evaluate.report.summary import differences, headline, summarise
from mmkrl.tracking.runs import Run


def run(config: PipelineConfig, force: bool) -> Outcome:
    """Evaluate all methods on what training has not seen."""
    compared = comparison(config, step(config, "evaluate").inputs)

    def work(step: Step, tracked: Run) -> Work:
        chosen = (VALIDATION, *compared.served)
        calls = [chosen, *((TEST, *method) for method in compared.methods())]
        measured = parallel(compared.measure, {call: call for call in calls}, label="evaluate")
        values = by_label(compared, {call[1:]: measured[call] for call in calls[1:]})
        results = summarise(values, config.evaluate)
        ahead = differences(values, compared.headlines, compared.reference, config.evaluate)
        report = as_text(results, compared.reference, ahead)
        files = []
        for path, text in ({REPORT: report} | pages(config, compared)).items():
            tracked.text(text, path)
            files.append(write_file(step.location, path, text.encode()))
        kept = {TEST: values, VALIDATION: {compared.reference: [measured[chosen]]}}
        unit = keep_values(step.location, compared, kept)
        return Work([unit], files, notes(compared), headline(results, compared.headlines))

    outcome = recorded(config, "evaluate", work, force=force)
    show(finished(config, "evaluate"), compared)
    return outcome


def show(evaluated: Dataset, compared: Comparison) -> None:
    """Print the table of a finished evaluation."""
    report = json.loads(evaluated.read_bytes(evaluated.file(REPORT)))
    results = from_json(report["results"])
    rich.print(as_table(results, columns=compared.columns, title=compared.title), file=sys.stderr)


app = command("evaluate", run, __doc__)

if __name__ == "__main__":
    app()
