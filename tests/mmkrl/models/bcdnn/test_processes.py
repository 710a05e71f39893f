"""Two processes with half a batch each train as one process with the whole batch does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mmkrl.models.bcdnn.learner import BCDNNLearner
from mmkrl.train.config import LoopConfig
from mmkrl.train.context import LocalContext
from mmkrl.train.loop import fit
from tests.support.losses import paired_losses

ROOT = Path(__file__).parents[4]
CASES = {
    "full": {},
    "text_to_image": {"variant": "text_to_image"},
    "text_only": {"variant": "text_only"},
    "image_only": {"variant": "image_only"},
    "triplet": {"strategy": "triplet"},
    "translation": {"strategy": "translation"},
    "no-translation": {"translation_weight": 0.0},
    "no-dropout": {"dropout": 0.0},
}
LOOP = LoopConfig(clip_norm=0.05, checkpoint_steps=5, log_steps=1)
BATCH, SEED = 16, 3


@pytest.fixture(scope="module")
def cases(small):
    """Configurations by name."""
    made = {}
    for name, fields in CASES.items():
        rounds = 2 if name == "full" else 1
        made[name] = small(rounds=rounds, text_steps=6, image_steps=8, batch_size=BATCH, **fields)
    return made


def start(knowledge, config):
    torch.manual_seed(SEED)
    return BCDNNLearner(knowledge, config)


@pytest.fixture(scope="module")
def pair(knowledge, cases, tmp_path_factory):
    """The folder with the results of two processes, which ran all cases one after another."""
    folder = tmp_path_factory.mktemp("pair")
    given = {"knowledge": knowledge, "cases": cases, "loop": LOOP}
    torch.save(given | {"seed": SEED}, folder / "cases.pt")
    program = Path(__file__).with_name("one_process.py")
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "error:::mmkrl", str(program), str(rank), "2", str(folder)],
            env=os.environ | {"PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    errors = [process.communicate(timeout=300)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(errors)
    return folder, "\n".join(errors)


@pytest.fixture(scope="module", params=CASES)
def results(request, pair, knowledge, cases, tmp_path_factory):
    """Of one case: what one process made, and what each of two made."""
    learner = start(knowledge, cases[request.param])
    context = LocalContext(tmp_path_factory.mktemp("one"))
    state, best = fit(learner, LOOP, context, seed=SEED)
    one = {
        "measurements": [(m.step, m.name, m.value) for m in context.measurements],
        "weights": learner.module.state_dict(),
        "best": best,
        "history": state.history,
    }
    folder, _ = pair
    return one, [torch.load(folder / f"{request.param}-{rank}.pt") for rank in range(2)]


def test_every_logged_loss_agrees(results):
    one, (first, second) = results
    losses = paired_losses(one, first, second)
    assert len(losses) >= 2 * 8
    for a, b in losses:
        assert b[2] == pytest.approx(a[2], rel=1e-5, abs=1e-7), a


def test_final_and_best_weights_agree(results, request):
    one, both = results
    # The translation energy's gradient is a sum of signs that often cancels; whether it cancels to
    # zero or to a rounding error decides the direction of AdamW's (then tiny) step.
    signs = request.node.callspec.params["results"] == "translation"
    atol = 1e-4 if signs else 1e-6
    for two in both:
        for which in ("weights", "best"):
            assert one[which].keys() == two[which].keys()
            for name, value in one[which].items():
                torch.testing.assert_close(two[which][name], value, rtol=1e-4, atol=atol)


def test_processes_hold_the_same_weights_and_history_to_the_last_bit(results):
    _, (first, second) = results
    assert first["history"] == second["history"]
    for name, value in first["weights"].items():
        assert torch.equal(value, second["weights"][name]), name


def test_only_one_process_writes_checkpoints(pair, cases):
    folder, _ = pair
    for name in cases:
        assert [path.name for path in (folder / name).iterdir()] == ["last"]
