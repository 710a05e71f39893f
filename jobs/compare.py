"""Compare evaluations, named by MLflow run or folder: differences, and where they come from."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from typing import Annotated

import typer

from jobs._compare import comparison_context, sides
from jobs.command import ConfigOption, Outcome, SetOption, execute, no_cluster
from jobs.config import PipelineConfig
from mmkrl.data.digest import fingerprint
from mmkrl.evaluate.report.compare import compare, figures
from mmkrl.io.storage import locate
from mmkrl.tracking.runs import run as tracked_run
from mmkrl.viz.compare import page, text, verdict

logger = logging.getLogger(__name__)

_KEY_HEX = 12
_EXAMPLE = """Example: python -m jobs.compare RUN runs/demo/evaluate/KEY-v1 --config
jobs/configs/demo.yaml. A run or folder followed by '#METHOD' is compared by that method, a baseline
or an ablation, and not by the reference. The pages lie in WORKSPACE/compare and in MLflow."""


def run(config: PipelineConfig, _: bool, *, runs: Sequence[str], anyway: bool) -> Outcome:
    """Compare all with the first; the page and the text go to the workspace and to MLflow."""
    named = sides(config, runs)
    compared = compare(named, config.evaluate, anyway=anyway)
    for problem in compared.problems:
        logger.warning("NOT COMPARABLE: %s", problem)
    for place in range(len(compared.against)):
        logger.info("%s", verdict(compared, place))
    what = [[side.evaluation.dataset.digest, side.method] for side in named]
    key = fingerprint(what)
    folder = locate(config.workspace) / "compare" / key[:_KEY_HEX]
    context = comparison_context(compared)
    pages = {"compare.html": page(compared, context), "compare.md": text(compared, context)}
    pairs = zip(named, runs, strict=True)
    params = {side.name: f"{side.method} of {given}" for side, given in pairs}
    identity = {"job": "compare", "key": key, "version": "1"}
    metrics = figures(compared)
    with tracked_run(config.tracking, "compare", identity=identity, params=params) as tracked:
        for name, content in pages.items():
            (folder / name).write_bytes(content.encode())
            tracked.text(content, name)
        tracked.summary(metrics)
    return Outcome(output=str(folder), metrics=metrics)


app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command(help=__doc__, epilog=_EXAMPLE)
def main(
    runs: Annotated[list[str], typer.Argument(metavar="RUN", help="What is compared.")],
    config: ConfigOption,
    overrides: SetOption = None,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Compare what cannot be compared.")
    ] = False,
) -> None:
    """The command line."""
    act = partial(run, runs=runs, anyway=anyway)
    settings = overrides or []
    raise SystemExit(execute("compare", act, config, settings, force=False, connect=no_cluster))


if __name__ == "__main__":
    app()
