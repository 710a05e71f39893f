"""Ask a trained space: a text for its best images, a picture for its best relationships."""

from __future__ import annotations

import sys
from collections.abc import Callable

import rich
from rich.table import Table

from cluster.parallel import parallel
from jobs.command import Outcome, command
from jobs.config import PipelineConfig
from jobs.steps import finished
from mmkrl.data.digest import fingerprint
from mmkrl.data.views.images_by_id import pictures
from mmkrl.errors import UsageError
from mmkrl.io.storage import locate
from mmkrl.spaces.ask import Reply, ask_image, ask_text
from mmkrl.viz.gallery import Picture, Shelf, gallery


def run(config: PipelineConfig, force: bool) -> Outcome:  # noqa: ARG001 - a question is always asked
    """Answer the configured question."""
    query = config.query
    if (query.text is None) == (query.image is None):
        raise UsageError("give either query.text or query.image, such as --set query.text='a cat'")
    trained = finished(config, "train")
    if query.text is not None:
        reply = _ask(ask_text, trained, query.text, query.count)
        found = pictures(finished(config, "ingest"), [answer.name for answer in reply.answers])
        cards = [Picture(f.image, f.uri) for a in reply.answers if (f := found.get(a.name))]
        shelves = [Shelf(f"{query.text}: understood as {reply.understood}", cards)]
    else:
        assert query.image is not None
        image = locate(query.image).read_bytes()
        reply = _ask(ask_image, trained, image, query.image, query.count)
        cards = [Picture(b"", answer.name) for answer in reply.answers]
        shelves = [Shelf(query.image, [Picture(image, "asked")]), Shelf("found", cards)]
    _show(reply, [card.caption for card in cards])
    name = f"{fingerprint([trained.digest, query.model_dump()])[:12]}.html"
    location = locate(config.workspace) / "query" / name
    location.write_bytes(gallery("Query", "Best answers first.", shelves).encode())
    return Outcome(output=str(location), rows_in=1, rows_out=1, metrics=_metrics(reply))


def _ask(question: Callable[..., Reply], *arguments: object) -> Reply:
    """Put the question on a worker of the cluster."""
    return parallel(question, {"query": arguments}, label="query")["query"]


def _metrics(reply: Reply) -> dict[str, float]:
    return {"best_score": reply.answers[0].score} if reply.answers else {}


def _show(reply: Reply, names: list[str]) -> None:
    table = Table("", "answer", "cosine", title=reply.understood)
    for rank, (name, answer) in enumerate(zip(names, reply.answers, strict=True), start=1):
        table.add_row(str(rank), name, f"{answer.score:.3f}")
    rich.print(table, file=sys.stderr)


app = command("query", run, __doc__)

if __name__ == "__main__":
    app()
