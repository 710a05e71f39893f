"""Extract image features with pretrained backbones, over the whole corpus, resumably."""

from __future__ import annotations

import time
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

import typer

from jobs._extract_options import DryRunOption, PriceOption, RetryOption
from jobs.command import ConfigOption, ForceOption, Outcome, SetOption, epilog, execute
from jobs.config import PipelineConfig

if TYPE_CHECKING:
    from jobs.recorded import Work
    from jobs.steps import Step
    from mmkrl.tracking.runs import Run


def run(config: PipelineConfig, force: bool, retry: frozenset[str] = frozenset()) -> Outcome:
    """Extract features of the ingested corpus; or do dead letters of some reasons again."""
    from cluster.decoding import plan_units
    from cluster.extraction import extract, workers
    from cluster.retrying import prepare_retry
    from jobs.recorded import Work, recorded
    from jobs.steps import finished
    from mmkrl.encoders.config import RANDOM
    from mmkrl.encoders.report import extraction_metrics

    section, resources = config.extract, config.cluster.extraction

    def work(step: Step, tracked: Run) -> Work:  # noqa: ARG001 - every job has these two
        cut = plan_units(step.inputs["ingest"], section.unit_rows)
        if retry:
            cut = prepare_retry(step.location, finished(config, "extract"), cut, retry)
        since, planned = time.time(), workers(resources)  # later, a node may have been lost
        units, choices = extract(step.location, cut, section, resources, step.inputs.get("dedupe"))
        notes = {
            "random_weights": RANDOM in section.weights.values(),
            "engines": {name: asdict(choice) for name, choice in choices.items()},
            "retried": sorted(retry),
        }
        metrics = extraction_metrics(step.location, units, since, planned)
        return Work(units, [], notes, metrics)

    return recorded(config, "extract", work, force=force or bool(retry))


app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command(help=__doc__, epilog=epilog("extract"))
def main(
    config: ConfigOption,
    overrides: SetOption = None,
    force: ForceOption = False,
    retry: RetryOption = None,
    dry_run: DryRunOption = False,
    hourly_price: PriceOption = 0.0,
) -> None:
    """The command line."""
    act = partial(run, retry=retry or frozenset())
    if dry_run:
        from jobs._extract_estimate import estimate_extraction

        act = partial(estimate_extraction, hourly_price=hourly_price)
    raise SystemExit(execute("extract", act, config, overrides or [], force=force))


if __name__ == "__main__":
    app()
