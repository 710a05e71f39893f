"""Ask a trained space: a text for its best images, a picture for its best relationships."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import rich
from rich.table import Table

from cluster.parallel import parallel
from jobs.command import Outcome, command
from jobs.config import PipelineConfig, QueryConfig
from jobs.steps import finished
from mmkrl.data.dataset import Dataset
from mmkrl.data.digest import fingerprint
from mmkrl.data.lookup import pictures
from mmkrl.data.pictures import UnusablePicture
from mmkrl.errors import UsageError, UserError
from mmkrl.index.space import Answer, KnowledgeSpace
from mmkrl.storage import locate
from mmkrl.train.members import SPACE_FOLDER
from mmkrl.viz.gallery import Picture, Shelf, gallery


def run(config: PipelineConfig, force: bool) -> Outcome:  # noqa: ARG001 - a question is always asked
    """Answer the configured question."""
    query = config.query
    if (query.text is None) == (query.image is None):
        raise UsageError("give either query.text or query.image, such as --set query.text='a cat'")
    question, answers = parallel(
        answer, {"query": (finished(config, "train"), query)}, label="query"
    )["query"]
    _show(question, answers)
    names = [answer.name for answer in answers]
    found = pictures(finished(config, "ingest"), names) if query.text else {}
    page = _page(question, answers, found, query)
    name = f"{fingerprint(query.model_dump())[:12]}.html"
    location = locate(config.workspace) / "query" / name
    location.write_bytes(page.encode())
    return Outcome(
        output=str(location),
        rows_in=1,
        rows_out=1,
        metrics={"best_score": answers[0].score if answers else 0.0},
    )


def answer(trained: Dataset, query: QueryConfig) -> tuple[str, list[Answer]]:
    """Load the space on a worker and ask it."""
    with tempfile.TemporaryDirectory() as folder:
        for entry in trained.manifest.files:
            if entry.path.startswith(f"{SPACE_FOLDER}/"):
                name = entry.path.removeprefix(f"{SPACE_FOLDER}/")
                (Path(folder) / name).write_bytes(trained.read_bytes(entry))
        space = KnowledgeSpace.load(Path(folder))
    if query.text is not None:
        triple = space.link(query.text)
        answers = space.retrieve(space.embed_triples([triple]), query.count)[0]
        return f"{query.text}: understood as {' | '.join(triple)}", answers
    assert query.image is not None
    try:
        vector_1D = space.embed_images([locate(query.image).read_bytes()])
    except UnusablePicture as fault:
        raise UserError(f"query.image {query.image}: {fault}") from None
    return query.image, space.recognise(vector_1D, query.count)[0]


def _show(question: str, answers: list[Answer]) -> None:
    table = Table("", "answer", "cosine", title=question)
    for rank, answer in enumerate(answers, start=1):
        table.add_row(str(rank), answer.name, f"{answer.score:.3f}")
    rich.print(table, file=sys.stderr)


def _page(question: str, answers: list[Answer], found: dict[str, bytes], query: QueryConfig) -> str:
    cards = [Picture(found.get(a.name, b""), f"{a.name} ({a.score:.3f})") for a in answers]
    asked = (
        [Shelf("asked", [Picture(locate(query.image).read_bytes(), query.image)])]
        if query.image
        else []
    )
    return gallery("Query", question, [*asked, Shelf("found", cards)])


app = command("query", run, __doc__)

if __name__ == "__main__":
    app()
