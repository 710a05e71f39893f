"""Trains dual encoders as one of several processes: ``PROGRAM RANK WORLD FOLDER``.

Reads FOLDER/cases.json, writes losses, gradients and weights of every rank to FOLDER.
"""

import os
from pathlib import Path

import torch

from mmkrl.models.captions.config import CaptionConfig
from mmkrl.models.captions.learner import CaptionLearner
from mmkrl.models.captions.learners import caption_learner
from mmkrl.train.config import LoopConfig
from mmkrl.train.context import LocalContext
from mmkrl.train.distributed import distributed, mean_over_processes
from mmkrl.train.loop import fit, shard
from tests.support.captions import things
from tests.support.pictures import photo_data
from tests.support.processes import take_part


def run(folder: Path, config: dict, loop: dict, rank: int) -> dict:
    """Losses and gradients of the first batch, then a training; unlike starts must not matter."""
    torch.manual_seed(rank)
    learner = _learner(folder, CaptionConfig.model_validate(config))
    context = LocalContext(folder)
    first = _gradients(learner, context)
    state, best = fit(learner, LoopConfig(**loop), context, seed=3)
    return first | {
        "measurements": [(m.step, m.name, m.value) for m in context.measurements],
        "weights": learner.module.state_dict(),
        "best": best,
        "history": state.history,
    }


def _learner(folder: Path, config: CaptionConfig) -> CaptionLearner:
    if config.fine_tune is None:
        return caption_learner(things(), config, seed=3)
    data = photo_data(folder / f"photos-{os.getpid()}")
    pictures = data.pictures(config.fine_tune)
    return caption_learner(data.captions, config, pictures=pictures, seed=3)


def _gradients(learner: CaptionLearner, context: LocalContext) -> dict:
    module = distributed(learner.module.train())
    losses = module("", shard(learner.batch(learner.phases()[-1], 0, 5), context))
    total = torch.stack(list(losses.values())).sum()
    total.backward()
    gradients = {name: p.grad.clone() for name, p in learner.module.named_parameters()}
    learner.module.zero_grad(set_to_none=True)
    loss = mean_over_processes(total.detach().clone())
    return {"loss": float(loss), "gradients": gradients}


if __name__ == "__main__":
    take_part(run)
