"""The one training loop. Every model goes through it, under every context."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mmkrl.data.digest import fingerprint
from mmkrl.errors import UserError
from mmkrl.train import checkpoint
from mmkrl.train.checkpoint import LoopState
from mmkrl.train.config import LoopConfig
from mmkrl.train.context import TrainContext
from mmkrl.train.distributed import (
    average_gradients,
    distributed,
    from_first_process,
    mean_over_processes,
)
from mmkrl.train.learner import Batch, Learner, Measurement, Phase
from mmkrl.train.optimizers import clip_gradients, make_optimizer, trainable_parameters


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
    schedule = fingerprint([seed, *(asdict(phase) for phase in phases)])
    learner.module.to(context.device)
    source = context.resume_from()
    fresh = LoopState(schedule=schedule)
    state, best = checkpoint.load(source, learner.module, schedule) if source else (fresh, {})
    state.schedule = schedule  # a checkpoint released by population-based training names none

    while state.phase < len(phases):
        phase = phases[state.phase]
        # What a phase is taught is computed when it begins, with the weights of that moment, and
        # lies in the module's buffers: a run that resumes within the phase has it already.
        if state.step == 0:
            learner.begin(phase)
        with _freeze_other_branches(learner.module, phase):
            optimizer = make_optimizer(learner.module, phase, config.weight_decay)
            if source and state.step:
                checkpoint.load_optimizer(source, optimizer)
            module = distributed(learner.module)

            while state.step < phase.steps and not _on_plateau(state, phase):
                # Batches and masks depend on seed, phase and step alone: the same after a kill, and
                # on any number of processes.
                step_seed = int(fingerprint([seed, state.phase, state.step])[:12], 16)
                batch = shard(learner.batch(phase, state.step, step_seed), context)
                losses = module(phase.branch, batch)
                loss = torch.stack(list(losses.values())).sum()
                reduced = mean_over_processes(torch.stack([*losses.values(), loss]).detach())

                loss.backward()
                average_gradients(module)
                norm = clip_gradients(trainable_parameters(learner.module), config.clip_norm)
                # Before the step: a NaN that reached the weights or the optimiser's moments would
                # be in every later checkpoint. Both values are reduced, so all processes stop at
                # once; one that stopped alone would leave the others waiting for its gradients.
                _require_finite(reduced, norm, phase, state.step)
                _set_learning_rate(optimizer, phase, state.step, config.warmup)
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
                state.step += 1
                state.global_step += 1

                if context.rank == 0 and state.step % config.log_steps_of(phase.steps) == 0:
                    context.log(_measure(state, [*losses, "total"], reduced, phases))
                every = phase.validate_steps or config.validate_steps
                validated = every is not None and state.step % every == 0
                if validated:
                    best = _validate(learner, context, phase, state, best)
                if state.step < phase.steps and (
                    validated or state.step % config.checkpoint_steps == 0
                ):
                    _publish(context, learner, optimizer, state, best)

        # A phase that ended between two validations: its last weights may be the best ones.
        if not state.history or state.history[-1]["step"] != state.global_step:
            best = _validate(learner, context, phase, state, best)
        # Published at step 0 of the next phase, which makes an optimiser of its own for its own
        # parameters: there is no optimiser state to keep.
        state.phase, state.step, source = state.phase + 1, 0, None
        _publish(context, learner, None, state, best)
    return state, best


def shard(batch: Batch, context: TrainContext) -> Batch:
    """This process's rows of a global batch, on its device.

    Raises:
        UserError: the rows cannot be divided evenly, so gradients would not average right.
    """
    total = len(next(iter(batch.rows.values())))
    if total % context.world_size:
        raise UserError(
            f"a batch of {total} rows cannot be divided among {context.world_size} workers; "
            "make train.batch_size a multiple of that"
        )
    size = total // context.world_size
    start = context.rank * size
    own, device = slice(start, start + size), context.device
    rows = {key: rows[own] for key, rows in batch.rows.items()}
    rows |= {key: make(own) for key, make in batch.made.items()}
    return replace(
        batch,
        rows={key: own_rows.to(device) for key, own_rows in rows.items()},
        shared={key: rows.to(device) for key, rows in batch.shared.items()},
        start=start,
        total=total,
        made={},
    )


def _validate(
    learner: Learner,
    context: TrainContext,
    phase: Phase,
    state: LoopState,
    best: dict[str, Tensor],
) -> dict[str, Tensor]:
    """Note the metrics on validation data; the best weights so far, which may be these."""
    training = learner.module.training
    names, values = zip(*learner.validate().items(), strict=True)
    learner.module.train(training)
    # Every process validates the same weights, yet the last digits may differ between machines.
    # Whether this is the best, and whether the phase ends early, must be one decision, or the
    # processes would take different numbers of steps and wait for each other: rank 0's count.
    agreed = from_first_process(torch.tensor(values, dtype=torch.float64, device=context.device))
    metrics = dict(zip(names, agreed.tolist(), strict=True))
    value = metrics[names[0]]
    if value > state.best_metric:
        state.best_metric, state.best_phase = value, phase.name
        best = checkpoint.copy_of(learner.module)
    state.history.append({"phase": phase.name, "step": state.global_step, **metrics})
    if context.rank == 0:
        context.log(
            [Measurement(state.global_step, f"validation_{k}", v) for k, v in metrics.items()]
        )
    return best


def _on_plateau(state: LoopState, phase: Phase) -> bool:
    """Whether the phase's last validations, as many as its patience, brought nothing better."""
    if phase.patience is None:
        return False
    values = [_first_metric(entry)[1] for entry in state.history if entry["phase"] == phase.name]
    return bool(values) and len(values) - 1 - values.index(max(values)) >= phase.patience


def _first_metric(entry: dict[str, Any]) -> tuple[str, float]:
    """Name and value of the metric that is maximised, in an entry of the history."""
    return next((k, v) for k, v in entry.items() if k not in ("phase", "step"))


@contextmanager
def _freeze_other_branches(module: nn.Module, phase: Phase) -> Iterator[None]:
    """Within this context, only the phase's branch is trainable; no gradient outlives it."""
    module.requires_grad_(False)
    module.get_submodule(phase.branch).requires_grad_(True)
    for part, share in phase.learning_rate_scales.items():
        if not share:
            module.get_submodule(part).requires_grad_(False)
    module.train()
    try:
        yield
    finally:
        module.zero_grad(set_to_none=True)
        module.eval()


def _require_finite(reduced: Tensor, norm: Tensor, phase: Phase, step: int) -> None:
    """Stop before a step that would spoil the weights; both values are the same everywhere."""
    for name, values in (("loss", reduced), ("gradient", norm)):
        if not bool(values.isfinite().all()):
            raise UserError(
                f"the {name} is not finite in phase {phase.name!r} at step {step}: lower the "
                "learning rate or the margins, and look for non-finite features"
            )


def _set_learning_rate(
    optimizer: torch.optim.Optimizer, phase: Phase, step: int, warmup: float
) -> None:
    """Linear warm-up to the phase's rate, then linear decay to its final share."""
    warmup = warmup if phase.warmup is None else phase.warmup
    rising = max(1, round(warmup * phase.steps))
    falling = (phase.steps - step) / max(1, phase.steps - rising)
    share = min((step + 1) / rising, phase.final + (1 - phase.final) * falling)
    for group in optimizer.param_groups:
        group["lr"] = group.get("share", 1.0) * phase.learning_rate * min(1.0, share)


def _measure(
    state: LoopState, names: list[str], reduced: Tensor, phases: list[Phase]
) -> list[Measurement]:
    phase = phases[state.phase]
    losses = [
        Measurement(state.global_step, f"loss_{phase.branch or phase.name}_{name}", value)
        for name, value in zip(names, reduced.tolist(), strict=True)
    ]
    return [*losses, Measurement(state.global_step, "progress", _progress(state, phases))]


def _progress(state: LoopState, phases: list[Phase]) -> float:
    """Share of the schedule that is done."""
    done = sum(earlier.steps for earlier in phases[: state.phase]) + state.step
    return done / sum(phase.steps for phase in phases)


def _publish(
    context: TrainContext,
    learner: Learner,
    optimizer: torch.optim.Optimizer | None,
    state: LoopState,
    best: dict[str, Tensor],
) -> None:
    """Hand a checkpoint to the context: how far it is, and what was measured, now and at best."""
    fresh = bool(state.history) and state.history[-1]["step"] == state.global_step
    metrics = dict([_first_metric(state.history[-1])]) if fresh else {}
    metrics["progress"] = _progress(state, learner.phases())
    if state.history:
        metrics["best"] = state.best_metric
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) if context.rank == 0 else None
        if folder is not None:
            checkpoint.save(folder, learner.module, optimizer, state, best)
        context.report({"global_step": state.global_step, **metrics}, folder)
