"""The whole configuration: one section a job, one file for the chain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field, model_validator

from cluster.config import ClusterConfig
from cluster.sweep_config import SweepConfig
from mmkrl.config import Section
from mmkrl.data.config import IngestConfig
from mmkrl.data.graphs.config import GraphConfig
from mmkrl.encoders.config import ExtractConfig
from mmkrl.evaluate.config import EvaluateConfig
from mmkrl.mining.captions.config import ParseConfig
from mmkrl.mining.config import MineConfig
from mmkrl.mining.dedupe.config import DedupeConfig
from mmkrl.models.config import FEATURES, GRAPH, TrainConfig
from mmkrl.serving.config import RegistryConfig
from mmkrl.tracking.config import TrackingConfig


class QueryConfig(Section):
    """What ``jobs.query`` looks for."""

    text: str | None = None
    """Free text, or ``subject | predicate | object``; gives the best images."""
    image: str | None = None
    """Path of a picture, local or ``s3://``; gives the best relationships or captions."""
    head: str | None = None
    """An entity of a graph; with a relation, gives the best tails."""
    relation: str | None = None
    """A relation of a graph."""
    tail: str | None = None
    """An entity of a graph; with a relation, gives the best heads, with both its score."""
    count: int = Field(default=10, ge=1, le=1000)
    """How many answers."""


class PipelineConfig(Section):
    """Configuration of every job."""

    renamed: ClassVar[Mapping[str, str]] = {
        "ray": "cluster (cluster_cpus, cluster_gpus, cluster_wait_s: min_cpus, min_gpus, wait_s)"
    }

    workspace: str
    """Folder for all datasets, models and reports, local or ``s3://``."""
    cluster: ClusterConfig = ClusterConfig()
    """Where to run, and how work is spread."""
    tracking: TrackingConfig = TrackingConfig()
    """Where to record."""
    ingest: IngestConfig = IngestConfig(sources=[])
    """Reading a crawl into a corpus; without sources there is none."""
    dedupe: DedupeConfig = DedupeConfig()
    """Finding images that show the same picture."""
    parse: ParseConfig = ParseConfig()
    """What the texts of the corpus state; only ``mine.miner: captions`` needs it."""
    mine: MineConfig = MineConfig()
    """Finding relationships in the corpus."""
    graph: GraphConfig | None = None
    """A knowledge graph whose entities may have images."""
    extract: ExtractConfig = ExtractConfig()
    """Image features."""
    train: TrainConfig = TrainConfig()
    """Learning the knowledge space."""
    sweep: SweepConfig = SweepConfig()
    """Searching the settings of ``train``; see ``tuning.sweep``."""
    evaluate: EvaluateConfig = EvaluateConfig()
    """Measuring it on held-out relationships."""
    query: QueryConfig = QueryConfig()
    """Asking it."""
    registry: RegistryConfig = RegistryConfig()
    """Keeping it in MLflow's model registry."""

    @model_validator(mode="after")
    def _features_are_extracted(self) -> PipelineConfig:
        there = self.extract.backbones
        for wanted in self.train.features or ():
            if wanted not in there:
                raise ValueError(
                    f"train.features: {wanted!r} is not among extract.backbones "
                    f"({', '.join(there)})"
                )
        return self

    @model_validator(mode="after")
    def _workers_share_batches_evenly(self) -> PipelineConfig:
        workers = self.cluster.training.workers
        for key, rows in self.train.batch_sizes.items():
            if rows % workers:
                raise ValueError(
                    f"{key} = {rows} cannot be divided among cluster.training.workers = "
                    f"{workers}; make it a multiple"
                )
        return self

    @model_validator(mode="after")
    def _images_of_a_graph_are_ingested(self) -> PipelineConfig:
        graph = self.graph
        if graph and (graph.images or graph.source == "mined") and not self.ingest.sources:
            raise ValueError(
                "graph takes its images from a corpus, and ingest.sources is empty: name the "
                "pictures there, or leave graph.images out"
            )
        return self

    @model_validator(mode="after")
    def _models_of_a_graph_have_their_images(self) -> PipelineConfig:
        graph, kinds = self.graph, self.train.inputs
        bare = graph is not None and graph.source == "files" and graph.images is None
        if bare and GRAPH in kinds and FEATURES in kinds:
            raise ValueError(
                f"train.models: {', '.join(self.train.models)} would learn from images, and the "
                "graph has none: set graph.images"
            )
        return self
