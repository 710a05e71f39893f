"""The MLflow pyfunc of a trained model: one row of input is one question.

The column ``task`` says what is wanted; the tasks of its :class:`~mmkrl.spaces.space.Space` say
what a kind of model can be asked, and with which columns.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from mmkrl.errors import UserError
from mmkrl.spaces.space import QueryOptions, Reply, load_space


class AnsweringModel(PythonModel):
    """Answers questions with the model that was logged with it."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the model."""
        self._space = load_space(Path(context.artifacts["space"]))

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
                :class:`~mmkrl.spaces.space.QueryOptions`.

        Returns:
            Columns ``vector`` (the question's vector in the space), ``names`` and ``scores``; each
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
        options = QueryOptions(**(params or {}))
        by_task: dict[str, list[int]] = defaultdict(list)
        rows = [{str(k): v for k, v in row.items()} for row in model_input.to_dict("records")]
        for position, row in enumerate(rows):
            by_task[str(row["task"])].append(position)
        replies: dict[int, Reply] = {}
        for name, positions in by_task.items():
            found = self._space.ask(name, [rows[n] for n in positions], options)
            replies |= zip(positions, found, strict=True)
        columns = [_row(replies[position]) for position in range(len(rows))]
        return pd.DataFrame(columns, columns=["vector", "names", "scores"])


def _row(reply: Reply) -> dict[str, list[Any]]:
    return {
        "vector": reply.vector,
        "names": [answer.name for answer in reply.answers if answer.name],
        "scores": [answer.score for answer in reply.answers],
    }
