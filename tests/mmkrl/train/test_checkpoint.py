"""Checkpoints hold everything, and say so when they do not fit."""

import json
import shutil

import pytest
import torch

from mmkrl.errors import UserError
from mmkrl.train import checkpoint
from mmkrl.train.checkpoint import LoopState
from mmkrl.train.context import LocalContext
from mmkrl.train.loop import fit


@pytest.fixture(scope="module")
def finished_once(make_learner, loop_config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    fit(make_learner(), loop_config, LocalContext(folder), seed=0)
    return folder


@pytest.fixture
def finished(finished_once, tmp_path):
    return shutil.copytree(finished_once, tmp_path / "copy")


def edit_state(folder, **values):
    path = folder / "last" / "state.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_comes_back_as_it_was(tmp_path):
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    optimizer = torch.optim.AdamW(module.parameters(), fused=True)
    module(torch.randn(5, 3)).square().sum().backward()
    optimizer.step()
    state = LoopState(2, 7, 31, 0.5, "text_1", [{"phase": "text_0", "map": 0.1}], "abc")
    best = {"0.weight": torch.randn(4, 3).T}  # not contiguous
    checkpoint.save(tmp_path, module, optimizer, state, best)

    other = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    other_optimizer = torch.optim.AdamW(other.parameters(), fused=True)
    loaded, loaded_best = checkpoint.load(tmp_path, other, "abc")
    checkpoint.load_optimizer(tmp_path, other_optimizer)
    assert loaded == state
    assert torch.equal(loaded_best["0.weight"], best["0.weight"])
    for name, value in module.state_dict().items():
        assert torch.equal(other.state_dict()[name], value)
    for left, right in zip(optimizer.state.values(), other_optimizer.state.values(), strict=True):
        assert left.keys() == right.keys()
        assert all(torch.equal(left[key], right[key]) for key in left)


def test_a_state_before_any_validation_comes_back(tmp_path):
    module = torch.nn.Linear(2, 2)
    checkpoint.save(tmp_path, module, None, LoopState(), {})
    assert checkpoint.load(tmp_path, module, "") == (LoopState(), {})


def test_copy_does_not_follow_the_module():
    module = torch.nn.Linear(2, 2)
    copy = checkpoint.copy_of(module)
    with torch.no_grad():
        module.weight.zero_()
    assert copy["weight"].abs().sum() > 0
    assert not copy["weight"].requires_grad


@pytest.mark.parametrize(
    ("fields", "seed", "message"),
    [
        ({"dimension": 24}, 0, "another configuration"),
        ({"hidden": 32}, 0, "another configuration"),
        ({"text_steps": 13}, 0, "another schedule"),
        ({"rounds": 1}, 0, "another schedule"),
        ({"image_learning_rate": 0.5}, 0, "another schedule"),
        ({"variant": "text_to_image"}, 0, "another schedule"),
        ({}, 1, "another schedule or seed"),
    ],
)
def test_another_configuration_is_refused(
    make_learner, loop_config, finished, fields, seed, message
):
    with pytest.raises(UserError, match=message) as error:
        fit(make_learner(**fields), loop_config, LocalContext(finished), seed=seed)
    assert "train into another folder" in str(error.value)


@pytest.mark.parametrize("version", [0, 2, None])
def test_another_format_is_refused(make_learner, loop_config, finished, version):
    edit_state(finished, format_version=version)
    with pytest.raises(UserError, match=f"checkpoint format {version}, this code reads 1"):
        fit(make_learner(), loop_config, LocalContext(finished), seed=0)


def test_settings_that_do_not_change_the_run_may_change(make_learner, loop_config, finished):
    config = loop_config.model_copy(update={"checkpoint_steps": 3, "log_steps": 4})
    state, _ = fit(make_learner(), config, LocalContext(finished), seed=0)
    assert state.global_step == 76


def test_a_released_checkpoint_goes_on_under_another_rate(make_learner, loop_config, finished):
    """As population-based training has it."""
    checkpoint.release(finished / "last")
    other = make_learner(image_learning_rate=0.0005)
    state, _ = fit(other, loop_config, LocalContext(finished), seed=0)
    assert state.global_step == 76
    edit_state(finished, schedule=state.schedule)
    with pytest.raises(UserError, match="another schedule"):
        fit(make_learner(), loop_config, LocalContext(finished), seed=0)
