"""The methods of a report on captions: every trained dual encoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mmkrl.data.dataset import Dataset
from mmkrl.data.splits import TEST
from mmkrl.evaluate.caption_retrieval import IMAGE_TEXT, TEXT_IMAGE, caption_tasks
from mmkrl.evaluate.config import EvaluateConfig
from mmkrl.evaluate.summary import Headline
from mmkrl.evaluate.tasks import TaskValues
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

    def measure(self, name: str, seed: str) -> dict[str, TaskValues]:
        """Retrieval both ways by one model."""
        run = CaptionRun(self.train.captions[name], LoopConfig(), self.data, int(seed))
        captions = self.data.load()
        return caption_tasks(run.trained(captions, self.trained, name).space(TEST))
