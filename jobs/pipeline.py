"""Run the whole chain, from a crawl to a trained, evaluated and queryable knowledge space."""

from __future__ import annotations

import json
import logging
import sys
import time
from dataclasses import asdict

import rich

from jobs import dedupe, evaluate, extract, graph, ingest, mine, parse, query, register, train
from jobs.command import Outcome, command
from jobs.config import PipelineConfig
from jobs.steps import finished, needed

logger = logging.getLogger(__name__)

_JOBS = {
    "ingest": ingest.run,
    "dedupe": dedupe.run,
    "parse": parse.run,
    "mine": mine.run,
    "graph": graph.run,
    "extract": extract.run,
    "train": train.run,
    "evaluate": evaluate.run,
    "register": register.run,
}


def run(config: PipelineConfig, force: bool) -> Outcome:
    """Run every job that the evaluation builds on, and what is configured to come after it.

    What is already done is skipped.
    """
    chain = needed(config, "evaluate")
    for name in chain:
        outcome = _one(name, config, force)
    if config.registry.name:
        _one("register", config, force)
    if config.query.text or config.query.image:
        query.run(config, force)
    first = finished(config, chain[0]).manifest
    _advise(config)
    return Outcome(
        output=outcome.output,
        rows_in=first.rows_in,
        rows_out=first.rows_out,
        dead_letters=first.dead_letters,
        metrics=outcome.metrics,
        status=outcome.status,
    )


def _one(name: str, config: PipelineConfig, force: bool) -> Outcome:
    """Run a job and log what came of it."""
    started = time.monotonic()
    outcome = _JOBS[name](config, force)
    seconds = round(time.monotonic() - started, 1)
    logger.info("%s", json.dumps({"job": name, **asdict(outcome), "seconds": seconds}))
    return outcome


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
