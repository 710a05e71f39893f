"""The MLflow pyfunc of a knowledge space.

One row of input is one question. ``task`` says which:

* ``embed_text``: the knowledge vector of ``text``;
* ``embed_image``: the knowledge vector of ``image`` (encoded bytes);
* ``retrieve``: the best images of the gallery for ``text``;
* ``recognise``: the best relationships for ``image``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from torch import Tensor

from mmkrl.errors import UserError
from mmkrl.index.space import Answer, KnowledgeSpace

TASKS = ("embed_text", "embed_image", "retrieve", "recognise")
_DEFAULT_COUNT = 10


class SpaceModel(PythonModel):
    """Answers questions with a :class:`~mmkrl.index.space.KnowledgeSpace`."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the space that was logged with the model."""
        self._space = KnowledgeSpace.load(Path(context.artifacts["space"]))

    def predict(
        self,
        context: PythonModelContext,  # noqa: ARG002 - MLflow's signature
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Answer each row.

        Args:
            context: Unused; the space was loaded once.
            model_input: Columns ``task`` and ``text`` or ``image``.
            params: ``count``, how many answers to give.

        Returns:
            Columns ``vector`` (the question's place in the space), ``names`` and ``scores``
            (empty for the embedding tasks).

        Raises:
            UserError: unknown task, or the column it needs is missing.
        """
        count = int((params or {}).get("count", _DEFAULT_COUNT))
        rows = [self._answer(row, count) for row in model_input.to_dict("records")]
        return pd.DataFrame(rows, columns=["vector", "names", "scores"])

    def _answer(self, row: Mapping[Any, Any], count: int) -> dict[str, list[Any]]:
        task = row["task"]
        if task not in TASKS:
            raise UserError(f"task {task!r}: expected one of {', '.join(TASKS)}")
        column = "text" if task in ("embed_text", "retrieve") else "image"
        value = row.get(column)
        if value is None or (isinstance(value, float) and math.isnan(value)):
            raise UserError(f"task {task!r} needs the column {column!r}")
        if column == "text":
            vector_1D = self._space.embed_texts([value])
            ask: Callable[[Tensor, int], list[list[Answer]]] = self._space.retrieve
        else:
            vector_1D = self._space.embed_images([bytes(value)])
            ask = self._space.recognise
        answers = ask(vector_1D, count)[0] if task in ("retrieve", "recognise") else []
        return _row(vector_1D, answers)


def _row(vector_1D: Tensor, answers: list[Answer]) -> dict[str, list[Any]]:
    return {
        "vector": vector_1D[0].tolist(),
        "names": [answer.name for answer in answers],
        "scores": [answer.score for answer in answers],
    }
