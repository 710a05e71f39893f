"""What ``jobs.extract --dry-run`` does: measure a few pictures and say what all of them take."""

from __future__ import annotations

import sys
from dataclasses import asdict

import rich
from rich.table import Table

from cluster.decoding import plan_units
from cluster.extraction import workers
from cluster.sampling import sample_extraction
from cluster.session import gpus
from jobs.command import Outcome
from jobs.config import PipelineConfig
from jobs.steps import step
from mmkrl.encoders.estimate import Estimate, estimate

_WORKERS = (1, 2, 4, 8, 16, 32, 64)


def estimate_extraction(config: PipelineConfig, force: bool, *, hourly_price: float) -> Outcome:  # noqa: ARG001 - every job takes force
    """Sample the corpus on one worker, and show the estimates."""
    corpus = step(config, "extract").inputs["ingest"]
    images = corpus.rows("images")
    sample = sample_extraction(plan_units(corpus, config.extract.unit_rows), config.extract)
    here = workers(config.cluster.extraction)
    gpu = gpus() > 0
    counts = sorted({*_WORKERS, here})
    found = estimate(sample, images, counts, gpu=gpu, hourly_price=hourly_price)
    _show(found, f"{images} images, measured on {sample.images}", "GPUs" if gpu else "cores")
    figures = {f"sample_{name}": float(value) for name, value in asdict(sample).items()}
    chosen = next(line for line in found if line.workers == here)
    figures |= {name: float(value) for name, value in asdict(chosen).items()}
    return Outcome(output="", rows_in=images, metrics=figures, status="dry_run")


def _show(found: list[Estimate], title: str, kind: str) -> None:
    table = Table(kind, "decoding cores", "hours", "cost", "features, MB", title=title)
    for line in found:
        table.add_row(
            str(line.workers),
            str(line.decode_cores),
            f"{line.hours:.2f}",
            f"{line.cost:.2f}",
            f"{line.output_mb:.1f}",
        )
    rich.print(table, file=sys.stderr)
