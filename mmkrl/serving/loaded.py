"""The Python door to a trained model: ``mmkrl.load(...)``, questions as methods, answers as tables.

What a model can be asked depends on its kind; a method for which it has no task raises a
:class:`~mmkrl.errors.UserError` that names the tasks it has.
"""

from __future__ import annotations

import html
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mmkrl.arrays import Float32Array
from mmkrl.errors import UserError
from mmkrl.io.storage import locate, relative_to_here
from mmkrl.spaces.space import DESCRIPTION, QueryOptions, Reply, Space, load_space

_REGISTERED = ("models:/", "runs:/")


def load(where: str | Path, *, tracking: str | None = None) -> Model:
    """A trained model that can be asked.

    Args:
        where: A model of MLflow (``models:/NAME@champion``, ``models:/NAME/3``,
            ``runs:/RUN_ID/model``); or a folder, local or ``s3://``: that of a space, or of a
            finished training.
        tracking: MLflow's tracking URI; None means MLflow's own setting.

    Raises:
        UserError: there is no such model.
    """
    if str(where).startswith(_REGISTERED):
        return Model(_from_mlflow(str(where), tracking), str(where))
    location = locate(str(where))
    with tempfile.TemporaryDirectory() as name:
        for folder in (location, location / "space"):
            if (folder / DESCRIPTION).is_file():
                for entry in folder.files():
                    (Path(name) / entry.name).write_bytes((folder / entry.name).read_bytes())
                return Model(load_space(Path(name)), str(where))
    raise UserError(f"{where}: neither the folder of a space nor that of a training that has one")


class Model:
    """A trained model; what it finds comes as tables with the columns query, rank, name, score.

    Args:
        space: What can be asked.
        origin: Where it was loaded from.
    """

    def __init__(self, space: Space, origin: str) -> None:
        self.space = space
        self.origin = origin

    @property
    def tasks(self) -> list[str]:
        """What it can be asked."""
        return list(self.space.tasks)

    def retrieve(self, texts: str | Sequence[str], count: int = 10) -> pd.DataFrame:
        """The best images for each text."""
        return self._found("retrieve", [{"text": text} for text in _several(texts)], count)

    def recognise(self, images: Any, count: int = 10) -> pd.DataFrame:
        """The best relationships, or captions, for each picture (encoded bytes, or a path)."""
        pictures = _pictures(images)
        questions = [{"image": data} for data in pictures.values()]
        return self._found("recognise", questions, count, list(pictures))

    def embed_text(self, texts: str | Sequence[str]) -> Float32Array:
        """Unit vectors of texts, shape (N, D)."""
        return self._vectors("embed_text", [{"text": text} for text in _several(texts)])

    def embed_image(self, images: Any) -> Float32Array:
        """Unit vectors of pictures (encoded bytes, or paths), shape (N, D)."""
        return self._vectors("embed_image", [{"image": b} for b in _pictures(images).values()])

    def score_triples(self, triples: Sequence[tuple[str, str, str]]) -> pd.DataFrame:
        """How plausible triples are; columns head, relation, tail, score."""
        questions = [dict(zip(("head", "relation", "tail"), t, strict=True)) for t in triples]
        replies = self.space.ask("score_triples", questions)
        scores = [reply.answers[0].score for reply in replies]
        return pd.DataFrame(questions).assign(score=scores)

    def predict_tails(
        self, head: str, relation: str, count: int = 10, *, new: bool = False
    ) -> pd.DataFrame:
        """The best tails; ``new`` leaves out those that the graph states."""
        return self._found("predict_tails", [{"head": head, "relation": relation}], count, new=new)

    def predict_heads(
        self, relation: str, tail: str, count: int = 10, *, new: bool = False
    ) -> pd.DataFrame:
        """The best heads; see :meth:`predict_tails`."""
        return self._found("predict_heads", [{"relation": relation, "tail": tail}], count, new=new)

    def ask(
        self, task: str, questions: Sequence[Mapping[str, Any]], count: int = 10
    ) -> list[Reply]:
        """The replies to questions of any task, such as one of an outside family."""
        return self.space.ask(task, questions, QueryOptions(count))

    def _found(
        self,
        task: str,
        questions: Sequence[Mapping[str, Any]],
        count: int,
        names: Sequence[str] | None = None,
        *,
        new: bool = False,
    ) -> pd.DataFrame:
        replies = self.space.ask(task, questions, QueryOptions(count, new))
        asked = names or [" | ".join(map(str, question.values())) for question in questions]
        rows = [
            (query, rank, answer.name, answer.score)
            for query, reply in zip(asked, replies, strict=True)
            for rank, answer in enumerate(reply.answers, start=1)
        ]
        return pd.DataFrame(rows, columns=["query", "rank", "name", "score"])

    def _vectors(self, task: str, questions: Sequence[Mapping[str, Any]]) -> Float32Array:
        return np.array([reply.vector for reply in self.space.ask(task, questions)], np.float32)

    def __repr__(self) -> str:
        origin = relative_to_here(self.origin)
        return f"<{self.space.kind} model of {origin}: {', '.join(self.tasks)}>"

    def _repr_html_(self) -> str:
        """How a notebook shows it."""
        return f"<code>{html.escape(repr(self))}</code>"


def _from_mlflow(uri: str, tracking: str | None) -> Space:
    import mlflow
    from mlflow.exceptions import MlflowException

    before = mlflow.get_tracking_uri()
    try:
        if tracking is not None:
            mlflow.set_tracking_uri(tracking)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(mlflow.artifacts.download_artifacts(uri, dst_path=name))
            described = next((folder / "artifacts").rglob(DESCRIPTION), folder / DESCRIPTION)
            return load_space(described.parent)
    except MlflowException as error:
        raise UserError(f"{uri}: {' '.join(str(error).split())}") from error
    finally:
        mlflow.set_tracking_uri(before)


def _several(texts: str | Sequence[str]) -> Sequence[str]:
    return [texts] if isinstance(texts, str) else texts


def _pictures(images: Any) -> dict[str, bytes]:
    """Encoded pictures by what to call them."""
    several = [images] if isinstance(images, bytes | str | Path) else list(images)
    return {
        f"image {number}" if isinstance(each, bytes) else str(each): each
        if isinstance(each, bytes)
        else locate(str(each)).read_bytes()
        for number, each in enumerate(several, start=1)
    }
