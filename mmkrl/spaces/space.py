"""A trained model that can be asked: what every kind of space has in common.

A space lies in one folder, safetensors and JSON only, with everything that a question needs and
nothing of the training data but names and vectors. What it can be asked are its tasks: a question
is a row of columns, and a query, the served model and the Python door all put it the same way.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import torch
from torch import Tensor

from mmkrl.errors import UserError
from mmkrl.plugins import Registry

DESCRIPTION = "space.json"
_KIND = "kind"


@dataclass(frozen=True)
class Answer:
    """One thing found: an image id, a relationship, an entity or a caption, and its score."""

    name: str
    score: float


@dataclass(frozen=True)
class QueryOptions:
    """What is asked of all questions.

    Attributes:
        count: How many answers to give.
        new: Of answers that complete a triple, leave out those that the graph states.
    """

    count: int = 10
    new: bool = False


@dataclass(frozen=True)
class Reply:
    """The answer to a question.

    Attributes:
        vector: Where the question lies in the space, if it does.
        answers: What was found, best first; a score without a name is that of the question.
        understood: What the question was taken for, where that is not what it says.
    """

    vector: list[float] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    understood: str = ""


Row: TypeAlias = tuple[Any, ...]


@dataclass(frozen=True)
class Task:
    """Something a space can be asked.

    Attributes:
        columns: What a question must say.
        answer: From these columns of a batch of questions to their replies.
    """

    columns: tuple[str, ...]
    answer: Callable[[Sequence[Row], QueryOptions], list[Reply]]


class Space(ABC):
    """A trained model that can be asked.

    Attributes:
        kind: Its name in :data:`SPACES`; it is written into the folder.
        columns: The columns that questions may have, and their types as MLflow names them.
        requirements: Packages that answering takes beside those that every space needs.
    """

    kind: ClassVar[str]
    columns: ClassVar[Mapping[str, str]]
    requirements: ClassVar[tuple[str, ...]] = ()

    @property
    @abstractmethod
    def tasks(self) -> Mapping[str, Task]:
        """What it can be asked, by name."""

    @property
    @abstractmethod
    def example(self) -> Mapping[str, Any]:
        """A question that it can answer: a task and its columns."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the space into a folder: safetensors and JSON only."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path) -> Space:
        """Read a space that :meth:`save` wrote; there is nothing to execute in it."""

    def ask(
        self, name: str, questions: Sequence[Mapping[str, Any]], options: QueryOptions | None = None
    ) -> list[Reply]:
        """The replies to some questions of one task.

        Args:
            name: The task.
            questions: The columns that the task needs, by name; others are not looked at.
            options: What is asked of all of them.

        Raises:
            UserError: there is no such task, a column is missing, or what it asks about is unknown.
        """
        if name not in self.tasks:
            raise UserError(
                f"task {name!r}: a space of kind {self.kind!r} can be asked one of "
                f"{', '.join(self.tasks)}"
            )
        task = self.tasks[name]
        rows = [_columns(name, task, question) for question in questions]
        return task.answer(rows, options or QueryOptions())

    def _describe(self, folder: Path, values: Mapping[str, Any]) -> None:
        """Write what is no array, with the kind that :func:`load_space` looks for."""
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps({_KIND: self.kind} | dict(values))
        (folder / DESCRIPTION).write_text(text, encoding="utf-8")


SPACES: Registry[type[Space]] = Registry(
    "space",
    "mmkrl.spaces",
    {
        "bcdnn": "mmkrl.models.bcdnn.space:KnowledgeSpace",
        "captions": "mmkrl.models.captions.space:DualEncoderSpace",
        "triples": "mmkrl.models.triples.space:TripleSpace",
    },
)


def load_space(folder: Path) -> Space:
    """The space in a folder, of whichever kind.

    The folder holds no code. What reads it is the class that its kind names, which must be
    installed here; for a kind ``python:MODULE:NAME`` that module is imported.

    Raises:
        UserError: there is none, or one of a kind that is not installed.
    """
    if not (folder / DESCRIPTION).is_file():
        raise UserError(f"{folder} holds no space: there is no {DESCRIPTION} in it")
    return SPACES.get(read_description(folder)[_KIND]).load(folder)


def read_description(folder: Path) -> dict[str, Any]:
    """What a space says of itself that is no array."""
    found: dict[str, Any] = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    return found


def best_answers(score_BN: Tensor, names: Sequence[str], count: int) -> list[list[Answer]]:
    """The items with the highest scores for each question.

    Args:
        score_BN: A row a question, a column an item.
        names: Of the items.
        count: How many to give of each.
    """
    if not len(names):
        return [[] for _ in score_BN]
    found = torch.topk(score_BN, min(count, len(names)), dim=1)
    return [
        [Answer(names[i], score) for i, score in zip(row, scores, strict=True)]
        for row, scores in zip(found.indices.tolist(), found.values.tolist(), strict=True)
    ]


def with_vectors(
    vector_BD: Tensor, answers: Sequence[list[Answer]] | None = None, understood: Sequence[str] = ()
) -> list[Reply]:
    """Replies to questions that have a vector in the space."""
    vectors = vector_BD.tolist()
    found = answers or [[] for _ in vectors]
    texts = understood or [""] * len(vectors)
    return [Reply(*each) for each in zip(vectors, found, texts, strict=True)]


def _columns(name: str, task: Task, question: Mapping[str, Any]) -> Row:
    values = tuple(question.get(column) for column in task.columns)
    for column, value in zip(task.columns, values, strict=True):
        if value is None or (isinstance(value, float) and value != value):  # noqa: PLR0124 - NaN
            raise UserError(f"task {name!r} needs the column {column!r}")
    return values
