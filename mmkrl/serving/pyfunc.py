"""The MLflow pyfunc of a trained model: one row of input is one question.

The column ``task`` says what is wanted; :mod:`mmkrl.serving.answering` says what a kind of model
can be asked, and with which columns.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from mmkrl.errors import UserError
from mmkrl.serving.answering import Given, Row, Task, Wanted, load


class AnsweringModel(PythonModel):
    """Answers questions with the model that was logged with it."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the model."""
        self._asked = load(Path(context.artifacts["space"]))

    def predict(
        self,
        context: PythonModelContext,  # noqa: ARG002 - MLflow's signature
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Answer each row.

        Args:
            context: Unused; the model was loaded once.
            model_input: Column ``task``, and the columns that its tasks need.
            params: ``count``, how many answers to give; ``new``, see
                :class:`~mmkrl.serving.answering.Wanted`.

        Returns:
            Columns ``vector`` (the question's place in the space), ``names`` and ``scores``; each
            is empty where a task gives none.

        Raises:
            MlflowException: unknown task, or a column it needs is missing, or what it asks about
                is not known; a server answers it with status 400 and the message.
        """
        try:
            return self._answers(model_input, params)
        except UserError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error

    def _answers(self, model_input: pd.DataFrame, params: dict[str, Any] | None) -> pd.DataFrame:
        wanted = Wanted(**(params or {}))
        by_task: dict[str, list[int]] = defaultdict(list)
        rows = model_input.to_dict("records")
        for place, row in enumerate(rows):
            by_task[str(row["task"])].append(place)
        given: dict[int, Given] = {}
        for name, places in by_task.items():
            task = self._task(name)
            questions = [_question(name, task, rows[place]) for place in places]
            given |= zip(places, task.give(questions, wanted), strict=True)
        columns = [_row(given[place]) for place in range(len(rows))]
        return pd.DataFrame(columns, columns=["vector", "names", "scores"])

    def _task(self, name: str) -> Task:
        tasks = self._asked.tasks
        if name not in tasks:
            raise UserError(f"task {name!r}: expected one of {', '.join(tasks)}")
        return tasks[name]


def _question(name: str, task: Task, row: dict[Any, Any]) -> Row:
    """The columns that a task needs."""
    values = tuple(row.get(column) for column in task.columns)
    for column, value in zip(task.columns, values, strict=True):
        if value is None or (isinstance(value, float) and value != value):  # noqa: PLR0124 - NaN
            raise UserError(f"task {name!r} needs the column {column!r}")
    return values


def _row(given: Given) -> dict[str, list[Any]]:
    return {
        "vector": given.vector,
        "names": [answer.name for answer in given.answers if answer.name],
        "scores": [answer.score for answer in given.answers],
    }
