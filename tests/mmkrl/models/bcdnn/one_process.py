"""Runs cases of training as one of several processes: ``one_process.py RANK WORLD_SIZE FOLDER``.

Reads FOLDER/cases.pt, writes what rank 0 logged and every rank's weights to FOLDER.
"""

import sys
from pathlib import Path

import torch
import torch.distributed as dist

from mmkrl.models.bcdnn.learner import BCDNNLearner
from mmkrl.train.context import LocalContext
from mmkrl.train.loop import fit


def main(rank: int, world_size: int, folder: Path) -> None:
    torch.set_num_threads(1)
    # Written by the test that started this, a moment ago.
    given = torch.load(folder / "cases.pt", weights_only=False)
    store = dist.FileStore(str(folder / "store"), world_size)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=world_size)
    for name, config in given["cases"].items():
        torch.manual_seed(given["seed"] + rank)  # unlike starts must not matter
        learner = BCDNNLearner(given["knowledge"], config)
        context = LocalContext(folder / name)
        state, best = fit(learner, given["loop"], context, seed=given["seed"])
        result = {
            "measurements": [(m.step, m.name, m.value) for m in context.measurements],
            "weights": learner.module.state_dict(),
            "best": best,
            "history": state.history,
        }
        torch.save(result, folder / f"{name}-{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
