"""Joining a Ray cluster, or starting an embedded one for the length of a job."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator

import psutil
import ray
from ray.data import DataContext
from ray.exceptions import RayTaskError
from ray.util.placement_group import placement_group, remove_placement_group
from tenacity import retry, retry_if_exception_message, stop_after_attempt

from cluster import environment
from cluster.config import ClusterConfig
from cluster.ray_internals import PROGRESS_LOGGER
from mmkrl.errors import UserError

logger = logging.getLogger(__name__)

_LOGICAL_CPUS_PER_CORE = 4
_MINIMUM_LOGICAL_CPUS = 8


def _logical_cpus(config: ClusterConfig) -> int:
    cores = os.cpu_count() or 1
    return config.cpus or max(_MINIMUM_LOGICAL_CPUS, _LOGICAL_CPUS_PER_CORE * cores)


def cores() -> int:
    """Physical cores to plan for: the cluster's logical CPUs, or this machine's if embedded."""
    if sum(node["Alive"] for node in ray.nodes()) == 1:
        return os.cpu_count() or 1
    return int(ray.cluster_resources().get("CPU", 1))


def gpus() -> int:
    """GPUs of the cluster."""
    return int(ray.cluster_resources().get("GPU", 0))


def private_mb() -> float:
    """Memory of this process and its children, in MiB, without what they share (object store)."""
    process = psutil.Process()
    held = 0
    for one in [process, *process.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            memory = one.memory_info()
            held += memory.rss - memory.shared
    return held / (1 << 20)


@contextlib.contextmanager
def session(config: ClusterConfig) -> Iterator[None]:
    """A connection to Ray: the cluster that runs this job, the one named, or an embedded one.

    Raises:
        UserError: the cluster cannot be reached, or has not the nodes asked for.
    """
    if ray.is_initialized():
        yield
        return
    address = config.address or os.environ.get("RAY_ADDRESS")
    runtime = {"env_vars": environment.WORKERS}
    if address:
        _join(address, runtime)
    else:
        _embed(config, runtime)
    _tune_data()
    try:
        if address:
            _wait_for_nodes(config)
        yield
    except RayTaskError as error:
        if isinstance(error.cause, UserError):  # in one line, without the worker's traceback
            raise error.cause from None
        raise
    finally:
        ray.shutdown()


@retry(
    retry=retry_if_exception_message(match=r".*timed out during startup"),
    stop=stop_after_attempt(3),
    before_sleep=lambda _: ray.shutdown(),
    reraise=True,
)
def _embed(config: ClusterConfig, runtime: dict[str, dict[str, str]]) -> None:
    """Start a Ray of our own; on a very busy machine its processes may need a second attempt."""
    ray.init(
        address="local",
        num_cpus=_logical_cpus(config),
        object_store_memory=config.object_store_mb << 20,
        include_dashboard=False,
        logging_level=logging.WARNING,
        log_to_driver=False,
        runtime_env=runtime,
    )


def _join(address: str, runtime: dict[str, dict[str, str]]) -> None:
    try:
        ray.init(
            address=address,
            logging_level=logging.WARNING,
            log_to_driver=False,
            runtime_env=runtime,
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"cluster.address {address!r}: cannot join this cluster: {reason}. Check that the "
            "head is up and that RAY_AUTH_MODE and RAY_AUTH_TOKEN_PATH are those of the cluster"
        ) from error


def _wait_for_nodes(config: ClusterConfig) -> None:
    """Have an autoscaled cluster start its nodes, which then wait idle for the work.

    The request is a placement group, so that it ends with this job, even if the job is killed.
    """
    wanted = {"CPU": config.min_cpus or 0, "GPU": config.min_gpus or 0}
    bundles = [{kind: 1.0} for kind, count in wanted.items() for _ in range(count)]
    if not bundles:
        return
    logger.info("waiting for %(CPU)d CPUs and %(GPU)d GPUs", wanted)
    group = placement_group(bundles)
    try:
        if not group.wait(config.wait_s):
            there = ray.cluster_resources()
            raise UserError(
                f"cluster.min_cpus = {wanted['CPU']}, cluster.min_gpus = {wanted['GPU']}: not free "
                f"after {config.wait_s} s; the cluster has {there.get('CPU', 0):.0f} CPUs "
                f"and {there.get('GPU', 0):.0f} GPUs in all. Ask for less, or raise its max_workers"
            )
    finally:
        remove_placement_group(group)


def _tune_data() -> None:
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_no_progress_timeout_s = 600
    context.verbose_stats_logs = False
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    logging.getLogger(PROGRESS_LOGGER).setLevel(logging.ERROR)
