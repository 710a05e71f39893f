"""Register the trained and evaluated model with its card; the better one is the champion."""

from __future__ import annotations

import logging

from jobs._register import card, decide, model_uri, tags, validated
from jobs.command import Outcome, command, no_cluster
from jobs.config import PipelineConfig
from jobs.steps import finished
from mmkrl.data.digest import fingerprint
from mmkrl.errors import UserError
from mmkrl.evaluate.report.evaluation import Evaluation
from mmkrl.serving.registry import CARD_FILE, VALIDATION_FILE, Registry, Verdict, as_text
from mmkrl.tracking.runs import run as tracked_run

logger = logging.getLogger(__name__)


def run(config: PipelineConfig, force: bool) -> Outcome:
    """Register the model of the first trained member; ``force`` decides anew over its version."""
    evaluated = Evaluation.of(finished(config, "evaluate"))
    trained = finished(config, "train")
    name = config.registry.name or config.tracking.experiment
    identity = {"job": "register", "key": fingerprint([name, trained.digest]), "version": "1"}
    params = config.registry.model_dump(mode="json") | {"name": name}
    with tracked_run(config.tracking, "register", identity=identity, params=params) as tracked:
        if not tracked.id:
            raise UserError(
                f"the tracking server {config.tracking.uri} is away, and its registry with it: "
                "register again when it is back"
            )
        registry = Registry(name, config.registry)
        version = registry.find(trained.digest)
        if version and registry.settled(version) and not force:
            logger.info("%s is registered already: version %s", name, version.version)
            return _outcome(name, version.version, None, "skipped")
        for job, dataset in (("train", trained), ("evaluate", evaluated.dataset)):
            tracked.dataset(job, dataset, "input")
        new = validated(evaluated)
        tracked.text(as_text(new), VALIDATION_FILE)
        if version is None:
            remembered = tags(config, trained, evaluated) | {"run": tracked.id}
            version = registry.create(model_uri(trained, tracked), remembered)
        found = decide(config, registry, version, new)
        text = card(config, name, trained, evaluated, found)
        tracked.text(text, CARD_FILE)
        alias = registry.settle(version, found, text)
        logger.info("%s version %s is the %s: %s", name, version.version, alias, found.why)
        outcome = _outcome(name, version.version, found, "done")
        tracked.summary(outcome.metrics)
    return outcome


def _outcome(name: str, version: str, found: Verdict | None, status: str) -> Outcome:
    metrics = {"version": float(version)}
    if found:
        metrics["champion"] = float(found.wins)
    if found and found.ahead:
        ahead = found.ahead
        metrics |= {"ahead": ahead.mean, "ahead_low": ahead.low, "ahead_high": ahead.high}
    return Outcome(output=f"models:/{name}/{version}", metrics=metrics, status=status)


app = command("register", run, __doc__, no_cluster)

if __name__ == "__main__":
    app()
