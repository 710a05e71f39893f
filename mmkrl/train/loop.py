"""The one training loop. Every model goes through it, under every context."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import torch
from pydantic import Field
from torch import Tensor, nn

from mmkrl.config import Section
from mmkrl.data.digest import fingerprint
from mmkrl.errors import UserError
from mmkrl.train import checkpoint
from mmkrl.train.checkpoint import LoopState
from mmkrl.train.context import TrainContext, distributed, mean_over_processes
from mmkrl.train.learner import Batch, Learner, Measurement, Phase


class LoopConfig(Section):
    """How the loop optimises."""

    weight_decay: float = Field(default=0.01, ge=0)
    """AdamW's decoupled weight decay."""
    clip_norm: float = Field(default=5.0, gt=0)
    """Gradients are scaled down to this L2 norm at most."""
    warmup: float = Field(default=0.1, ge=0, lt=1)
    """Share of a phase's steps during which the learning rate rises from zero."""
    checkpoint_steps: int = Field(default=500, ge=1)
    """Steps between checkpoints within a phase; a kill loses at most so many."""
    log_steps: int = Field(default=10, ge=1)
    """Steps between logged losses."""


def fit(
    learner: Learner, config: LoopConfig, context: TrainContext, *, seed: int
) -> tuple[LoopState, dict[str, Tensor]]:
    """Train through all phases, resuming from the context's last checkpoint.

    Args:
        learner: Model, data and schedule.
        config: Optimisation settings.
        context: Where this runs.
        seed: Decides every batch and every mask.

    Returns:
        The final state and the weights with the best validation metric.

    Raises:
        UserError: a loss or gradient is not finite, a batch cannot be divided among the
            processes, or the checkpoint belongs to another schedule or configuration.
    """
    phases = learner.phases()
    total = sum(phase.steps for phase in phases)
    schedule = fingerprint([seed, *(asdict(phase) for phase in phases)])
    learner.module.to(context.device)
    source = context.resume_from()
    fresh = LoopState(schedule=schedule)
    state, best = checkpoint.load(source, learner.module, schedule) if source else (fresh, {})

    while state.phase < len(phases):
        phase = phases[state.phase]
        if state.step == 0:
            learner.begin(phase)
        with _only(learner.module, phase.branch):
            optimizer = _optimizer(learner.module, phase, config)
            if source and state.step:
                checkpoint.load_optimizer(source, optimizer)
            module = distributed(learner.module)

            while state.step < phase.steps:
                step_seed = int(fingerprint([seed, state.phase, state.step])[:12], 16)
                batch = shard(learner.batch(phase, state.step, step_seed), context)
                losses = module(phase.branch, batch)
                loss = torch.stack(list(losses.values())).sum()
                reduced = mean_over_processes(torch.stack([*losses.values(), loss]).detach())

                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                norm = nn.utils.clip_grad_norm_(_learning(learner.module), config.clip_norm)
                _require_finite(reduced, norm, phase, state.step)
                _set_rate(optimizer, phase, state.step, config.warmup)
                optimizer.step()
                state.step += 1
                state.global_step += 1

                if context.rank == 0 and state.step % config.log_steps == 0:
                    context.log(_measure(state, [*losses, "total"], reduced, phase, total))
                if state.step % config.checkpoint_steps == 0 and state.step < phase.steps:
                    _publish(context, learner.module, optimizer, state, best)

        metrics = learner.validate()
        name, value = next(iter(metrics.items()))
        if value > state.best_metric:
            state.best_metric, state.best_phase = value, phase.name
            best = checkpoint.copy_of(learner.module)
        state.history.append({"phase": phase.name, "step": state.global_step, **metrics})
        if context.rank == 0:
            values = [
                Measurement(state.global_step, f"validation_{k}", v) for k, v in metrics.items()
            ]
            context.log(values)
        state.phase, state.step, source = state.phase + 1, 0, None
        _publish(context, learner.module, None, state, best, {name: value})
    return state, best


def shard(batch: Batch, context: TrainContext) -> Batch:
    """This process's slice of a global batch, on its device.

    Raises:
        UserError: the rows cannot be divided evenly, so gradients would not average right.
    """
    total = len(next(iter(batch.rows.values())))
    if total % context.world_size:
        raise UserError(
            f"a batch of {total} rows cannot be divided among {context.world_size} workers; "
            "make train.batch_size a multiple of train.workers"
        )
    size = total // context.world_size
    start = context.rank * size
    device = context.device
    return replace(
        batch,
        rows={key: rows[start : start + size].to(device) for key, rows in batch.rows.items()},
        shared={key: rows.to(device) for key, rows in batch.shared.items()},
        start=start,
        total=total,
    )


@contextmanager
def _only(module: nn.Module, branch: str) -> Iterator[None]:
    """Within this, only one submodule learns; no gradient outlives it."""
    module.requires_grad_(False)
    module.get_submodule(branch).requires_grad_(True)
    module.train()
    try:
        yield
    finally:
        module.zero_grad(set_to_none=True)
        module.eval()


def _learning(module: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in module.parameters() if parameter.requires_grad]


def _optimizer(module: nn.Module, phase: Phase, config: LoopConfig) -> torch.optim.Optimizer:
    return torch.optim.AdamW(
        _learning(module), lr=phase.learning_rate, weight_decay=config.weight_decay, fused=True
    )


def _require_finite(reduced: Tensor, norm: Tensor, phase: Phase, step: int) -> None:
    """Stop before a step that would spoil the weights; both values are the same everywhere."""
    for name, values in (("loss", reduced), ("gradient", norm)):
        if not bool(values.isfinite().all()):
            raise UserError(
                f"the {name} is not finite in phase {phase.name!r} at step {step}: lower the "
                "learning rate or the margins, and look for non-finite features"
            )


def _set_rate(optimizer: torch.optim.Optimizer, phase: Phase, step: int, warmup: float) -> None:
    rising = max(1, round(warmup * phase.steps))
    share = min((step + 1) / rising, (phase.steps - step) / max(1, phase.steps - rising))
    for group in optimizer.param_groups:
        group["lr"] = phase.learning_rate * min(1.0, share)


def _measure(
    state: LoopState, names: list[str], reduced: Tensor, phase: Phase, total: int
) -> list[Measurement]:
    losses = [
        Measurement(state.global_step, f"loss_{phase.branch}_{name}", value)
        for name, value in zip(names, reduced.tolist(), strict=True)
    ]
    return [*losses, Measurement(state.global_step, "progress", state.global_step / total)]


def _publish(
    context: TrainContext,
    module: nn.Module,
    optimizer: torch.optim.Optimizer | None,
    state: LoopState,
    best: dict[str, Tensor],
    metrics: dict[str, float] | None = None,
) -> None:
    """Hand a checkpoint to the context; every process takes part."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) if context.rank == 0 else None
        if folder is not None:
            checkpoint.save(folder, module, optimizer, state, best)
        context.report({"global_step": state.global_step, **(metrics or {})}, folder)
