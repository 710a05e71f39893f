"""The methods of a report on captions: every trained dual encoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mmkrl.data.captions import Captions
from mmkrl.data.dataset import Dataset
from mmkrl.data.splits import TEST
from mmkrl.evaluate.arithmetic import Answered, answers, arithmetic_tasks
from mmkrl.evaluate.caption_retrieval import IMAGE_TEXT, TEXT_IMAGE, caption_tasks
from mmkrl.evaluate.class_retrieval import class_tasks
from mmkrl.evaluate.clustering import clustering_tasks
from mmkrl.evaluate.compare_values import Named
from mmkrl.evaluate.config import EvaluateConfig
from mmkrl.evaluate.summary import Headline
from mmkrl.evaluate.tasks import TaskValues
from mmkrl.models.caption_learner import CaptionLearner
from mmkrl.models.vse_config import CaptionConfig
from mmkrl.train.caption_run import CaptionData, CaptionRun
from mmkrl.train.config import TrainConfig
from mmkrl.train.loop import LoopConfig


@dataclass(frozen=True)
class CaptionComparison:
    """Dual encoders on images and captions that training has not seen.

    The methods are (name, seed) pairs; see :class:`~mmkrl.index.comparison.Comparison`.

    Attributes:
        train: The section the models were trained with.
        evaluate: The section of this evaluation.
        data: Images and captions.
        trained: The models.
    """

    title: ClassVar[str] = "Captions of test images"
    headlines: ClassVar[tuple[Headline, ...]] = ((IMAGE_TEXT, "R@1"), (TEXT_IMAGE, "R@1"))
    columns: ClassVar[tuple[Headline, ...]] = tuple(
        (task, metric)
        for task in (IMAGE_TEXT, TEXT_IMAGE)
        for metric in ("R@1", "R@5", "R@10", "median rank")
    )

    train: TrainConfig
    evaluate: EvaluateConfig
    data: CaptionData
    trained: Dataset

    def methods(self) -> list[tuple[str, ...]]:
        """Every model with every seed."""
        return [(name, str(seed)) for name, seed in self.train.members]

    def label(self, name: str, seed: str) -> str:  # noqa: ARG002 - seeds share a label
        """The model's name."""
        return name

    @property
    def reference(self) -> str:
        """The first model."""
        return self.train.members[0][0]

    @property
    def served(self) -> tuple[str, ...]:
        """The first model with the first seed."""
        name, seed = self.train.members[0]
        return name, str(seed)

    def measure(self, split: str, name: str, seed: str) -> dict[str, TaskValues]:
        """Retrieval both ways by one model; of test images, what classes and arithmetic tell."""
        learner, captions = self._trained(name, int(seed))
        space, knows_words = learner.space(split), _knows_words(self.train.captions[name])
        tasks = caption_tasks(space)
        if split != TEST:
            return tasks
        image_N = captions.images(TEST)
        label_L, class_N = np.unique(captions.label_I[image_N], return_inverse=True)
        if len(label_L) > 1 and "" not in label_L:
            tasks |= clustering_tasks(space, class_N)
            if knows_words:
                raw_NF, word_LD = captions.features(image_N), learner.vectors_of(label_L.tolist())
                tasks |= class_tasks(space.image_ID, class_N, word_CD=word_LD.cpu(), raw_NF=raw_NF)
        if self.evaluate.swaps and knows_words:
            texts = [captions.texts[c] for c in captions.captions(TEST)]
            tasks |= arithmetic_tasks(space, texts, self.evaluate.swaps, learner.vectors_of)
        return tasks

    def swapped(self, name: str, seed: int) -> tuple[list[Answered], list[str]]:
        """What one model finds by arithmetic, if it can be asked; ids of the images by position."""
        if not (self.evaluate.swaps and _knows_words(self.train.captions[name])):
            return [], []
        learner, captions = self._trained(name, seed)
        texts = [captions.texts[c] for c in captions.captions(TEST)]
        found = answers(learner.space(TEST), texts, self.evaluate.swaps, learner.vectors_of)
        return list(found), [captions.ids[i] for i in captions.images(TEST)]

    def named(self, split: str, tasks: Mapping[str, TaskValues]) -> dict[str, Named]:
        """Images by their id; captions by that of their image and what they say."""
        captions = self.data.load()
        ids = [captions.ids[i] for i in captions.images(split)]
        texts = [captions.texts[c] for c in captions.captions(split)]
        named = {}
        for task, values in tasks.items():
            names = [ids[image] for image in values.groups.tolist()]
            if task == TEXT_IMAGE:
                names = [f"{name}: {text}" for name, text in zip(names, texts, strict=True)]
            named[task] = Named(names, [""] * len(names))
        return named

    def _trained(self, name: str, seed: int) -> tuple[CaptionLearner, Captions]:
        captions = self.data.load()
        run = CaptionRun(self.train.captions[name], LoopConfig(), self.data, seed)
        return run.trained(captions, self.trained, name), captions


def _knows_words(config: CaptionConfig) -> bool:
    """Whether single words have vectors that can be added and subtracted."""
    return config.reads_words and config.measure == "cosine"
