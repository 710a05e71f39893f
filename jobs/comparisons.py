"""What ``jobs.evaluate`` compares, by the configured kind of model."""

from __future__ import annotations

from collections.abc import Mapping

from cluster.training import local_folder
from jobs.config import PipelineConfig
from jobs.steps import finished
from jobs.trainings import triple_data
from mmkrl.data.dataset import Dataset
from mmkrl.index.comparison import Comparison
from mmkrl.index.methods import ZeroShotComparison
from mmkrl.index.triple_methods import TripleComparison
from mmkrl.viz.showcase import showcase

GALLERY = "gallery.html"


def comparison(config: PipelineConfig, inputs: Mapping[str, Dataset]) -> Comparison:
    """The methods to compare.

    Args:
        config: The whole configuration.
        inputs: The datasets that the job reads, by job.
    """
    if config.train.model == "triples":
        data = triple_data(config, inputs)
        return TripleComparison(config.train, config.evaluate, data, inputs["train"])
    return ZeroShotComparison(
        config.train,
        config.evaluate,
        mined=inputs["mine"],
        extracted=inputs["extract"],
        trained=inputs["train"],
        cache=local_folder("features"),
    )


def pages(config: PipelineConfig, compared: Comparison) -> dict[str, str]:
    """Pages with pictures beside the report, by file name."""
    if not isinstance(compared, ZeroShotComparison):
        return {}
    knowledge = compared.knowledge()
    space = compared.member_space(knowledge, *config.train.members[0])
    corpus = finished(config, "ingest")
    return {GALLERY: showcase(knowledge, space, corpus, config.evaluate.gallery_queries)}
