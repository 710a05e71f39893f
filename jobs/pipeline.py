"""Run the whole chain, from a crawl to a trained, evaluated and queryable knowledge space."""

from __future__ import annotations

import json
import logging
import sys
import time
from dataclasses import asdict

import rich

from jobs import dedupe, evaluate, extract, ingest, mine, query, train
from jobs.command import Outcome, command
from jobs.config import PipelineConfig
from jobs.steps import finished

logger = logging.getLogger(__name__)

_CHAIN = {
    "ingest": ingest.run,
    "dedupe": dedupe.run,
    "mine": mine.run,
    "extract": extract.run,
    "train": train.run,
    "evaluate": evaluate.run,
}


def run(config: PipelineConfig, force: bool) -> Outcome:
    """Run every job in order; what is already done is skipped."""
    for name, job in _CHAIN.items():
        started = time.monotonic()
        outcome = job(config, force)
        seconds = round(time.monotonic() - started, 1)
        logger.info("%s", json.dumps({"job": name, **asdict(outcome), "seconds": seconds}))
    if config.query.text or config.query.image:
        query.run(config, force)
    corpus = finished(config, "ingest").manifest
    _advise(config)
    return Outcome(
        output=outcome.output,
        rows_in=corpus.rows_in,
        rows_out=corpus.rows_out,
        dead_letters=corpus.dead_letters,
        metrics=outcome.metrics,
        status=outcome.status,
    )


def _advise(config: PipelineConfig) -> None:
    rich.print(
        "\nLook at the runs, curves and galleries with\n"
        f"    mlflow ui --backend-store-uri {config.tracking.uri}\n"
        f"and open http://127.0.0.1:5000 (experiment {config.tracking.experiment!r}).\n",
        file=sys.stderr,
    )


app = command("pipeline", run, __doc__)

if __name__ == "__main__":
    app()
