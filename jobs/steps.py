"""Which dataset a job writes, and whether it is already there.

A step's key is a hash of its own configuration and its inputs' content digests; its output lies
at ``WORKSPACE/JOB/KEY-vN``. The same work is therefore found again, other work never overwrites
it, and ``--force`` makes the next version.
"""

from __future__ import annotations

import functools
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.config import PipelineConfig
from mmkrl.config import identity
from mmkrl.data.dataset import Dataset, Origin, open_dataset
from mmkrl.data.digest import content_id, fingerprint
from mmkrl.data.graphs.layouts import graph_listing
from mmkrl.data.manifest import MANIFEST_NAME
from mmkrl.data.readers.registry import listing
from mmkrl.errors import UsageError, UserError
from mmkrl.io.cached_files import local_folder
from mmkrl.io.storage import Location, locate
from mmkrl.mining.config import MINERS
from mmkrl.models.config import CORPUS, FEATURES, GRAPH, RELATIONSHIPS
from mmkrl.models.family import Sources
from mmkrl.plugins import sources as plugin_sources

INPUTS: dict[str, tuple[str, ...]] = {
    "ingest": (),
    "dedupe": ("ingest",),
    "parse": ("ingest",),
    "mine": (),  # what its miner needs, see inputs_of
    "graph": (),  # and what its section names, see inputs_of
    "extract": ("ingest",),
    "train": (),  # what the configured models learn from, see inputs_of
    "evaluate": ("train",),  # and the same
}
MADE_BY = {
    CORPUS: "ingest",
    "duplicates": "dedupe",
    "statements": "parse",
    RELATIONSHIPS: "mine",
    GRAPH: "graph",
    FEATURES: "extract",
}
"""The job that makes what miners and models need."""
_KEY_HEX = 12


@dataclass(frozen=True)
class Step:
    """One job's output folder in the workspace, and what it reads.

    Attributes:
        origin: What identifies the work.
        version: 1, or higher after ``--force``.
        location: Folder to write to.
        inputs: The datasets to read, by job.
        finished: The published result, if there is one.
    """

    origin: Origin
    version: int
    location: Location
    inputs: dict[str, Dataset]
    finished: Dataset | None


def step(config: PipelineConfig, job: str, *, force: bool = False) -> Step:
    """The step of a job under this configuration.

    Args:
        config: The whole configuration.
        job: Name of the job.
        force: Ask for a new version even if one is finished.

    Raises:
        UserError: a job this one builds on has not finished.
    """
    inputs = {name: finished(config, name) for name in inputs_of(config, job)}
    digests = {name: dataset.digest for name, dataset in inputs.items()}
    if job == "ingest":
        digests["sources"] = fingerprint(listing(config.ingest.sources))
    if job == "graph" and config.graph and config.graph.source == "files":
        digests["files"] = fingerprint(graph_listing(config.graph))
    if job in ("train", "sweep") and config.train.captions_from:
        digests["captions"] = content_id(locate(config.train.captions_from).read_bytes())
    section = _section(config, job)
    digests |= plugin_sources(section)  # files of the user's own that are named in it
    # Datasets count by content, not by path or time: inputs made anew with the same rows give the
    # same key.
    key = fingerprint([job, *(identity(getattr(config, name)) for name in _of(job)), digests])
    folder = locate(config.workspace) / job
    versions = _versions(folder, key)
    published = [v for v in versions if (folder / _folder(key, v) / MANIFEST_NAME).is_file()]
    if published and not force:
        version = published[-1]
    else:
        # An unfinished version is continued; a finished one is never written into again.
        version = max([1, *versions, *(v + 1 for v in published)])
    location = folder / _folder(key, version)
    return Step(
        origin=Origin(job, key, section, digests, code_commit()),
        version=version,
        location=location,
        inputs=inputs,
        finished=open_dataset(location) if version in published else None,
    )


def inputs_of(config: PipelineConfig, job: str) -> tuple[str, ...]:
    """The jobs whose results a job reads.

    Raises:
        UsageError: the configuration has no graph, and the job is about one.
    """
    if job == "extract" and config.extract.duplicates == "one":
        return (*INPUTS[job], "dedupe")
    if job == "mine":
        return tuple(MADE_BY[kind] for kind in MINERS.get(config.mine.miner).needs)
    if job == "graph":
        return _graph_inputs(config)
    if job in ("train", "evaluate", "sweep"):
        own = tuple(job for kind, job in MADE_BY.items() if kind in config.train.inputs)
        return (*own, "train") if job == "evaluate" else own
    return INPUTS[job]


def _graph_inputs(config: PipelineConfig) -> tuple[str, ...]:
    if config.graph is None:
        raise UsageError("the configuration has no section 'graph': say where the graph is")
    if config.graph.source == "mined":
        return ("mine",)
    return ("ingest",) if config.graph.images else ()


def sources(config: PipelineConfig, inputs: Mapping[str, Dataset]) -> Sources:
    """What models learn from, of a job's inputs."""
    datasets = {kind: inputs[job] for kind, job in MADE_BY.items() if job in inputs}
    return Sources(datasets, config.train, local_folder("features"))


def needed(config: PipelineConfig, job: str) -> list[str]:
    """A job and all jobs it builds on, each after those it needs itself."""
    jobs: dict[str, None] = {}
    for earlier in inputs_of(config, job):
        jobs |= dict.fromkeys(needed(config, earlier))
    return [*jobs, job]


def finished(config: PipelineConfig, job: str) -> Dataset:
    """The published result of a job under this configuration.

    Raises:
        UserError: there is none; the message names the command that makes it.
    """
    found = step(config, job).finished
    if found is None:
        raise UserError(
            f"no finished {job!r} for this configuration in {config.workspace}: run "
            f"python -m jobs.{job} with the same --config and --set first"
        )
    return found


def _of(job: str) -> tuple[str, ...]:
    """The sections of the configuration that decide a job's result, its own first."""
    return ("sweep", "train") if job == "sweep" else (job,)


def _section(config: PipelineConfig, job: str) -> dict[str, Any]:
    own, *others = _of(job)
    section: dict[str, Any] = getattr(config, own).model_dump(mode="json")
    return section | {name: getattr(config, name).model_dump(mode="json") for name in others}


def _folder(key: str, version: int) -> str:
    return f"{key[:_KEY_HEX]}-v{version}"


def _versions(folder: Location, key: str) -> list[int]:
    """The versions of this key that have a folder, finished or not, in order."""
    prefix = f"{key[:_KEY_HEX]}-v"
    names = (name for name in folder.folders() if name.startswith(prefix))
    return sorted(int(name.removeprefix(prefix)) for name in names)


@functools.cache
def code_commit() -> str:
    """The commit of the code that runs, with ``+changes`` if the tree differs from it."""
    try:
        commit = _git("rev-parse", "HEAD")
        changed = _git("diff", "--quiet", "HEAD")
    except FileNotFoundError:
        return ""
    if commit.returncode:
        return ""
    return commit.stdout.strip() + ("+changes" if changed.returncode else "")


def _git(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
