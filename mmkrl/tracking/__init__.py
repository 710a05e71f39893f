"""MLflow runs: one per job, written from one place, found again after a restart."""
