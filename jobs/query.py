"""Ask a trained space: for images of a text, what a picture shows, what completes a triple."""

from __future__ import annotations

from jobs.command import Outcome, command
from jobs.config import PipelineConfig


def run(config: PipelineConfig, force: bool) -> Outcome:  # noqa: ARG001 - a question is always asked
    """Answer the configured question."""
    from cluster.parallel import parallel
    from jobs._query import ask, asked, shelves, show
    from jobs.steps import finished
    from mmkrl.data.digest import fingerprint
    from mmkrl.io.storage import locate
    from mmkrl.spaces.space import QueryOptions
    from mmkrl.viz.gallery import gallery

    task, question = asked(config.query)
    trained = finished(config, "train")
    call = (trained, task, question, QueryOptions(count=config.query.count))
    reply = parallel(ask, {"query": call}, label="query")["query"]
    found = shelves(config, task, question, reply)
    show(reply, [card.caption for card in found[-1].pictures])
    name = f"{fingerprint([trained.digest, config.query.model_dump()])[:12]}.html"
    location = locate(config.workspace) / "query" / name
    location.write_bytes(gallery("Query", "Best answers first.", found).encode())
    metrics = {"best_score": reply.answers[0].score} if reply.answers else {}
    return Outcome(output=str(location), rows_in=1, rows_out=1, metrics=metrics)


app = command("query", run, __doc__)

if __name__ == "__main__":
    app()
