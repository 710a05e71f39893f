"""One model with one seed, from its inputs to its last checkpoint, and back from its weights."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load as load_safetensors

from mmkrl.data.dataset import Dataset, write_file
from mmkrl.data.manifest import FileEntry
from mmkrl.errors import UserError
from mmkrl.io.storage import Location
from mmkrl.models.config import ModelConfig
from mmkrl.models.family import Family, Sources, family_of
from mmkrl.spaces.space import Space, load_space
from mmkrl.train import checkpoint
from mmkrl.train.context import TrainContext
from mmkrl.train.learner import Learner
from mmkrl.train.loop import fit

SPACE_FOLDER = "space"  # the served model, ready to be asked


@dataclass(frozen=True)
class Member:
    """A model with a seed: one training run; it pickles.

    Attributes:
        sources: What it learns from, and the settings of all models.
        model: Name of the model.
        seed: Decides initial weights, batches and noise.
    """

    sources: Sources
    model: str
    seed: int

    @property
    def name(self) -> str:
        """What it is called in files and runs."""
        return member_name(self.model, self.seed)

    @property
    def config(self) -> ModelConfig:
        """The model's section of the configuration."""
        return self.sources.config.models[self.model]

    @property
    def family(self) -> Family[Any, Any]:
        """The family of the model."""
        return family_of(self.config.family)

    def learner(self, data: Any) -> Learner:
        """The model before training, with its data.

        Args:
            data: What the family loads from the sources.
        """
        return self.family.learner(self.config, data, self.seed)


def member_name(model: str, seed: int) -> str:
    """What a model with a seed is called in files and runs."""
    return f"{model}-{seed}"


def train(member: Member, context: TrainContext) -> None:
    """Train, or go on from the context's last checkpoint: what every worker of a run does."""
    learner = member.learner(member.family.load(member.sources))
    fit(learner, member.sources.config.loop, context, seed=member.seed)


def restore(member: Member, location: Location, data: Any) -> Learner:
    """A trained model with its best weights, ready to embed and score.

    Args:
        member: Which.
        location: The dataset of the training; it may not be published yet.
        data: What the family loads from the member's sources.

    Raises:
        UserError: it was not trained there, or its weights do not fit the data.
    """
    weights = location / _weights_path(member.name)
    if not weights.is_file():
        raise UserError(f"{location} holds no trained model {member.name!r}")
    learner = member.learner(data)
    learner.module.load_state_dict(load_safetensors(weights.read_bytes()))
    learner.module.eval()
    return learner


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


def trained_space(sources: Sources, location: Location, data: Any) -> Space:
    """The space of the model that is served, the first with the first seed.

    Args:
        sources: What the models learned from.
        location: The dataset of the training.
        data: What the family of the first model loads from the sources.
    """
    member = Member(sources, *sources.config.served)
    learner = restore(member, location, data)
    return member.family.space(member.config, learner, sources, data)


def families_files(sources: Sources, location: Location) -> list[FileEntry]:
    """Write what each family keeps beside its trained models."""
    files = []
    for name, models in sources.config.families.items():
        for path, content in family_of(name).files(models, sources).items():
            files.append(write_file(location, path, content))
    return files


def open_space(trained: Dataset) -> Space:
    """The space that a training kept.

    Raises:
        UserError: it kept none.
    """
    with tempfile.TemporaryDirectory() as folder:
        unpack_space(trained, Path(folder))
        return load_space(Path(folder))


def unpack_space(trained: Dataset, folder: Path) -> None:
    """Copy the files of the space that a training kept.

    Raises:
        UserError: it kept none.
    """
    kept = [entry for entry in trained.manifest.files if entry.path.startswith(f"{SPACE_FOLDER}/")]
    if not kept:
        raise UserError(
            f"{trained.location} holds no space that can be asked: train anew (--force)"
        )
    for entry in kept:
        (folder / Path(entry.path).name).write_bytes(trained.read_bytes(entry))


def _weights_path(name: str) -> str:
    return f"models/{name}/weights.safetensors"
