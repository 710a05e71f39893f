"""Runs the chains of the golden run as a user would, and reads what they found."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import yaml

from tests.golden.configurations import configuration
from tests.golden.inputs import ROOT, write_inputs
from tests.golden.reading import Figures, read_figures

Pipeline = Callable[[Path], Path]
"""Runs the whole chain of a configuration file; gives the folder of its evaluation."""


def run_chain(folder: Path, family: str, workers: int, pipeline: Pipeline) -> Figures:
    """The figures of a family.

    Args:
        folder: Gets the inputs, and a workspace which all families share, so that what they have
            in common is done once. Another number of workers needs another folder: it is no part
            of what identifies a training, whose result is the same.
        family: Which.
        workers: Training processes of a run.
        pipeline: Runs the chain.
    """
    if not (folder / "pack.parquet").exists():
        write_inputs(folder)
    file = folder / f"{family}-{workers}.yaml"
    config = configuration(family, folder, workers=workers)
    file.write_text(yaml.safe_dump(config, sort_keys=False))
    return read_figures(folder, pipeline(file), config["tracking"]["experiment"])


def as_a_user(file: Path) -> Path:
    """Run a chain by its command, with a Ray of its own.

    Raises:
        RuntimeError: it failed.
    """
    done = subprocess.run(
        [sys.executable, "-m", "jobs.pipeline", "--config", str(file)],
        cwd=ROOT,
        env=user_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{file.stem} failed:\n{done.stderr[-6000:]}")
    return output_of(done.stdout)


def user_environment() -> dict[str, str]:
    """This one, without what tests set for Ray."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return kept | {"PYTHONPATH": str(ROOT)}


def output_of(stdout: str) -> Path:
    """The dataset that a job's result line names."""
    return Path(json.loads(stdout.splitlines()[-1])["output"])
