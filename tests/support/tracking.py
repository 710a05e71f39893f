"""An MLflow store of a test's own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from mmkrl.tracking.config import TrackingConfig


@contextlib.contextmanager
def local_store(folder: Path) -> Iterator[TrackingConfig]:
    """A SQLite store in a folder, with the artifacts beside it; MLflow speaks to it meanwhile."""
    import mlflow

    config = TrackingConfig(uri=f"sqlite:///{folder / 'store.db'}", experiment="tests")
    mlflow.set_tracking_uri(config.uri)
    mlflow.create_experiment("tests", artifact_location=(folder / "artifacts").as_uri())
    yield config
    mlflow.set_tracking_uri(None)
