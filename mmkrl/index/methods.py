"""Every method of a report by name: baselines and trained members, each as one space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mmkrl.data.dataset import Dataset
from mmkrl.data.knowledge import Knowledge, load_knowledge
from mmkrl.data.words import load_words
from mmkrl.evaluate.baselines import BASELINES, ridge_images
from mmkrl.evaluate.config import EvaluateConfig
from mmkrl.evaluate.tasks import TaskValues
from mmkrl.evaluate.zero_shot import Space, zero_shot_tasks
from mmkrl.train.config import TrainConfig
from mmkrl.train.members import load_member

_BASELINE = "baseline"


@dataclass(frozen=True)
class Evaluation:
    """What is evaluated, and how.

    Attributes:
        train: The section the members were trained with.
        evaluate: The section of this evaluation.
        mined: Relationships and their split.
        extracted: Features.
        trained: The members.
        cache: Folder on the local disk for mapped features.
    """

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

    def methods(self) -> list[tuple[str, str]]:
        """Every method as (kind, name): baselines, then each variant with each seed."""
        members = [(variant, str(seed)) for variant, seed in self.train.members]
        return [(_BASELINE, name) for name in BASELINES] + members

    def measure(self, kind: str, name: str) -> dict[str, TaskValues]:
        """All task values of one method."""
        knowledge = self.knowledge()
        if kind == _BASELINE:
            return zero_shot_tasks(knowledge, BASELINES[name](knowledge, self.evaluate))
        return zero_shot_tasks(knowledge, self.member_space(knowledge, kind, int(name)))

    def member_space(self, knowledge: Knowledge, variant: str, seed: int) -> Space:
        """A member's vectors; one that learned no images gets its images by ridge regression."""
        learner = load_member(self.trained, self.train, knowledge, variant, seed)
        text_RD = learner.text_vectors()
        if variant == "text_only":
            return Space(text_RD, ridge_images(knowledge, text_RD, self.evaluate.ridge_strengths))
        return Space(text_RD, learner.every_image())


def by_label(
    methods: Mapping[str, tuple[str, str]], measured: Mapping[str, dict[str, TaskValues]]
) -> dict[str, list[dict[str, TaskValues]]]:
    """What was measured, by the label of its method; a variant has one entry a seed.

    Args:
        methods: (kind, name) by key.
        measured: Task values by the same keys.
    """
    values: dict[str, list[dict[str, TaskValues]]] = {}
    for key, method in methods.items():
        values.setdefault(label(*method), []).append(measured[key])
    return values


def label(kind: str, name: str) -> str:
    """What a method is called in tables; a variant's seeds share one name."""
    return name if kind == _BASELINE else f"BC-DNN {kind.replace('_', ' ')}"
