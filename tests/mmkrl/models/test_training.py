"""A trained member is found again in the dataset it was collected into."""

import json

import pytest
import torch

from mmkrl.data.dataset import Origin, open_dataset, publish
from mmkrl.errors import UserError
from mmkrl.io.storage import locate
from mmkrl.models.config import TrainConfig
from mmkrl.models.family import Sources
from mmkrl.models.training import Member, collect, member_name, restore
from mmkrl.train.context import LocalContext
from mmkrl.train.loop import fit


@pytest.fixture(scope="module")
def sources(small, loop_config, tmp_path_factory):
    models = {
        "full": small(batch_size=16),
        "text_only": small(batch_size=16, variant="text_only"),
    }
    return Sources({}, TrainConfig(models=models, loop=loop_config), tmp_path_factory.mktemp("c"))


@pytest.fixture(scope="module")
def run(make_learner, loop_config, tmp_path_factory):
    """A finished run: its last checkpoint, its best weights and its state."""
    folder = tmp_path_factory.mktemp("run")
    state, best = fit(make_learner(), loop_config, LocalContext(folder), seed=0)
    return locate(folder / "last"), best, state


@pytest.fixture(scope="module")
def trained(run, tmp_path_factory):
    location = locate(tmp_path_factory.mktemp("trained") / "v1")
    files, notes = collect(location, {member_name("full", 0): run[0]})
    publish(location, Origin("train", "key", {}, {}, ""), [], files=files, notes=notes)
    return open_dataset(location)


def test_a_member_comes_back_with_its_best_weights(trained, sources, knowledge, run):
    _, best, state = run
    learner = restore(Member(sources, "full", 0), trained.location, knowledge)
    loaded = learner.module.state_dict()
    assert loaded.keys() == best.keys()
    assert all(torch.equal(loaded[name], best[name]) for name in best)
    assert not learner.module.training
    assert learner.validate()["text_to_image_map"] == pytest.approx(state.best_metric)


def test_weights_are_there_before_the_dataset_is_published(run, sources, knowledge, tmp_path):
    location = locate(tmp_path)
    collect(location, {"full-0": run[0], "full-1": run[0]})
    for seed in (0, 1):
        learner = restore(Member(sources, "full", seed), location, knowledge)
        weights = learner.module.state_dict()
        assert all(torch.equal(weights[key], value) for key, value in run[1].items())
    assert not (location / "manifest.json").is_file()


def test_notes_and_history_say_what_happened(trained, run):
    state = run[2]
    assert trained.manifest.notes["full-0"] == {
        "best_metric": state.best_metric,
        "best_phase": state.best_phase,
        "global_step": state.global_step,
    }
    entry = trained.file("models/full-0/history.json")
    assert json.loads(trained.read_bytes(entry)) == state.history


@pytest.mark.parametrize(("model", "seed"), [("full", 1), ("text_only", 0)])
def test_a_missing_member_is_told(trained, sources, knowledge, model, seed):
    with pytest.raises(UserError, match=rf"holds no trained model '{model}-{seed}'"):
        restore(Member(sources, model, seed), trained.location, knowledge)
