"""Where it runs: every use of Ray in the project is in this package.

Ray reads some of its settings once, when it is imported, so importing this package is what sets
them; a value that is already in the environment stays. Token authentication is always on: an
embedded Ray listens on the network too. Where no token is configured, one is made for this process
and the Ray it starts.
"""

import os
import secrets
from pathlib import Path

_SETTINGS = {
    "RAY_AIR_NEW_OUTPUT": "0",  # it writes to stdout, where a job has its result line
    "RAY_AUTH_MODE": "token",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # MLflow has what they would write
    "TUNE_GLOBAL_CHECKPOINT_S": "1",  # a kill costs what Tune did since its last state
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_worker_maximum_startup_concurrency": "8",  # else Ray warns of many small workers
}


def _configure() -> None:
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    has_token = (
        "RAY_AUTH_TOKEN_PATH" in os.environ or Path("~/.ray/auth_token").expanduser().exists()
    )
    if not has_token:
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


_configure()
