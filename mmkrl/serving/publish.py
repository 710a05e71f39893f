"""The space of a trained model, kept in its dataset and logged to MLflow."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from mmkrl.data.dataset import write_file
from mmkrl.data.manifest import FileEntry
from mmkrl.io.storage import Location
from mmkrl.models.training import SPACE_FOLDER
from mmkrl.serving.log import log_model
from mmkrl.spaces.space import Space
from mmkrl.tracking.runs import Run


def publish_space(
    location: Location, space: Space, tracked: Run, digests: Mapping[str, str]
) -> list[FileEntry]:
    """Write a space and log it.

    Args:
        location: The dataset of the training.
        space: Of its first model.
        tracked: The MLflow run that gets the model.
        digests: Of the data it was trained on.

    Returns:
        The files written.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / SPACE_FOLDER
        space.save(folder)
        tracked.online(lambda: log_model(folder, tracked.id, dict(digests)), "the model")
        return [
            write_file(location, f"{SPACE_FOLDER}/{file.name}", file.read_bytes())
            for file in sorted(folder.iterdir())
        ]
