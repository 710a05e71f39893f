"""A trained member becomes a space: kept in its dataset and logged to MLflow."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from mmkrl.data.dataset import Dataset, write_file
from mmkrl.data.manifest import FileEntry
from mmkrl.data.views.knowledge import load_knowledge
from mmkrl.data.views.words import load_words
from mmkrl.encoders.config import ExtractConfig
from mmkrl.io.storage import Location
from mmkrl.models.bcdnn.run import Run
from mmkrl.models.triples.run import TripleRun
from mmkrl.models.weights import SPACE_FOLDER, load_weights, member_name, restore
from mmkrl.serving.log import log_model
from mmkrl.spaces.build import build_space
from mmkrl.spaces.triple_space import TripleSpace
from mmkrl.tracking.runs import Run as TrackedRun


def publish_space(
    location: Location, run: Run, extract: ExtractConfig, tracked: TrackedRun
) -> list[FileEntry]:
    """Build the space of a finished training run, write it and log it.

    Args:
        location: The dataset of a training.
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
    space = build_space(learner, knowledge, words, extract.only(features))
    data = {"mined": run.mined, "extracted": run.extracted}
    return _publish(location, space.save, tracked, data)


def publish_triples(
    location: Location, run: TripleRun, name: str, tracked: TrackedRun
) -> list[FileEntry]:
    """Build the space of a trained model of triples, write it and log it.

    Args:
        location: The dataset of a training.
        run: The run whose best weights it holds.
        name: What the model is called there.
        tracked: The MLflow run that gets the model.

    Returns:
        The files written.
    """
    graph = run.data.load()
    learner = run.learner(graph)
    learner.module.load_state_dict(load_weights(location, member_name(name, run.seed)))
    data = {"graph": run.data.graph}
    if run.config.pictured and run.data.extracted:
        data["extracted"] = run.data.extracted
    return _publish(location, TripleSpace.of(learner.module, graph).save, tracked, data)


def _publish(
    location: Location,
    save: Callable[[Path], None],
    tracked: TrackedRun,
    data: dict[str, Dataset],
) -> list[FileEntry]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / SPACE_FOLDER
        save(folder)
        digests = {key: dataset.digest for key, dataset in data.items()}
        tracked.online(lambda: log_model(folder, tracked.id, digests), "the model")
        return [
            write_file(location, f"{SPACE_FOLDER}/{file.name}", file.read_bytes())
            for file in sorted(folder.iterdir())
        ]
