"""Two processes that exchange sparse gradients train a model of triples as one process does."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.mmkrl.models.triples.one_process import run
from tests.support.losses import paired_losses

ROOT = Path(__file__).parents[4]
SIZES = {"dimension": 8, "batch_size": 12, "epochs": 4, "validations": 2}
TWO = {"entities": 2, "relations": 1}
CASES = {
    "transe-sgd": {"model": "transe", "optimizer": "sgd", "learning_rate": 0.01, "negatives": TWO},
    "transe-adagrad": {"model": "transe", "score": "l2", "bound": "sphere", "negatives": TWO},
    "complex-against-all": {"model": "complex", "loss": "one_vs_all", "n3": 0.01},
    "distmult-shared": {"model": "distmult", "negatives": {"entities": 3, "shared_by": 2}},
    "rotate": {"model": "rotate", "loss": "self_adversarial", "negatives": TWO},
    "ikrl": {
        "model": "ikrl",
        "optimizer": "sgd",
        "learning_rate": 0.003,
        "ikrl": {"warmup_epochs": 2, "objective": "each"},
    },
}
# An L1 gradient is a sum of signs; where they cancel to zero or to a rounding error, Adagrad's step
# is nothing or a whole one. So the L1 cases here move by plain gradient descent.
LOOP = {"clip_norm": 0.02, "checkpoint_steps": 5, "log_steps": 1}


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """The folder with the results of two processes, which ran all cases one after another."""
    folder = tmp_path_factory.mktemp("pair")
    cases = {name: SIZES | config for name, config in CASES.items()}
    (folder / "cases.json").write_text(json.dumps({"cases": cases, "loop": LOOP}))
    program = Path(__file__).with_name("one_process.py")
    processes = [
        subprocess.Popen(
            [sys.executable, str(program), str(rank), "2", str(folder)],
            env=os.environ | {"PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    errors = [process.communicate(timeout=300)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(errors)
    return folder


@pytest.fixture(scope="module", params=CASES)
def results(request, pair, tmp_path_factory):
    """Of one case: what one process made, and what each of two made."""
    one = run(tmp_path_factory.mktemp("one"), SIZES | CASES[request.param], LOOP, 0)
    return one, [torch.load(pair / f"{request.param}-{rank}.pt") for rank in range(2)]


def test_every_logged_loss_agrees(results):
    one, (first, second) = results
    losses = paired_losses(one, first, second)
    assert len(losses) >= 2 * 13
    for a, b in losses:
        assert b[2] == pytest.approx(a[2], rel=2e-4, abs=1e-6), a


def test_final_and_best_weights_agree(results):
    one, both = results
    for two in both:
        for which in ("weights", "best"):
            assert one[which].keys() == two[which].keys()
            for name, value in one[which].items():
                torch.testing.assert_close(two[which][name], value, rtol=1e-3, atol=2e-4)


def test_processes_hold_the_same_weights_and_history_to_the_last_bit(results):
    _, (first, second) = results
    assert first["history"] == second["history"]
    for name, value in first["weights"].items():
        assert torch.equal(value, second["weights"][name]), name
