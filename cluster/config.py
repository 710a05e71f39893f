"""Where the work runs and how it is spread: the section ``cluster`` of the configuration.

Nothing in it changes a result, so nothing in it identifies a dataset. Loads neither Ray nor torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from mmkrl.config import Section


class TrainingResources(Section):
    """What each training run and each trial of a sweep may use, and how many run at a time."""

    workers: int = Field(default=1, ge=1)
    """Training processes of one run; their gradients are averaged."""
    threads: int = Field(default=1, ge=1)
    """Compute threads of each process."""
    concurrent_runs: int | None = Field(default=None, ge=1)
    """Runs trained at the same time; null means as many as cores (or GPUs) allow."""
    gpu_share: float = Field(default=1.0, gt=0, le=1)
    """Share of a GPU that a process takes, where there are any: several small runs fit on one."""
    retries: int = Field(default=3, ge=0)
    """How often a run whose worker dies is taken up again from its last checkpoint."""

    @model_validator(mode="after")
    def _processes_of_a_run_have_gpus_of_their_own(self) -> TrainingResources:
        if self.workers > 1 and self.gpu_share < 1:
            raise ValueError(
                f"cluster.training.gpu_share = {self.gpu_share} with cluster.training.workers = "
                f"{self.workers}: processes that share a GPU cannot average their gradients "
                "(NCCL); set one of them to 1"
            )
        return self


class EvaluationResources(Section):
    """How an evaluation is spread over the cluster."""

    ranks_by: Literal["triples", "entities"] = "triples"
    """How the ranking of test triples is shared among tasks of the cluster: each takes some of the
    ``triples`` and holds all entities, or takes some of the ``entities`` (for tables that no
    worker can hold twice). The ranks are the same."""


class ExtractionResources(Section):
    """How an extraction is spread over the cluster."""

    workers: int | None = Field(default=None, ge=1)
    """Inference workers; null means one a GPU, or one a core where there is no GPU."""
    stall_s: float = Field(default=120.0, gt=0)
    """Seconds without a finished unit after which, if nodes of the cluster were lost, the units
    not yet published are planned anew for the nodes that are left. A plan whose first unit took
    more than half as long gets twice that time. Without a loss, a plan in which nothing moves for
    ten minutes, or five times as long as this, is begun again."""


class ClusterConfig(Section):
    """The Ray cluster to run on, and how work is spread over it."""

    renamed: ClassVar[Mapping[str, str]] = {
        "cluster_cpus": "cluster.min_cpus",
        "cluster_gpus": "cluster.min_gpus",
        "cluster_wait_s": "cluster.wait_s",
    }

    address: str | None = None
    """Cluster to join, such as ``auto`` or ``HOST:6379``; null starts an embedded local Ray."""
    cpus: int | None = Field(default=None, ge=6)
    """Logical CPUs of an embedded Ray. Logical CPUs are slots, not cores: with fewer than 6,
    actors that hold them all would leave none for reading and writing."""
    object_store_mb: int = Field(default=512, ge=100)
    """Shared memory of an embedded Ray, in MiB."""
    min_cpus: int | None = Field(default=None, ge=1)
    """CPUs that a cluster must have free before the work starts. Jobs size themselves by the nodes
    that are there, so a cluster that scales from nothing needs this to start nodes first."""
    min_gpus: int | None = Field(default=None, ge=1)
    """GPUs that a cluster must have free before the work starts; without any there, extraction
    and training use CPUs."""
    wait_s: int = Field(default=1200, ge=1)
    """How long to wait for them, in seconds."""
    training: TrainingResources = TrainingResources()
    """Training runs and trials of a sweep."""
    evaluation: EvaluationResources = EvaluationResources()
    """Evaluations."""
    extraction: ExtractionResources = ExtractionResources()
    """Feature extraction."""
