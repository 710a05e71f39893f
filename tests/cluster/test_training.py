"""How many training runs there is room for, and where they work."""

import json
import os
import platform
import resource
from pathlib import Path

import pytest
import torch

from cluster.config import TrainingResources
from cluster.training import Member, fitting, train_members
from mmkrl.io.storage import locate


@pytest.mark.parametrize(
    ("workers", "threads", "share", "gpus", "cores", "expected"),
    [
        (1, 1, 1.0, 0, 2, 2),
        (2, 1, 1.0, 0, 2, 1),
        (1, 4, 1.0, 0, 2, 1),  # more threads than cores: one at a time
        (1, 1, 1.0, 4, 64, 4),
        (2, 1, 1.0, 4, 64, 2),
        (8, 1, 1.0, 4, 64, 1),
        (1, 1, 0.25, 1, 16, 4),
        (1, 1, 0.3, 2, 16, 6),  # three a GPU: none lies on two
    ],
)
def test_room_for_runs(workers, threads, share, gpus, cores, expected):
    resources = TrainingResources(workers=workers, threads=threads, gpu_share=share)
    assert fitting(resources, gpus, cores) == expected


def _told(folder, tell):
    """What ``tell`` returns within a training run."""

    def work(folder, context):
        checkpoint = Path(folder) / "checkpoint"
        checkpoint.mkdir()
        (checkpoint / "told").write_text(json.dumps(tell()))
        context.report({}, checkpoint)

    done = train_members(
        locate(folder / "runs"),
        [Member("one", os.fspath(folder))],
        work,
        TrainingResources(retries=0),
        lambda *_: None,
    )
    return json.loads((done["one"] / "told").read_text())


@pytest.mark.ray
@pytest.mark.usefixtures("one_ray")
def test_a_relative_path_means_the_same_in_a_run(tmp_path):
    assert _told(tmp_path, lambda: str(Path.cwd())) == str(Path.cwd())


@pytest.mark.ray
@pytest.mark.usefixtures("one_ray")
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc's allocator")
def test_a_run_keeps_the_memory_of_its_steps(tmp_path):
    def count():
        """How many pages a later step takes from the system; and the threads of the process."""
        network = torch.nn.Sequential(torch.nn.Linear(4096, 1024), torch.nn.Linear(1024, 4096))
        optimizer = torch.optim.Adam(network.parameters())
        batch = torch.randn(128, 4096)
        pages = []
        for _ in range(60):
            network(batch).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
            pages.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
        return {"pages": (pages[-1] - pages[20]) / 40, "threads": os.environ["OMP_NUM_THREADS"]}

    told = _told(tmp_path, count)
    assert told["pages"] < 800  # the gradients alone are 8,192
    assert told["threads"] == "1"  # what all workers are given is there, too
