"""How many training runs there is room for, and where they work."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from cluster.session import RayConfig, session
from cluster.training import Member, Resources, fitting, train_members
from mmkrl.storage import locate
from mmkrl.train.config import TrainConfig


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
    resources = Resources(workers, threads, None, 0, share)
    assert fitting(resources, gpus, cores) == expected


def test_processes_of_a_run_do_not_share_a_gpu():
    with pytest.raises(ValidationError, match=r"gpu_share = 0.5 with train.workers = 2.*NCCL"):
        TrainConfig(workers=2, gpu_share=0.5)


@pytest.mark.ray
def test_a_relative_path_means_the_same_in_a_run(tmp_path):
    def tell(folder, context):
        """A training that writes down where it works."""
        checkpoint = Path(folder) / "checkpoint"
        checkpoint.mkdir()
        (checkpoint / "place").write_text(str(Path.cwd()))
        context.report({}, checkpoint)

    with session(RayConfig()):
        done = train_members(
            locate(tmp_path / "runs"),
            [Member("one", os.fspath(tmp_path))],
            tell,
            Resources(workers=1, threads=1, concurrent_runs=None, retries=0),
            lambda *_: None,
        )
    assert (done["one"] / "place").read_text() == str(Path.cwd())
