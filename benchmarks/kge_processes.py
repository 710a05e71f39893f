"""Training TransE on FB15k-237 by one and by two processes: triples a second, and what they send.

``python -m benchmarks.kge_processes [--quick]`` needs MMKRL_DATA. Two processes of one thread share
each batch of 8,192 and average their sparse gradients (``mmkrl.train.context``); the figure beside
it is one process that does the whole batch. The limit is twice that: nothing exchanged. The second
line is the share of the time that goes to the exchange of gradients. With tables divided among two
processes instead, each would fetch half of its rows and send back their gradients: as many bytes.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
import torch.distributed as dist

from benchmarks import fb15k237
from benchmarks.kge_train_loops import BATCH, MARGIN, WIDTH, learner
from benchmarks.line import Line

_EPOCHS, _WORLD = 4, 2


def member(rank: int, world: int, folder: Path) -> None:
    """One process of a run; the first prints seconds of a run, and of the exchange in it."""
    from mmkrl.models.triples.config import TripleConfig
    from mmkrl.train import loop
    from mmkrl.train.context import LocalContext
    from mmkrl.train.distributed import average_gradients

    spent = [0.0]

    def timed(module: torch.nn.Module) -> None:
        began = time.perf_counter()
        average_gradients(module)
        spent[0] += time.perf_counter() - began

    torch.set_num_threads(1)
    loop.average_gradients = timed
    if world > 1:
        store = dist.FileStore(str(folder / "store"), world)
        dist.init_process_group("gloo", store=store, rank=rank, world_size=world)
    seconds = 0.0
    for epochs in (1, _EPOCHS):  # the first one compiles
        config = TripleConfig(
            dimension=WIDTH, margin=MARGIN, batch_size=BATCH, epochs=epochs, validations=1
        )
        model = learner(config)
        spent[0], began = 0.0, time.perf_counter()
        loop.fit(model, loop.LoopConfig(), LocalContext(folder / str(epochs)), seed=0)
        seconds = time.perf_counter() - began
    if rank == 0:
        print(json.dumps({"seconds": seconds, "exchange": spent[0]}))
    if world > 1:
        dist.barrier()
        dist.destroy_process_group()


def measure(world: int) -> dict[str, float]:
    """A run by so many processes."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.kge_processes"]
        processes = [
            subprocess.Popen(
                [*command, str(rank), str(world), folder],
                env=os.environ | {"OMP_NUM_THREADS": "1"},
                stdout=subprocess.PIPE,
                text=True,
            )
            for rank in range(world)
        ]
        printed = [process.communicate()[0] for process in processes]
    return json.loads(printed[0].splitlines()[-1])


def main(quick: bool) -> None:
    """Measure both in turn, over and over."""
    runs = [(measure(1), measure(_WORLD)) for _ in range(1 if quick else 5)]
    triples = _EPOCHS * len(fb15k237.split("train"))
    one, two = (statistics.median(triples / run[i]["seconds"] for run in runs) for i in (0, 1))
    share = statistics.median(run[1]["exchange"] / run[1]["seconds"] for run in runs)
    note = f"dimension {WIDTH}, batch {BATCH}, 1 corruption, Adagrad; median of {len(runs)}"
    case = f"TransE L1 FB15k-237, {_WORLD} processes"
    Line("kge_processes", case, "triples/s", two, "one", one, _WORLD * one, _WORLD, note).show()
    Line("kge_processes exchange", case, "share", share, None, None, None, _WORLD, note).show()


if __name__ == "__main__":
    if sys.argv[1:] in ([], ["--quick"]):
        main("--quick" in sys.argv)
    else:
        member(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
