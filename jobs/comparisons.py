"""What ``jobs.evaluate`` compares, by the configured kind of model."""

from __future__ import annotations

from collections.abc import Mapping

from cluster.ranking import ranks_by_entities, ranks_by_triples
from cluster.training import local_folder
from jobs.config import PipelineConfig
from jobs.steps import finished
from jobs.trainings import caption_data, triple_data
from mmkrl.data.dataset import Dataset
from mmkrl.evaluate.report.comparison import Comparison
from mmkrl.evaluate.tasks.link_prediction import Ranker
from mmkrl.models.bcdnn.methods import ZeroShotComparison
from mmkrl.models.captions.methods import CaptionComparison
from mmkrl.models.triples.methods import TripleComparison
from mmkrl.viz.showcase import showcase
from mmkrl.viz.swaps import swaps_page

GALLERY, ARITHMETIC = "gallery.html", "arithmetic.html"
_RANKERS: dict[str, Ranker] = {"triples": ranks_by_triples, "entities": ranks_by_entities}


def comparison(config: PipelineConfig, inputs: Mapping[str, Dataset]) -> Comparison:
    """The methods to compare.

    Args:
        config: The whole configuration.
        inputs: The datasets that the job reads, by job.
    """
    if config.train.model == "triples":
        data = triple_data(config, inputs)
        rank = _RANKERS[config.cluster.evaluation.ranks_by]
        return TripleComparison(config.train, config.evaluate, data, inputs["train"], rank)
    if config.train.model == "captions":
        captions = caption_data(config, inputs)
        return CaptionComparison(config.train, config.evaluate, captions, inputs["train"])
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
    if isinstance(compared, CaptionComparison):
        answered, ids = compared.swapped(*config.train.members[0])
        if not answered:
            return {}
        return {ARITHMETIC: swaps_page(answered, ids, finished(config, "ingest"))}
    if not isinstance(compared, ZeroShotComparison):
        return {}
    knowledge = compared.knowledge()
    space = compared.member_space(knowledge, *config.train.members[0])
    corpus = finished(config, "ingest")
    return {GALLERY: showcase(knowledge, space, corpus, config.evaluate.gallery_queries)}
