"""The methods of a zero-shot report: baselines and trained members, each as one space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from mmkrl.data.dataset import Dataset
from mmkrl.data.views.knowledge import Knowledge, load_knowledge
from mmkrl.data.views.words import load_words
from mmkrl.evaluate.baselines.zero_shot import BASELINES, ridge_images
from mmkrl.evaluate.config import EvaluateConfig
from mmkrl.evaluate.metrics.registry import further_metrics
from mmkrl.evaluate.report.query_values import QueryNames
from mmkrl.evaluate.report.summary import Headline
from mmkrl.evaluate.tasks.values import TaskValues
from mmkrl.evaluate.tasks.zero_shot import Space, zero_shot_tasks
from mmkrl.models.config import TrainConfig
from mmkrl.models.weights import load_member

_BASELINE = "baseline"


@dataclass(frozen=True)
class ZeroShotComparison:
    """BC-DNN, its ablations and its baselines on held-out relationships.

    The methods are (kind, name) pairs; see :class:`~mmkrl.evaluate.report.comparison.Comparison`.

    Attributes:
        train: The section the members were trained with.
        evaluate: The section of this evaluation.
        mined: Relationships and their split.
        extracted: Features.
        trained: The members.
        cache: Folder on the local disk for mapped features.
    """

    title: ClassVar[str] = "Relationships never seen in training"
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

    train: TrainConfig
    evaluate: EvaluateConfig
    mined: Dataset
    extracted: Dataset
    trained: Dataset
    cache: Path

    def knowledge(self) -> Knowledge:
        """Relationships and images."""
        words = load_words(self.train.words)
        return load_knowledge(self.mined, self.extracted, words, self.cache, self.train.features)

    def methods(self) -> list[tuple[str, ...]]:
        """Every baseline, then each variant with each seed."""
        members = [(variant, str(seed)) for variant, seed in self.train.members]
        return [*((_BASELINE, name) for name in BASELINES), *members]

    def label(self, kind: str, name: str) -> str:
        """A baseline's name, or the variant's, which its seeds share."""
        return name if kind == _BASELINE else f"BC-DNN {kind.replace('_', ' ')}"

    @property
    def reference(self) -> str:
        """The label of the served variant."""
        variant, seed = self.train.members[0]
        return self.label(variant, str(seed))

    @property
    def served(self) -> tuple[str, ...]:
        """The first variant with the first seed."""
        variant, seed = self.train.members[0]
        return variant, str(seed)

    def measure(self, split: str, kind: str, name: str) -> dict[str, TaskValues]:
        """All task values of one method."""
        knowledge = self.knowledge()
        if kind == _BASELINE:
            space = BASELINES[name](knowledge, self.evaluate)
        else:
            space = self.member_space(knowledge, kind, int(name))
        return zero_shot_tasks(knowledge, space, split, further_metrics(self.evaluate.metrics))

    def named(self, split: str, tasks: Mapping[str, TaskValues]) -> dict[str, QueryNames]:  # noqa: ARG002 - positions are of all splits
        """Relationships by their parts; images by their id and a relationship they show."""
        knowledge = self.knowledge()
        texts = [" | ".join(parts) for parts in knowledge.relationships.texts]
        named = {}
        for task, values in tasks.items():
            labels, ids = values.groups.tolist(), knowledge.images.ids
            names = [texts[label] for label in labels]
            if not task.startswith("text-") and values.asked is not None:
                pairs = zip(values.asked.tolist(), names, strict=True)
                names = [f"{ids[image]}: {name}" for image, name in pairs]
            relations = [knowledge.relationships.texts[label][1] for label in labels]
            named[task] = QueryNames(names, relations)
        return named

    def member_space(self, knowledge: Knowledge, variant: str, seed: int) -> Space:
        """A member's vectors; one that learned no images gets its images by ridge regression."""
        learner = load_member(self.trained, self.train, knowledge, variant, seed)
        text_RD = learner.text_vectors()
        if variant == "text_only":
            return Space(text_RD, ridge_images(knowledge, text_RD, self.evaluate.ridge_strengths))
        return Space(text_RD, learner.every_image())
