"""Trains models of triples as one of several processes: ``PROGRAM RANK WORLD FOLDER``.

Reads FOLDER/cases.json, writes what rank 0 logged and every rank's weights to FOLDER.
"""

import json
import sys
from pathlib import Path

import torch
import torch.distributed as dist

from mmkrl.models.triple_config import TripleConfig
from mmkrl.models.triple_learner import TripleLearner
from mmkrl.train.context import LocalContext
from mmkrl.train.loop import LoopConfig, fit
from tests.support.graphs import row_graph, some_images


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


def main(rank: int, world_size: int, folder: Path) -> None:
    torch.set_num_threads(1)
    given = json.loads((folder / "cases.json").read_text())
    store = dist.FileStore(str(folder / "store"), world_size)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=world_size)
    for name, config in given["cases"].items():
        result = run(folder / name, config, given["loop"], rank)
        torch.save(result, folder / f"{name}-{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
