"""Read a knowledge graph, check it, and link its entities to the images of the corpus."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

from jobs.command import Outcome, command
from jobs.config import PipelineConfig

if TYPE_CHECKING:
    from jobs.recorded import Work
    from jobs.steps import Step
    from mmkrl.tracking.runs import Run

logger = logging.getLogger(__name__)


def run(config: PipelineConfig, force: bool) -> Outcome:
    """Read the configured graph."""
    from jobs.recorded import Work, recorded
    from mmkrl.data.graphs.build import build_graph

    def work(step: Step, tracked: Run) -> Work:  # noqa: ARG001 - every job has these two
        assert config.graph is not None  # the step asks for it
        built = build_graph(step.location, config.graph, step.inputs)
        for remark in built.remarks:
            logger.warning("%s", remark)
        _show(built.metrics)
        return Work([built.unit], [], built.notes, built.metrics)

    return recorded(config, "graph", work, force=force)


def _show(metrics: dict[str, float]) -> None:
    import rich
    from rich.table import Table

    table = Table("", "", title="knowledge graph")
    for name, value in metrics.items():
        table.add_row(
            name.replace("_", " "), f"{value:,.0f}" if value.is_integer() else f"{value:.3f}"
        )
    rich.print(table, file=sys.stderr)


app = command("graph", run, __doc__)

if __name__ == "__main__":
    app()
