"""A local run's checkpoints survive a kill at any moment; shards are slices."""

import pytest
import torch

from mmkrl.errors import UserError
from mmkrl.train.context import LocalContext
from mmkrl.train.distributed import distributed, mean_over_processes
from mmkrl.train.learner import Batch, Measurement
from mmkrl.train.loop import shard


def made(folder, name, *files):
    (folder / name).mkdir(parents=True)
    for file in files:
        (folder / name / file).write_text(name)
    return folder / name


def test_keeps_the_last_checkpoint_alone(tmp_path):
    context = LocalContext(tmp_path / "kept")
    assert context.resume_from() is None
    context.report({}, made(tmp_path, "one", "state.json", "optimizer.pt"))
    context.report({}, made(tmp_path, "two", "state.json"))
    context.report({}, None)
    last = context.resume_from()
    assert {p.name: p.read_text() for p in last.iterdir()} == {"state.json": "two"}
    assert [p.name for p in (tmp_path / "kept").iterdir()] == ["last"]


@pytest.mark.parametrize(
    ("left", "resumes"),
    [
        ((), None),
        (("incoming",), None),
        (("incoming", "last"), "last"),
        (("incoming", "previous"), "previous"),  # between the two renames
        (("last", "previous"), "last"),  # before the old one is removed
        (("incoming", "last", "previous"), "last"),
    ],
)
def test_goes_on_from_whatever_a_kill_left(tmp_path, left, resumes):
    folder = tmp_path / "kept"
    for name in left:
        made(folder, name, "state.json", f"only-in-{name}")
    context = LocalContext(folder)
    found = context.resume_from()
    assert (found.name if found else None) == resumes
    context.report({}, made(tmp_path, "new", "state.json"))
    assert [p.name for p in folder.iterdir()] == ["last"]
    assert {p.name: p.read_text() for p in (folder / "last").iterdir()} == {"state.json": "new"}


def test_one_process_is_the_whole_world(tmp_path):
    context = LocalContext(tmp_path)
    assert (context.rank, context.world_size) == (0, 1)
    module, values = torch.nn.Linear(2, 2), torch.tensor([1.0, 2.0])
    assert distributed(module) is module
    assert torch.equal(mean_over_processes(values), torch.tensor([1.0, 2.0]))
    measurement = Measurement(1, "loss", 0.5)
    context.log([measurement])
    assert context.measurements == [measurement]


class Place:
    device = torch.device("cpu")

    def __init__(self, rank, world_size):
        self.rank, self.world_size = rank, world_size


def test_shards_are_consecutive_slices_that_know_their_place():
    rows = {"x": torch.arange(12), "y": torch.randn(12, 3)}
    batch = Batch(rows, {"pool": torch.arange(5)}, seed=9)
    shards = [shard(batch, Place(rank, 3)) for rank in range(3)]
    for name, whole in rows.items():
        assert torch.equal(torch.cat([part.rows[name] for part in shards]), whole)
    assert [(part.start, part.total, part.seed) for part in shards] == [
        (0, 12, 9),
        (4, 12, 9),
        (8, 12, 9),
    ]
    assert all(torch.equal(part.shared["pool"], torch.arange(5)) for part in shards)


def test_indivisible_batch_names_the_fix():
    with pytest.raises(
        UserError, match=r"10 rows .* 4 workers; make train[.]batch_size a multiple"
    ):
        shard(Batch({"x": torch.arange(10)}), Place(1, 4))
