"""What each kind of model can be asked: its tasks, the columns they need, and an example.

A question is a row of columns; ``task`` says what is wanted. What a model has no task for, it
refuses, with the tasks that it has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from torch import Tensor

from mmkrl.data.pictures import UnusablePicture
from mmkrl.errors import UserError
from mmkrl.spaces.space import Answer, KnowledgeSpace
from mmkrl.spaces.triple_space import TripleSpace


@dataclass(frozen=True)
class Wanted:
    """What is asked of all questions.

    Attributes:
        count: How many answers to give.
        new: Of answers that complete a triple, leave out those that the graph states.
    """

    count: int = 10
    new: bool = False


@dataclass(frozen=True)
class Given:
    """The answer to a question.

    Attributes:
        vector: Where the question lies in the space, if it does.
        answers: What was found, best first; a score without a name is that of the question.
    """

    vector: list[float] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)


Row: TypeAlias = tuple[Any, ...]


@dataclass(frozen=True)
class Task:
    """Something a model can be asked.

    Attributes:
        columns: What a question must say.
        give: From these columns of some questions to their answers.
    """

    columns: tuple[str, ...]
    give: Callable[[Sequence[Row], Wanted], list[Given]]


@dataclass(frozen=True)
class Asked:
    """A model that can be asked.

    Attributes:
        kind: ``space`` or ``triples``.
        tasks: By name.
        example: A question that it can answer.
    """

    kind: str
    tasks: Mapping[str, Task]
    example: Mapping[str, str]


COLUMNS = {
    "space": {"text": "string", "image": "binary"},
    "triples": {"head": "string", "relation": "string", "tail": "string"},
}
"""The columns that questions to a kind of model may have beside ``task``, and their types."""


def load(folder: Path) -> Asked:
    """The model in a folder, of whichever kind."""
    if KnowledgeSpace.lies_in(folder):
        return of_space(KnowledgeSpace.load(folder))
    return of_triples(TripleSpace.load(folder))


def of_space(space: KnowledgeSpace) -> Asked:
    """A space of texts and images.

    * ``embed_text``: the vector of ``text``;
    * ``embed_image``: the vector of ``image``, encoded bytes;
    * ``retrieve``: the best images of the gallery for ``text``;
    * ``recognise``: the best relationships for ``image``.
    """

    def texts(rows: Sequence[Row]) -> Tensor:
        return space.embed_texts([text for (text,) in rows])

    def images(rows: Sequence[Row]) -> Tensor:
        try:
            return space.embed_images([bytes(image) for (image,) in rows])
        except UnusablePicture as fault:
            raise UserError(f"an image cannot be used: {fault}") from None

    def retrieved(rows: Sequence[Row], wanted: Wanted) -> list[Given]:
        vectors = texts(rows)
        return _with_vectors(vectors, space.retrieve(vectors, wanted.count))

    def recognised(rows: Sequence[Row], wanted: Wanted) -> list[Given]:
        vectors = images(rows)
        return _with_vectors(vectors, space.recognise(vectors, wanted.count))

    tasks = {
        "embed_text": Task(("text",), lambda rows, _: _with_vectors(texts(rows))),
        "embed_image": Task(("image",), lambda rows, _: _with_vectors(images(rows))),
        "retrieve": Task(("text",), retrieved),
        "recognise": Task(("image",), recognised),
    }
    text = " | ".join(space.relationships[0])
    return Asked("space", tasks, {"task": "retrieve", "text": text})


def of_triples(space: TripleSpace) -> Asked:
    """A model of triples.

    * ``score_triples``: how plausible ``head``, ``relation``, ``tail`` are;
    * ``predict_tails``: the best tails for ``head`` and ``relation``;
    * ``predict_heads``: the best heads for ``relation`` and ``tail``.
    """

    def scored(rows: Sequence[Row], wanted: Wanted) -> list[Given]:  # noqa: ARG001 - a task's two
        scores = space.score([(head, relation, tail) for head, relation, tail in rows])
        return [Given(answers=[Answer("", score)]) for score in scores]

    def tails(rows: Sequence[Row], wanted: Wanted) -> list[Given]:
        found = (space.tails(h, r, wanted.count, new=wanted.new) for h, r in rows)
        return [Given(answers=answers) for answers in found]

    def heads(rows: Sequence[Row], wanted: Wanted) -> list[Given]:
        found = (space.heads(r, t, wanted.count, new=wanted.new) for r, t in rows)
        return [Given(answers=answers) for answers in found]

    tasks = {
        "score_triples": Task(("head", "relation", "tail"), scored),
        "predict_tails": Task(("head", "relation"), tails),
        "predict_heads": Task(("relation", "tail"), heads),
    }
    head, relation, _ = space.example
    return Asked("triples", tasks, {"task": "predict_tails", "head": head, "relation": relation})


def _with_vectors(vector_BD: Tensor, answers: Sequence[list[Answer]] | None = None) -> list[Given]:
    vectors = vector_BD.tolist()
    found = answers or [[] for _ in vectors]
    return [Given(vector, each) for vector, each in zip(vectors, found, strict=True)]
