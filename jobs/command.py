"""What every job has in common: its command line, its result line, its exit status."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from typing import Annotated

import typer
from pydantic import BaseModel

from cluster.config import ClusterConfig
from jobs.config import PipelineConfig
from mmkrl.config import describe, load, section_of
from mmkrl.errors import UsageError, UserError

logger = logging.getLogger(__name__)

DONE, FAILED, USAGE = 0, 1, 2
_EXAMPLES = {"graph": "wn9", "sweep": "demo_sweep"}  # jobs that demo.yaml has no section for
_PROGRAMS = {"sweep": "tuning.sweep"}  # jobs that are not in this package
_SECTIONS = {"register": "registry"}  # jobs whose section is not called like them


@dataclass(frozen=True)
class Outcome:
    """What a job says when it is done."""

    output: str
    rows_in: int = 0
    rows_out: int = 0
    dead_letters: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    status: str = "done"


Run = Callable[[PipelineConfig, bool], Outcome]

ConfigOption = Annotated[
    str, typer.Option("--config", help="YAML file, local or s3://.", metavar="FILE")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override one value; may be repeated.", metavar="KEY=VALUE"),
]
ForceOption = Annotated[
    bool, typer.Option("--force", help="Make a new version even if this work is finished.")
]


Connect = Callable[[ClusterConfig], AbstractContextManager[None]]


@contextlib.contextmanager
def ray_session(config: ClusterConfig) -> Iterator[None]:
    """The connection of a job whose work is spread over a cluster."""
    from cluster.session import session

    with session(config):
        yield


def no_cluster(_: ClusterConfig) -> AbstractContextManager[None]:
    """The connection of a job that does its little work where it is started."""
    return contextlib.nullcontext()


def command(job: str, run: Run, description: str, connect: Connect = ray_session) -> typer.Typer:
    """A command-line program for a job.

    Args:
        job: Name of the job.
        run: Does the work, inside a connection.
        description: Shown by ``--help``.
        connect: Makes the connection; a Ray session by default.
    """
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

    @app.command(help=description, epilog=epilog(job))
    def main(config: ConfigOption, overrides: SetOption = None, force: ForceOption = False) -> None:
        settings = overrides or []
        raise SystemExit(execute(job, run, config, settings, force=force, connect=connect))

    return app


def epilog(job: str) -> str:
    """The keys of the job's section of the configuration and of ``cluster``, and an example."""
    name = _SECTIONS.get(job, job)
    field = PipelineConfig.model_fields.get(name)
    section = section_of(field) if field else None
    program = _PROGRAMS.get(job, f"jobs.{job}")
    example = f"python -m {program} --config jobs/configs/{_EXAMPLES.get(job, 'demo')}.yaml"
    paragraphs = [f"Example: {example}"]
    if section:
        paragraphs += _keys(section, name)
    else:
        paragraphs.append("Keys: see --help of each job.")
    return "\n\n".join([*paragraphs, *_keys(ClusterConfig, "cluster")])


def _keys(section: type[BaseModel], name: str) -> list[str]:
    return [
        f"\b\n{key} ({default})\n{textwrap.indent(textwrap.fill(meaning, 74), '    ')}"
        for key, default, meaning in describe(section, name)
    ]


def execute(
    job: str,
    run: Run,
    config: str,
    overrides: list[str],
    *,
    force: bool,
    connect: Connect = ray_session,
) -> int:
    """Run a job inside a connection, print its result line on stdout, and give its exit status."""
    from mmkrl.io.storage import check_access, locate

    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(name)s: %(message)s"
    )
    for noisy in ("alembic", "mlflow", "ray", "botocore"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    started = time.monotonic()
    try:
        settings = load(config, overrides, PipelineConfig)
        check_access(locate(place) for place in _places(settings))
        with connect(settings.cluster):
            outcome = run(settings, force)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        _result(job, Outcome(output="", status="failed"), started, error=str(error))
        return USAGE if isinstance(error, UsageError) else FAILED
    except Exception as error:
        logger.exception("%s failed", job)
        _result(job, Outcome(output="", status="failed"), started, error=repr(error))
        return FAILED
    _result(job, outcome, started)
    return DONE


def _places(settings: PipelineConfig) -> list[str]:
    """Every folder and file that the configuration names as input or output."""
    sources, graph = settings.ingest.sources, settings.graph
    inputs = [path for s in sources for path in (s.path, s.images)]
    inputs.append(settings.train.captions_from)
    if graph:
        inputs += [graph.path, graph.entities, graph.relations]
    return [settings.workspace, *(path for path in inputs if path)]


def _result(job: str, outcome: Outcome, started: float, **more: str) -> None:
    seconds = round(time.monotonic() - started, 1)
    line = {"job": job, **asdict(outcome), "seconds": seconds, **more}
    sys.stderr.flush()
    print(json.dumps(line), flush=True)
