"""A trained member becomes a space: kept in its dataset and logged to MLflow."""

from __future__ import annotations

import tempfile
from pathlib import Path

from mmkrl.data.dataset import write_file
from mmkrl.data.knowledge import load_knowledge
from mmkrl.data.manifest import FileEntry
from mmkrl.data.words import load_words
from mmkrl.features.config import ExtractConfig
from mmkrl.index.build import build_space
from mmkrl.serving.log import log_space
from mmkrl.storage import Location
from mmkrl.tracking import Run as TrackedRun
from mmkrl.train.members import SPACE_FOLDER, load_weights, member_name, restore
from mmkrl.train.run import Run


def publish_space(
    location: Location, run: Run, extract: ExtractConfig, tracked: TrackedRun
) -> list[FileEntry]:
    """Build the space of a finished training run, write it and log it.

    Args:
        location: The dataset of the job ``train``.
        run: The run whose best weights it holds.
        extract: How its features were made.
        tracked: The MLflow run that gets the model.

    Returns:
        The files written.
    """
    words = load_words(run.config.words)
    features = run.config.features
    knowledge = load_knowledge(run.mined, run.extracted, words, run.cache, features)
    weights = load_weights(location, member_name(run.variant, run.seed))
    learner = restore(weights, run.config, knowledge, run.variant)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / SPACE_FOLDER
        build_space(learner, knowledge, words, extract.only(features)).save(folder)
        digests = {"mined": run.mined.digest, "extracted": run.extracted.digest}
        log_space(folder, tracked.id, digests)
        return [
            write_file(location, f"{SPACE_FOLDER}/{file.name}", file.read_bytes())
            for file in sorted(folder.iterdir())
        ]
