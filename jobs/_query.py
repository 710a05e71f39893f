"""What ``jobs.query`` puts together: the task that is asked, and pictures of what was found."""

from __future__ import annotations

import sys
from typing import Any

import rich
from rich.table import Table

from jobs.config import PipelineConfig, QueryConfig
from jobs.steps import finished
from mmkrl.data.dataset import Dataset
from mmkrl.data.views.images_by_id import pictures
from mmkrl.errors import UsageError
from mmkrl.io.storage import locate
from mmkrl.models.training import open_space
from mmkrl.spaces.space import QueryOptions, Reply
from mmkrl.viz.gallery import Picture, Shelf

_TASKS = {
    ("text",): "retrieve",
    ("image",): "recognise",
    ("head", "relation"): "predict_tails",
    ("relation", "tail"): "predict_heads",
    ("head", "relation", "tail"): "score_triples",
}
"""What is asked, by the parts of a question that are given."""


def asked(query: QueryConfig) -> tuple[str, dict[str, Any]]:
    """The task and the question of a section.

    Raises:
        UsageError: it asks nothing, or several things.
    """
    parts = {part: getattr(query, part) for part in ("text", "image", "head", "relation", "tail")}
    given = {part: value for part, value in parts.items() if value is not None}
    if tuple(given) not in _TASKS:
        raise UsageError(
            "give query.text or query.image, or two or three of query.head, query.relation and "
            "query.tail, such as --set query.text='a cat'"
        )
    if query.image is not None:
        given["image"] = locate(query.image).read_bytes()
    return _TASKS[tuple(given)], given


def ask(trained: Dataset, task: str, question: dict[str, Any], options: QueryOptions) -> Reply:
    """Put the question; called on a worker of the cluster."""
    return open_space(trained).ask(task, [question], options)[0]


def shelves(
    config: PipelineConfig, task: str, question: dict[str, Any], reply: Reply
) -> list[Shelf]:
    """The question with what was found, as pictures where there are any."""
    if task != "retrieve":
        asked_with = [Picture(question["image"], "asked")] if "image" in question else []
        title = config.query.image or " | ".join(question.values())
        cards = [Picture(b"", answer.name) for answer in reply.answers]
        return [Shelf(title, asked_with), Shelf("found", cards)]
    found = {}
    if config.ingest.sources:
        ids = [answer.name for answer in reply.answers]
        found = pictures(finished(config, "ingest"), ids)
    cards = [
        Picture(f.image, f.uri) if (f := found.get(answer.name)) else Picture(b"", answer.name)
        for answer in reply.answers
    ]
    understood = f": understood as {reply.understood}" if reply.understood else ""
    return [Shelf(f"{question['text']}{understood}", cards)]


def show(reply: Reply, names: list[str]) -> None:
    table = Table("", "answer", "score", title=reply.understood)
    for rank, (name, answer) in enumerate(zip(names, reply.answers, strict=True), start=1):
        table.add_row(str(rank), name, f"{answer.score:.3f}")
    rich.print(table, file=sys.stderr)
