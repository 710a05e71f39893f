"""Training runs under Ray Train, several at a time, each resumable by its name."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import ray
import ray.train
import ray.train.torch
import torch
from ray.train import (
    Checkpoint,
    CheckpointConfig,
    FailureConfig,
    RunConfig,
    ScalingConfig,
)

from cluster import environment
from cluster.config import TrainingResources
from cluster.parallel import completed
from cluster.progress import progress
from cluster.session import cores, gpus
from mmkrl.errors import UserError
from mmkrl.io.storage import Location
from mmkrl.train.context import TrainContext
from mmkrl.train.learner import Measurement

POLL_S = 1.0  # between looks at what the runs measured
_DRIVER_CPUS = 0.05
WORKER_CPUS = 0.5


Run = TypeVar("Run")


@dataclass(frozen=True)
class Member(Generic[Run]):
    """One training run.

    Attributes:
        name: Unique within the job; the same after a restart.
        run: Passed to the training function; must pickle.
    """

    name: str
    run: Run


class RayContext:
    """The training loop's surroundings inside a Ray Train worker."""

    def __init__(self, name: str, journal: Any) -> None:
        self._name = name
        self._journal = journal
        self._context = ray.train.get_context()

    @property
    def rank(self) -> int:
        """Rank among the run's workers."""
        return int(self._context.get_world_rank())

    @property
    def world_size(self) -> int:
        """Number of the run's workers."""
        return int(self._context.get_world_size())

    @property
    def device(self) -> torch.device:
        """The device Ray assigned."""
        return ray.train.torch.get_device()

    def report(self, metrics: dict[str, float], checkpoint: Path | None) -> None:
        """Publish through Ray Train, which keeps the last two checkpoints."""
        kept = Checkpoint.from_directory(str(checkpoint)) if checkpoint else None
        ray.train.report(metrics, checkpoint=kept)

    def resume_from(self) -> Path | None:
        """A local copy of the last checkpoint."""
        kept = ray.train.get_checkpoint()
        return Path(kept.to_directory(tempfile.mkdtemp(prefix="mmkrl-"))) if kept else None

    def log(self, measurements: Sequence[Measurement]) -> None:
        """Send to the driver without waiting."""
        self._journal.add.remote(self._name, list(measurements))


class Journal:
    """Collects measurements of all runs until the driver takes them."""

    def __init__(self) -> None:
        self._entries: list[tuple[str, list[Measurement]]] = []

    def add(self, name: str, measurements: list[Measurement]) -> None:
        """Keep measurements of a run."""
        self._entries.append((name, measurements))

    def take(self) -> list[tuple[str, list[Measurement]]]:
        """Everything since the last call."""
        entries, self._entries = self._entries, []
        return entries


def train_members(
    location: Location,
    members: Sequence[Member[Run]],
    work: Callable[[Run, TrainContext], None],
    resources: TrainingResources,
    record: Callable[[str, list[Measurement]], None],
) -> Mapping[str, Location]:
    """Train all members; those already trained are found and not repeated.

    Args:
        location: Folder for the runs; a member's name is its folder.
        members: What to train.
        work: The training function, run by every worker of a member.
        resources: Size of a run and number of runs at a time.
        record: Called in this process with the measurements as they come.

    Returns:
        The folder of each member's last checkpoint.

    Raises:
        UserError: a run failed for good.
    """
    journal: Any = ray.remote(num_cpus=0)(Journal).remote()
    # Failures are retried by Ray Train, from the last checkpoint, as often as configured; retries
    # of the driver would multiply that.
    run_member: Any = ray.remote(num_cpus=_DRIVER_CPUS, max_retries=0)(_run_member)
    calls = {one.name: (location, one, work, resources, journal) for one in members}
    limit = at_a_time(resources)
    checkpoints: dict[str, Location] = {}
    with _member_progress(members) as show:
        for ended in completed(run_member, calls, at_a_time=limit, poll_s=POLL_S):
            for name, measurements in ray.get(journal.take.remote()):
                record(name, measurements)
                show(name, measurements)
            checkpoints |= {name: ray.get(reference) for name, reference in ended.items()}
    # What came in between the last look and the end of the last run.
    for name, measurements in ray.get(journal.take.remote()):
        record(name, measurements)
    return checkpoints


def _run_member(
    location: Location,
    member: Member[Run],
    work: Callable[[Run, TrainContext], None],
    resources: TrainingResources,
    journal: Any,
) -> Location:
    try:
        result = trainer(location, member, work, resources, journal).fit()
    except Exception as error:
        raise UserError(f"training {member.name!r} failed: {cause(error)}") from None
    if result.checkpoint is None:
        raise UserError(f"training {member.name!r} ended without a checkpoint")
    return Location(result.checkpoint.path, location.remote)


def trainer(
    location: Location,
    member: Member[Run],
    work: Callable[[Run, TrainContext], None],
    resources: TrainingResources,
    journal: Any,
    *callbacks: Any,
) -> ray.train.torch.TorchTrainer:
    """A Ray Train run; the same name and folder make it resume.

    Args:
        location: Folder for the runs.
        member: What to train.
        work: The training function.
        resources: Size of the run.
        journal: Gets the measurements.
        callbacks: Told of every report.
    """

    def loop() -> None:
        torch.set_num_threads(resources.threads)
        work(member.run, RayContext(member.name, journal))

    return ray.train.torch.TorchTrainer(
        loop,
        scaling_config=ScalingConfig(
            num_workers=resources.workers,
            use_gpu=gpus() > 0,
            resources_per_worker={"CPU": WORKER_CPUS, "GPU": gpu_of(resources)},
        ),
        run_config=RunConfig(
            name=member.name,
            storage_path=location.path,
            storage_filesystem=location.filesystem if location.remote else None,
            failure_config=FailureConfig(max_failures=resources.retries),
            checkpoint_config=CheckpointConfig(num_to_keep=2),
            callbacks=[*callbacks],
            worker_runtime_env={"env_vars": environment.TRAINING},  # type: ignore[call-arg]
        ),
    )


def cause(error: BaseException) -> str:
    """The innermost error of a chain, in one line."""
    failures = getattr(error, "worker_failures", None)
    if failures:
        error = next(iter(failures.values()))
    while True:
        inner = getattr(error, "cause", None) or error.__cause__
        if inner is None or inner is error:
            break
        error = inner
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]


def gpu_of(resources: TrainingResources) -> float:
    """What a process takes of a GPU; 0 where there is none."""
    return resources.gpu_share if gpus() else 0.0


def at_a_time(resources: TrainingResources) -> int:
    """How many runs take place at a time: those configured, or those there is room for."""
    return resources.concurrent_runs or fitting(resources, gpus(), cores())


def fitting(resources: TrainingResources, gpus: int, cores: int) -> int:
    """How many runs there is room for at a time, on GPUs if there are any; at least one."""
    # Whole shares of each GPU: no worker is spread over the remainders of two.
    room = gpus * int(1 / resources.gpu_share) if gpus else cores // resources.threads
    return max(1, room // resources.workers)


@contextlib.contextmanager
def _member_progress(
    members: Sequence[Member[Any]],
) -> Iterator[Callable[[str, list[Measurement]], None]]:
    """A display of the share of all members' steps that is done."""
    share: dict[str, float] = {}

    with progress(100 * len(members), "train", "% of a run") as bar:

        def show(name: str, measurements: list[Measurement]) -> None:
            done = [m.value for m in measurements if m.name == "progress"]
            if done:
                share[name] = max(share.get(name, 0.0), *done)
                bar.update(round(100 * sum(share.values())) - bar.n)

        yield show
