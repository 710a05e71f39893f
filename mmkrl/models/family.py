"""What a family of models brings, once, for training, evaluation, serving, sweeps and pages.

A family is a folder (``models/bcdnn``, ``models/triples``, ``models/captions``) or an outside
module whose ``family`` module is its one face. Its models are named in the configuration::

    train:
      models:
        mine: {family: bcdnn, margin: 0.1}

Everything a run does with a model goes through this face: which datasets it needs, how they are
loaded, the learner, the methods of its evaluation (baselines and views too) and the space that can
be asked. An outside family is registered under the entry point group ``mmkrl.families`` or named
``python:module:Name``. Families are looked up whenever a configuration is read, so their modules
import torch and what computes inside functions only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from mmkrl.config import check
from mmkrl.encoders.config import ExtractConfig
from mmkrl.models.config import FAMILIES, ModelConfig, TrainConfig

if TYPE_CHECKING:
    from mmkrl.data.dataset import Dataset
    from mmkrl.evaluate.config import EvaluateConfig
    from mmkrl.evaluate.report.query_values import Headline, QueryNames
    from mmkrl.evaluate.tasks.link_prediction import Ranker
    from mmkrl.evaluate.tasks.values import TaskValues
    from mmkrl.spaces.space import Space
    from mmkrl.train.learner import Learner

Model = TypeVar("Model", bound=ModelConfig)
Data = TypeVar("Data")


@dataclass(frozen=True)
class Sources:
    """Where the data of models come from; it pickles and goes to the workers.

    Attributes:
        datasets: By kind: :data:`~mmkrl.models.config.CORPUS` and the others beside it.
        config: The training's settings; those that models share say whose features, which word
            vectors, which file of pairs.
        cache: Folder on the worker's disk for mapped features and pictures.
    """

    datasets: Mapping[str, Dataset]
    config: TrainConfig
    cache: Path

    @property
    def extract(self) -> ExtractConfig:
        """How pixels became the features that are learned from."""
        made_with = check(self.datasets["features"].manifest.config, ExtractConfig)
        return made_with.only(self.config.features)


@dataclass(frozen=True)
class Method:
    """Something that an evaluation measures.

    Attributes:
        name: Of the model, or of the baseline.
        seed: Of the trained model; None for a baseline.
        view: One of several ways in which the model is asked; empty for all it has.
    """

    name: str
    seed: int | None = None
    view: str = ""

    @property
    def label(self) -> str:
        """What reports call it; the seeds of a model share one label."""
        return f"{self.name} {self.view}".strip()


@dataclass(frozen=True)
class Trial(Generic[Model, Data]):
    """What a family measures its methods on.

    Attributes:
        models: The family's models by name.
        data: Loaded.
        config: The section of the evaluation.
        rank: Where triples are ranked.
    """

    models: Mapping[str, Model]
    data: Data
    config: EvaluateConfig
    rank: Ranker


class Family(ABC, Generic[Model, Data]):
    """One face for all that is done with a kind of models.

    Attributes:
        config: The section of one named model.
        title: Heading of the table of an evaluation.
        headlines: The numbers by which methods are compared, the most telling first.
        columns: The numbers that the table shows.
    """

    config: ClassVar[type[ModelConfig]]
    title: ClassVar[str]
    headlines: ClassVar[Sequence[Headline]]
    columns: ClassVar[Sequence[Headline]]

    @abstractmethod
    def inputs(self, models: Mapping[str, Model], train: TrainConfig) -> tuple[str, ...]:
        """The kinds of datasets that the models learn from."""

    @abstractmethod
    def load(self, sources: Sources) -> Data:
        """What the models learn from; called in every process that trains or measures one."""

    @abstractmethod
    def learner(self, model: Model, data: Data, seed: int) -> Learner:
        """A model with freshly drawn weights, its data and its schedule.

        Args:
            model: Its section of the configuration.
            data: Loaded.
            seed: Decides the initial weights (the function seeds torch itself, after all that is
                loaded) and the order of the data.
        """

    def baselines(self, models: Mapping[str, Model]) -> Sequence[str]:
        """Labels of the methods that need no training, measured beside the models."""
        del models
        return ()

    def views(self, model: Model) -> Sequence[str]:
        """The ways in which a trained model is measured; the first, empty one is by all it has."""
        del model
        return ("",)

    @abstractmethod
    def measure(
        self, trial: Trial[Model, Data], split: str, method: Method, learner: Any
    ) -> dict[str, TaskValues]:
        """All task values of a method on a split.

        Args:
            trial: Models, data and settings.
            split: ``validation`` or ``test``.
            method: What is measured.
            learner: The trained model, as :meth:`learner` made it; None for a baseline.
        """

    @abstractmethod
    def queries(
        self, data: Data, split: str, tasks: Mapping[str, TaskValues]
    ) -> Mapping[str, QueryNames]:
        """The queries of those tasks by name, of which values are kept by query."""

    @abstractmethod
    def space(self, model: Model, learner: Any, sources: Sources, data: Data) -> Space:
        """A trained model as a space that can be asked."""

    def not_servable(self, model: Model) -> str:
        """Why a model cannot be the first, the one that is served; empty if it can."""
        del model
        return ""

    def problems(self, models: Mapping[str, Model], train: TrainConfig) -> list[str]:
        """What does not fit together, told before any work."""
        del models, train
        return []

    def validates_within_phases(self, model: Model) -> bool:
        """Whether a model's own schedule validates it within a phase, where a sweep can end it."""
        del model
        return True

    def files(self, models: Mapping[str, Model], sources: Sources) -> Mapping[str, bytes]:
        """What is kept beside the trained models, by path: what was not read of the data, say."""
        del models, sources
        return {}

    def pages(
        self, trial: Trial[Model, Data], name: str, learner: Any, sources: Sources
    ) -> Mapping[str, str]:
        """Pages with pictures beside the report, by file name, of one trained model."""
        del trial, name, learner, sources
        return {}


def family_of(name: str) -> Family[Any, Any]:
    """The family of a name.

    Raises:
        UsageError: there is none; the known ones are named.
    """
    found: Family[Any, Any] = FAMILIES.get(name)()
    return found
