"""Keep a finished evaluation as docs/results/NAME.json, or render all of them as one page."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer

from jobs.command import SetOption
from jobs.config import PipelineConfig
from jobs.steps import finished
from mmkrl.config import load
from mmkrl.errors import UserError
from mmkrl.evaluate.report.evaluation import REPORT
from mmkrl.viz import results as render

_DOCS = Path("docs")
_README = Path("README.md")
_SHOWN = "demo"  # the results that the README's first screen shows: what `make demo` prints

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(help=__doc__)
def main(
    config: Annotated[
        str | None, typer.Option(help="YAML file of the evaluation, local or s3://.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the results file.")] = None,
    overrides: SetOption = None,
    page: Annotated[Path | None, typer.Option(help="Write the page of all results here.")] = None,
) -> None:
    """Write the results file and the README's table, the page, or both."""
    if page is None and (config is None or name is None):
        raise typer.BadParameter("give --config and --name to keep an evaluation, or --page")
    try:
        if config is not None and name is not None:
            _write(config, name, overrides or [])
    except UserError as error:
        raise typer.BadParameter(str(error)) from None
    files = sorted((_DOCS / "results").glob("*.json"))
    results = {file.stem: json.loads(file.read_text()) for file in files}
    if page is not None:
        page.write_text(render.page(list(results.values())))
    if name == _SHOWN:
        table = render.headline(results[name])
        _README.write_text(render.insert(_README.read_text(), table))


def _write(config: str, name: str, overrides: list[str]) -> None:
    settings = load(config, overrides, PipelineConfig)
    evaluated = finished(settings, "evaluate")
    manifest = finished(settings, "train").manifest
    result = {
        "name": name,
        "command": shlex.join(["python", "-m", "jobs.pipeline", *_arguments(config, overrides)]),
        "key": evaluated.manifest.key,
        "commit": manifest.commit,
        "inputs": evaluated.manifest.inputs,
        "seeds": list(settings.train.seeds),
        "members": manifest.notes["members"],
        **json.loads(evaluated.read_bytes(evaluated.file(REPORT))),
    }
    path = _DOCS / "results" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render.as_json(result))


def _arguments(config: str, overrides: list[str]) -> list[str]:
    return ["--config", config, *(part for one in overrides for part in ("--set", one))]


if __name__ == "__main__":
    app()
