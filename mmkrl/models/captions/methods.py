"""The methods of a report on captions: every trained dual encoder, beside what it must beat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from torch import Tensor

from mmkrl.data.dataset import Dataset
from mmkrl.data.splits.names import TEST
from mmkrl.data.views.captions import Captions
from mmkrl.data.views.words import load_words
from mmkrl.evaluate.baselines.captions import CAPTION_BASELINES
from mmkrl.evaluate.config import EvaluateConfig
from mmkrl.evaluate.metrics.registry import further_metrics
from mmkrl.evaluate.report.query_values import QueryNames
from mmkrl.evaluate.report.summary import Headline
from mmkrl.evaluate.tasks.arithmetic import SwapResult, answers, arithmetic_tasks
from mmkrl.evaluate.tasks.caption_retrieval import (
    IMAGE_TEXT,
    TEXT_IMAGE,
    CaptionSpace,
    caption_tasks,
)
from mmkrl.evaluate.tasks.class_retrieval import class_tasks, cross_modal_tasks
from mmkrl.evaluate.tasks.clustering import clustering_tasks
from mmkrl.evaluate.tasks.values import TaskValues
from mmkrl.models.captions.config import CaptionConfig
from mmkrl.models.captions.data import CaptionData
from mmkrl.models.captions.learner import CaptionLearner
from mmkrl.models.captions.run import CaptionRun
from mmkrl.models.config import TrainConfig
from mmkrl.train.loop import LoopConfig

_BASELINE = "a baseline"  # no model is called so: its name has no blank


class Encoder(Protocol):
    """What places images and captions in a common space, as far as it is measured."""

    def space(self, split: str) -> CaptionSpace:
        """The images and captions of a split."""
        ...

    def vectors_of(self, texts: list[str], /) -> Tensor:
        """Unit vectors of any texts, shape (N, D)."""
        ...


@dataclass(frozen=True)
class CaptionComparison:
    """Dual encoders and baselines on images and captions that training has not seen.

    The methods are a model's name and seed, or a baseline's name after what tells it from a model;
    see :class:`~mmkrl.evaluate.report.comparison.Comparison`.

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
        """Every model with every seed, then every baseline."""
        models = [(name, str(seed)) for name, seed in self.train.members]
        return [*models, *((_BASELINE, name) for name in CAPTION_BASELINES)]

    def label(self, name: str, detail: str) -> str:
        """The model's name, which its seeds share, or the baseline's."""
        return detail if name == _BASELINE else name

    @property
    def reference(self) -> str:
        """The first model."""
        return self.train.members[0][0]

    @property
    def served(self) -> tuple[str, ...]:
        """The first model with the first seed."""
        name, seed = self.train.members[0]
        return name, str(seed)

    def measure(self, split: str, name: str, detail: str) -> dict[str, TaskValues]:
        """Retrieval both ways by one method; of test images, what classes and arithmetic tell."""
        captions, further = self.data.load(), further_metrics(self.evaluate.metrics)
        encoder, knows_words = self._encoder(captions, name, detail)
        space = encoder.space(split)
        tasks = caption_tasks(space, further=further)
        if split != TEST:
            return tasks
        image_N = captions.images(TEST)
        label_L, class_N = np.unique(captions.label_I[image_N], return_inverse=True)
        if len(label_L) > 1 and "" not in label_L:
            tasks |= clustering_tasks(space, class_N)
            if space.measure == "cosine":
                tasks |= cross_modal_tasks(space, class_N, further)
            if knows_words:
                raw_NF, word_LD = captions.features(image_N), encoder.vectors_of(label_L.tolist())
                vectors = {"word_CD": word_LD.cpu(), "raw_NF": raw_NF}
                tasks |= class_tasks(space.image_ID, class_N, **vectors, further=further)
        if self.evaluate.swaps and knows_words:
            texts = [captions.texts[c] for c in captions.captions(TEST)]
            tasks |= arithmetic_tasks(space, texts, self.evaluate.swaps, encoder.vectors_of)
        return tasks

    def _encoder(self, captions: Captions, name: str, detail: str) -> tuple[Encoder, bool]:
        """A method's encoder; and whether single words have vectors of their own."""
        if name == _BASELINE:
            words = load_words(self.data.words)
            encoder = CAPTION_BASELINES[detail](captions, words, self.evaluate)
            return encoder, captions.text_CF is None
        return self._trained(captions, name, int(detail)), _knows_words(self.train.captions[name])

    def swapped(self, name: str, seed: int) -> tuple[list[SwapResult], list[str]]:
        """What one model finds by arithmetic, if it can be asked; ids of the images by position."""
        if not (self.evaluate.swaps and _knows_words(self.train.captions[name])):
            return [], []
        captions = self.data.load()
        learner = self._trained(captions, name, seed)
        texts = [captions.texts[c] for c in captions.captions(TEST)]
        found = answers(learner.space(TEST), texts, self.evaluate.swaps, learner.vectors_of)
        return list(found), [captions.ids[i] for i in captions.images(TEST)]

    def named(self, split: str, tasks: Mapping[str, TaskValues]) -> dict[str, QueryNames]:
        """Images by their id; captions by that of their image and what they say."""
        captions = self.data.load()
        ids = [captions.ids[i] for i in captions.images(split)]
        texts = [captions.texts[c] for c in captions.captions(split)]
        named = {}
        for task, values in tasks.items():
            names = [ids[image] for image in values.groups.tolist()]
            if task == TEXT_IMAGE:
                names = [f"{name}: {text}" for name, text in zip(names, texts, strict=True)]
            named[task] = QueryNames(names, [""] * len(names))
        return named

    def _trained(self, captions: Captions, name: str, seed: int) -> CaptionLearner:
        run = CaptionRun(self.train.captions[name], LoopConfig(), self.data, seed)
        return run.trained(captions, self.trained, name)


def _knows_words(config: CaptionConfig) -> bool:
    """Whether single words have vectors that can be added and subtracted."""
    return config.reads_words and config.measure == "cosine"
