"""Checkpoints: everything a run needs to go on as if it had never stopped."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from mmkrl.errors import UserError

FORMAT_VERSION = 1
STATE, BEST = "state.json", "best.safetensors"
_MODEL, _OPTIMIZER = "model.safetensors", "optimizer.pt"


@dataclass
class LoopState:
    """Where the loop stands.

    Attributes:
        phase: Index of the current phase.
        step: Steps done within it; 0 means it has not begun.
        global_step: Steps done over all phases.
        best_metric: Best validation value so far.
        best_phase: Name of the phase that reached it.
        history: One entry a validation.
        schedule: Fingerprint of the phases and the seed.
    """

    phase: int = 0
    step: int = 0
    global_step: int = 0
    best_metric: float = float("-inf")
    best_phase: str = ""
    history: list[dict[str, Any]] = field(default_factory=list)
    schedule: str = ""


def save(
    folder: Path,
    module: nn.Module,
    optimizer: torch.optim.Optimizer | None,
    state: LoopState,
    best: dict[str, torch.Tensor],
) -> None:
    """Write a checkpoint into an existing folder; the state file comes last."""
    save_file(_contiguous(module.state_dict()), folder / _MODEL)
    save_file(_contiguous(best), folder / BEST)
    if optimizer is not None:
        torch.save(optimizer.state_dict(), folder / _OPTIMIZER)
    text = json.dumps({"format_version": FORMAT_VERSION, **asdict(state)})
    # Last, and renamed into its name: a folder that has it is whole.
    temporary = folder / f".tmp-{STATE}"
    temporary.write_text(text)
    os.replace(temporary, folder / STATE)


def load(
    folder: Path, module: nn.Module, schedule: str
) -> tuple[LoopState, dict[str, torch.Tensor]]:
    """Put a checkpoint's weights into a module.

    Args:
        folder: Written by :func:`save`.
        module: Takes the weights.
        schedule: Fingerprint of the phases and the seed of the run that goes on.

    Returns:
        The loop state and the best weights so far (empty before the first validation).

    Raises:
        UserError: another format, another schedule or seed, or weights of another shape (another
            configuration).
    """
    raw = json.loads((folder / STATE).read_text())
    version = raw.pop("format_version", None)
    if version != FORMAT_VERSION:
        raise UserError(
            f"{folder}: checkpoint format {version}, this code reads {FORMAT_VERSION}; go on with "
            "the code that wrote it, or train into another folder"
        )
    state = LoopState(**raw)
    if state.schedule not in ("", schedule):
        raise UserError(
            f"{folder}: this checkpoint belongs to another schedule or seed; restore them, or "
            "train into another folder"
        )
    try:
        module.load_state_dict(load_file(folder / _MODEL))
    except RuntimeError as error:
        raise UserError(
            f"{folder}: these weights belong to another configuration; restore it, or train into "
            "another folder"
        ) from error
    return state, load_file(folder / BEST)


def release(folder: Path) -> None:
    """Let a checkpoint go on under another schedule of the same phases and steps.

    Population-based training changes learning rates and the like on the way.
    """
    state = json.loads((folder / STATE).read_text())
    (folder / STATE).write_text(json.dumps(state | {"schedule": ""}))


def load_optimizer(folder: Path, optimizer: torch.optim.Optimizer) -> None:
    """Put a checkpoint's optimiser state into a new optimiser; between phases there is none."""
    path = folder / _OPTIMIZER
    if path.is_file():
        optimizer.load_state_dict(torch.load(path, weights_only=True))


def copy_of(module: nn.Module) -> dict[str, torch.Tensor]:
    """A copy of a module's weights on the CPU."""
    return {name: value.detach().cpu().clone() for name, value in module.state_dict().items()}


def _contiguous(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    # Clones, since safetensors refuses tensors that share memory.
    return {name: value.detach().cpu().contiguous().clone() for name, value in state.items()}
