"""Runs chains in this process: everything as in the jobs, but no Ray Train.

Ray Train starts half a dozen processes for every model, which cost far more than these models
themselves. Training in this process, or in two that it starts, gives the same figures, to the last
digit.
"""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias
from unittest import mock

import torch
import torch.distributed as dist

from cluster.config import ClusterConfig, TrainingResources
from cluster.session import session
from cluster.training import Member
from jobs import pipeline
from jobs.command import execute
from mmkrl.io.storage import Location, locate
from mmkrl.train.context import LocalContext
from mmkrl.train.learner import Measurement
from tests.golden.inputs import ROOT
from tests.golden.running import Pipeline, output_of

_LOGGED = "logged.pickle"
Work: TypeAlias = Callable[[Any, LocalContext], None]


@contextlib.contextmanager
def here() -> Iterator[Pipeline]:
    """Within this, one Ray is up for all chains, and models are trained in this process."""
    os.environ["PYTHONPATH"] = str(ROOT)  # Ray's workers take it over
    with session(ClusterConfig()), mock.patch("jobs.train.train_members", _train_members):
        yield _run


def _run(file: Path) -> Path:
    with contextlib.redirect_stdout(io.StringIO()) as stdout:
        status = execute("pipeline", pipeline.run, str(file), [], force=False)
    if status:
        raise RuntimeError(f"{file.stem} failed: {stdout.getvalue()}")
    return output_of(stdout.getvalue())


def _train_members(
    location: Location,
    members: Sequence[Member[Any]],
    work: Work,
    resources: TrainingResources,
    record: Callable[[str, list[Measurement]], None],
) -> Mapping[str, Location]:
    """What :func:`cluster.training.train_members` does, one member after the other."""
    folders = {member.name: Path(location.path) / member.name for member in members}
    for folder in folders.values():
        folder.mkdir(parents=True)
    if resources.workers == 1:
        _train(work, members, folders, resources.threads)
    else:
        _train_in_processes(work, members, folders, resources)
    for name, folder in folders.items():
        record(name, pickle.loads((folder / _LOGGED).read_bytes()))
    return {name: locate(folder / "last") for name, folder in folders.items()}


def _train_in_processes(
    work: Work,
    members: Sequence[Member[Any]],
    folders: Mapping[str, Path],
    resources: TrainingResources,
) -> None:
    """Train with several processes, which are started once for all members."""
    spawning = multiprocessing.get_context("spawn")
    meeting = next(iter(folders.values())) / "meeting"
    shared = (work, members, folders, resources.threads)
    processes = [
        spawning.Process(target=_process, args=(rank, resources.workers, meeting, *shared))
        for rank in range(resources.workers)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert not any(process.exitcode for process in processes), "a training process failed"


def _process(rank: int, count: int, meeting: Path, *shared: Any) -> None:
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=count)
    _train(*shared)
    dist.destroy_process_group()


def _train(
    work: Work, members: Sequence[Member[Any]], folders: Mapping[str, Path], threads: int
) -> None:
    torch.set_num_threads(threads)
    for member in members:
        context = LocalContext(folders[member.name])
        work(member.run, context)
        if context.rank == 0:
            (folders[member.name] / _LOGGED).write_bytes(pickle.dumps(context.measurements))
