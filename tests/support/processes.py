"""A program that is one of several processes: ``PROGRAM RANK WORLD FOLDER``."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

Run = Callable[[Path, dict[str, Any], dict[str, Any], int], dict[str, Any]]


def take_part(run: Run) -> None:
    """Run every case of FOLDER/cases.json beside the other processes; keep what each gives.

    Args:
        run: Gives the result of a case from a folder of its own, its configuration, what all cases
            share, and the rank of this process.
    """
    rank, world_size, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    torch.set_num_threads(1)
    given = json.loads((folder / "cases.json").read_text())
    store = dist.FileStore(str(folder / "store"), world_size)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=world_size)
    for name, config in given["cases"].items():
        result = run(folder / name, config, given["loop"], rank)
        torch.save(result, folder / f"{name}-{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()
