"""Trains models of triples as one of several processes: ``PROGRAM RANK WORLD FOLDER``.

Reads FOLDER/cases.json, writes what rank 0 logged and every rank's weights to FOLDER.
"""

from pathlib import Path

import torch

from mmkrl.models.triples.config import TripleConfig
from mmkrl.models.triples.learner import TripleLearner
from mmkrl.train.config import LoopConfig
from mmkrl.train.context import LocalContext
from mmkrl.train.loop import fit
from tests.support.graphs import row_graph, some_images
from tests.support.processes import take_part


def run(folder: Path, config: dict, loop: dict, rank: int) -> dict:
    """Train one case; unlike starts of the processes must not matter."""
    torch.manual_seed(rank)
    learner = TripleLearner(row_graph(), TripleConfig(**config), images=some_images(), seed=3)
    context = LocalContext(folder)
    state, best = fit(learner, LoopConfig(**loop), context, seed=3)
    return {
        "measurements": [(m.step, m.name, m.value) for m in context.measurements],
        "weights": learner.module.state_dict(),
        "best": best,
        "history": state.history,
    }


if __name__ == "__main__":
    take_part(run)
