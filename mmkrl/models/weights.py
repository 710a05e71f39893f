"""Trained models in the dataset that training publishes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch
from safetensors.torch import load as load_safetensors

from mmkrl.data.dataset import Dataset, write_file
from mmkrl.data.manifest import FileEntry
from mmkrl.data.views.knowledge import Knowledge
from mmkrl.io.storage import Location
from mmkrl.models.bcdnn.learner import BCDNNLearner
from mmkrl.models.config import TrainConfig
from mmkrl.train import checkpoint

SPACE_FOLDER = "space"  # the served model, ready to be asked


def member_name(variant: str, seed: int) -> str:
    """What a (variant, seed) is called in files and runs."""
    return f"{variant}-{seed}"


def collect(
    location: Location, checkpoints: Mapping[str, Location]
) -> tuple[list[FileEntry], dict[str, dict[str, Any]]]:
    """Copy each member's best weights and validation history into the dataset.

    Args:
        location: The dataset's folder.
        checkpoints: Last checkpoint by member name.

    Returns:
        The files written, and what to note of each member.
    """
    files: list[FileEntry] = []
    notes: dict[str, dict[str, Any]] = {}
    for name, source in checkpoints.items():
        state = json.loads((source / checkpoint.STATE).read_text())
        history = json.dumps(state["history"], indent=1).encode()
        weights = (source / checkpoint.BEST).read_bytes()
        files.append(write_file(location, _weights_path(name), weights))
        files.append(write_file(location, f"models/{name}/history.json", history))
        notes[name] = {key: state[key] for key in ("best_metric", "best_phase", "global_step")}
    return files, notes


def load_member(
    trained: Dataset, config: TrainConfig, knowledge: Knowledge, variant: str, seed: int
) -> BCDNNLearner:
    """A trained (variant, seed) over some knowledge, ready to embed.

    Args:
        trained: Output of training.
        config: The section it was trained with.
        knowledge: The knowledge it was trained on.
        variant: Which variant.
        seed: Which seed.

    Raises:
        UserError: there is no such member.
    """
    trained.file(_weights_path(member_name(variant, seed)))  # says so if there is none
    weights = load_weights(trained.location, member_name(variant, seed))
    return restore(weights, config, knowledge, variant)


def load_weights(location: Location, name: str) -> dict[str, torch.Tensor]:
    """A member's weights, from a dataset that may not be published yet."""
    weights: dict[str, torch.Tensor] = load_safetensors(
        (location / _weights_path(name)).read_bytes()
    )
    return weights


def restore(
    weights: dict[str, torch.Tensor], config: TrainConfig, knowledge: Knowledge, variant: str
) -> BCDNNLearner:
    """A learner with given weights, ready to embed."""
    learner = BCDNNLearner(knowledge, config.bcdnn, variant=variant, batch_size=config.batch_size)
    learner.module.load_state_dict(weights)
    learner.module.eval()
    return learner


def _weights_path(name: str) -> str:
    return f"models/{name}/weights.safetensors"
