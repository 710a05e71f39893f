"""The face of BC-DNN: relationships mined from a corpus, and the images that show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from mmkrl.models.bcdnn.config import BCDNNConfig
from mmkrl.models.config import FEATURES, RELATIONSHIPS, TrainConfig
from mmkrl.models.family import Family, Method, Sources, Trial

if TYPE_CHECKING:
    from mmkrl.data.views.knowledge import Knowledge
    from mmkrl.evaluate.report.query_values import Headline, QueryNames
    from mmkrl.evaluate.tasks.values import TaskValues
    from mmkrl.evaluate.tasks.zero_shot import Space as Vectors
    from mmkrl.models.bcdnn.learner import BCDNNLearner
    from mmkrl.models.bcdnn.space import KnowledgeSpace

GALLERY = "gallery.html"
_SERVED = ("full", "text_to_image")


class BCDNNFamily(Family[BCDNNConfig, "Knowledge"]):
    """BC-DNN, its ablations and its baselines, measured on held-out relationships."""

    config = BCDNNConfig
    title = "Relationships never seen in training"
    headlines: ClassVar[tuple[Headline, ...]] = (
        ("text-image", "mAP"),
        ("image-text", "mAP"),
        ("image-image", "mAP"),
        ("recognition", "top-1"),
    )
    columns: ClassVar[tuple[Headline, ...]] = (
        *headlines[:3],
        ("text-text", "NDCG@10"),
        ("recognition", "top-1"),
        ("recognition", "top-5"),
    )

    def inputs(self, models: Mapping[str, BCDNNConfig], train: TrainConfig) -> tuple[str, ...]:
        """Relationships and the features of their images."""
        del models, train
        return RELATIONSHIPS, FEATURES

    def load(self, sources: Sources) -> Knowledge:
        """Relationships as word vectors, images as features."""
        from mmkrl.data.views.knowledge import load_knowledge
        from mmkrl.data.views.words import load_words

        config, datasets = sources.config, sources.datasets
        return load_knowledge(
            datasets[RELATIONSHIPS],
            datasets[FEATURES],
            load_words(config.words),
            sources.cache,
            config.features,
        )

    def learner(self, model: BCDNNConfig, data: Knowledge, seed: int) -> BCDNNLearner:
        """BC-DNN or an ablation of it, before training."""
        import torch

        from mmkrl.models.bcdnn.learner import BCDNNLearner

        torch.manual_seed(seed)
        return BCDNNLearner(data, model)

    def baselines(self, models: Mapping[str, BCDNNConfig]) -> Sequence[str]:
        """Chance, no learning, and linear maps."""
        from mmkrl.evaluate.baselines.zero_shot import BASELINES

        del models
        return tuple(BASELINES)

    def measure(
        self,
        trial: Trial[BCDNNConfig, Knowledge],
        split: str,
        method: Method,
        learner: BCDNNLearner | None,
    ) -> dict[str, TaskValues]:
        """Zero-shot retrieval and recognition."""
        from mmkrl.evaluate.baselines.zero_shot import BASELINES
        from mmkrl.evaluate.metrics.registry import further_metrics
        from mmkrl.evaluate.tasks.zero_shot import zero_shot_tasks

        knowledge = trial.data
        if learner is None:
            vectors = BASELINES[method.name](knowledge, trial.config)
        else:
            vectors = self._vectors(trial, method.name, learner)
        further = further_metrics(trial.config.metrics)
        return zero_shot_tasks(knowledge, vectors, split, further)

    def queries(
        self,
        data: Knowledge,
        split: str,  # noqa: ARG002 - positions are of all splits
        tasks: Mapping[str, TaskValues],
    ) -> dict[str, QueryNames]:
        """Relationships by their parts; images by their id and a relationship they show."""
        from mmkrl.evaluate.report.query_values import QueryNames

        texts = [" | ".join(parts) for parts in data.relationships.texts]
        named = {}
        for task, values in tasks.items():
            labels, ids = values.groups.tolist(), data.images.ids
            names = [texts[label] for label in labels]
            if not task.startswith("text-") and values.asked is not None:
                pairs = zip(values.asked.tolist(), names, strict=True)
                names = [f"{ids[image]}: {name}" for image, name in pairs]
            relations = [data.relationships.texts[label][1] for label in labels]
            named[task] = QueryNames(names, relations)
        return named

    def space(
        self, model: BCDNNConfig, learner: BCDNNLearner, sources: Sources, data: Knowledge
    ) -> KnowledgeSpace:
        """Both branches, with every image of the knowledge as the gallery."""
        from mmkrl.data.views.words import load_words
        from mmkrl.models.bcdnn.space import build_space

        del model
        return build_space(learner, data, load_words(sources.config.words), sources.extract)

    def not_servable(self, model: BCDNNConfig) -> str:
        """The ablations of one branch have nothing to answer with."""
        if model.variant in _SERVED:
            return ""
        return f"variant = {model.variant!r} lacks a branch; begin with {' or '.join(_SERVED)}"

    def validates_within_phases(self, model: BCDNNConfig) -> bool:
        """BC-DNN is validated at the end of its phases, unless the loop is told otherwise."""
        del model
        return False

    def pages(
        self, trial: Trial[BCDNNConfig, Knowledge], name: str, learner: Any, sources: Sources
    ) -> dict[str, str]:
        """Held-out relationships with the images that the model finds for them."""
        from mmkrl.viz.showcase import showcase

        vectors = self._vectors(trial, name, learner)
        corpus = sources.datasets["corpus"]
        return {GALLERY: showcase(trial.data, vectors, corpus, trial.config.gallery_queries)}

    def _vectors(
        self, trial: Trial[BCDNNConfig, Knowledge], name: str, learner: BCDNNLearner
    ) -> Vectors:
        """A model's vectors; one that learned no images gets its images by ridge regression."""
        from mmkrl.evaluate.baselines.zero_shot import ridge_images
        from mmkrl.evaluate.tasks.zero_shot import Space as Vectors

        text_RD = learner.text_vectors()
        if trial.models[name].variant == "text_only":
            strengths = trial.config.ridge_strengths
            return Vectors(text_RD, ridge_images(trial.data, text_RD, strengths))
        return Vectors(text_RD, learner.every_image())
