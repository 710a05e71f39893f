"""Where runs are recorded."""

from __future__ import annotations

from mmkrl.config import Section


class TrackingConfig(Section):
    """Where runs are recorded."""

    uri: str = "sqlite:///mlflow.db"
    """MLflow tracking server, or a local SQLite store."""
    experiment: str = "mmkrl"
    """Name of the MLflow experiment; made if it does not exist."""
    spool: str = "mlflow-spool"
    """Local folder for records while the tracking server is away; the next run delivers them."""
