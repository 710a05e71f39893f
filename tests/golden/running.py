"""Runs the chains of the golden run as a user would, and reads what they found."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import yaml

from tests.golden.configurations import configuration
from tests.golden.inputs import ROOT, write_inputs
from tests.golden.reading import Figures, read_figures


def run_chains(
    folder: Path, families: Sequence[str], workers: Sequence[int], environment: dict[str, str]
) -> dict[str, Figures]:
    """The figures of every family with every number of workers, by ``FAMILY-WORKERS``.

    All share a workspace, so that what they have in common is done once.

    Args:
        folder: An empty one.
        families: Which families.
        workers: Numbers of training processes.
        environment: Of the jobs.
    """
    write_inputs(folder)
    found = {}
    for count in workers:
        for family in families:
            name = f"{family}-{count}"
            file = folder / f"{name}.yaml"
            config = configuration(family, folder, workers=count)
            file.write_text(yaml.safe_dump(config, sort_keys=False))
            started = time.monotonic()
            output = _pipeline(file, environment)
            sys.stderr.write(f"{name}: {time.monotonic() - started:.0f} s\n")
            found[name] = read_figures(folder, output, config["tracking"]["experiment"])
    return found


def _pipeline(file: Path, environment: dict[str, str]) -> Path:
    """Run the whole chain of a configuration; the dataset of its evaluation.

    Raises:
        RuntimeError: it failed.
    """
    done = subprocess.run(
        [sys.executable, "-m", "jobs.pipeline", "--config", str(file)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{file.stem} failed:\n{done.stderr[-6000:]}")
    return Path(json.loads(done.stdout.splitlines()[-1])["output"])


def plain_environment(**more: str) -> dict[str, str]:
    """A user's, without what tests set for Ray: every job starts a Ray of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return kept | {"PYTHONPATH": str(ROOT)} | more


@contextlib.contextmanager
def joined_environment(
    setenv: Callable[[str, str], None] = os.environ.__setitem__,
) -> Iterator[dict[str, str]]:
    """Within this, one Ray is up, and jobs with this environment join it.

    Args:
        setenv: Sets a variable of this process, which Ray's workers take over.
    """
    import ray

    from cluster.session import RayConfig, session

    setenv("PYTHONPATH", str(ROOT))
    with session(RayConfig()):
        keys = {name: value for name, value in os.environ.items() if name.startswith("RAY_AUTH")}
        address = ray.get_runtime_context().gcs_address
        yield plain_environment(RAY_ADDRESS=address, **keys)
