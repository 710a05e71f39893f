"""Big batches are exact: of several processes or in micro-batches, they are one large batch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mmkrl.train.distributed import all_gather_with_grad
from mmkrl.train.gradient_cache import in_micro_batches
from tests.mmkrl.models.captions.one_process import run
from tests.support.losses import paired_losses

ROOT = Path(__file__).parents[4]
SIZES = {
    "dimension": 6,
    "word_dimension": 5,
    "hidden": 8,
    "batch_size": 24,
    "epochs": 1,
    "validations": 1,
    "precision": "float32",
    "learning_rate": 0.0003,
}
CASES = {
    "gru-sum": {"text": "gru", "dropout": 0.2},
    "mean-max": {"text": "mean", "image": "mlp", "loss": {"mining": "max"}, "dropout": 0.3},
    "order-top-k": {"text": "bigru", "measure": "order", "loss": {"mining": "top_k", "top_k": 3}},
    "infonce": {"text": "mean", "loss": "infonce"},
    "siglip": {"text": "mean", "loss": {"name": "siglip", "bias": -2.0}, "dropout": 0.2},
    "unmasked": {"text": "mean", "masked": False},
    "fine-tuned": {"text": "mean", "fine_tune": {"epochs": 2, "crop": 0.8}},
    "mtls": {"text": "mean", "image": "mlp", "transfer": {"rounds": 1, "warmup_epochs": 0.5}},
}
LOOP = {"clip_norm": 0.05, "checkpoint_steps": 100, "log_steps": 1}


def together(folder, processes, *, micro_batch_size):
    """Run all cases in some processes; the folder with the results."""
    folder = folder / f"{processes}-{micro_batch_size}"
    folder.mkdir()
    cases = {
        name: SIZES | config | {"micro_batch_size": micro_batch_size}
        for name, config in CASES.items()
    }
    (folder / "cases.json").write_text(json.dumps({"cases": cases, "loop": LOOP}))
    program = Path(__file__).with_name("one_process.py")
    started = [
        subprocess.Popen(
            [sys.executable, str(program), str(rank), str(processes), str(folder)],
            env=os.environ | {"PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(processes)
    ]
    errors = [process.communicate(timeout=300)[1] for process in started]
    assert [process.returncode for process in started] == [0] * processes, "\n".join(errors)
    return folder


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """One process that holds the whole batch, by case."""
    folder = tmp_path_factory.mktemp("large")
    return {name: run(folder / name, SIZES | config, LOOP, 0) for name, config in CASES.items()}


@pytest.fixture(scope="module", params=[(2, None), (4, 4)], ids=["2", "4 in micro-batches"])
def several(request, tmp_path_factory):
    processes, micro_batch_size = request.param
    folder = together(
        tmp_path_factory.mktemp("several"), processes, micro_batch_size=micro_batch_size
    )
    return {
        name: [torch.load(folder / f"{name}-{rank}.pt") for rank in range(processes)]
        for name in CASES
    }


def compare(one, other):
    assert other["loss"] == pytest.approx(one["loss"], rel=1e-5)
    for name, grad in one["gradients"].items():
        least = max(1e-6, 1e-4 * float(grad.abs().max()))  # of a deep backbone, sums of many terms
        torch.testing.assert_close(other["gradients"][name], grad, rtol=1e-3, atol=least)
    for which in ("weights", "best"):
        for name, value in one[which].items():
            torch.testing.assert_close(other[which][name], value, rtol=1e-3, atol=2e-4)


@pytest.mark.parametrize("case", CASES)
def test_processes_are_one_large_batch_in_loss_gradients_and_weights(large, several, case):
    one, ranks = large[case], several[case]
    for other in ranks:
        compare(one, other)
    losses = paired_losses(one, *ranks[:2])
    assert len(losses) >= 10
    for a, b in losses:
        assert b[2] == pytest.approx(a[2], rel=1e-3, abs=1e-6), a
    for other in ranks[1:]:
        assert other["history"] == ranks[0]["history"]
        for name, value in other["weights"].items():
            assert torch.equal(value, ranks[0]["weights"][name]), name


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("micro_batch_size", [1, 7])
def test_micro_batches_are_one_large_batch_in_loss_gradients_and_weights(
    large, case, micro_batch_size, tmp_path
):
    compare(
        large[case],
        run(tmp_path, SIZES | CASES[case] | {"micro_batch_size": micro_batch_size}, LOOP, 0),
    )


def test_micro_batches_keep_the_activations_of_one():
    weight = torch.randn(4, 4, requires_grad=True)
    row_BD = torch.randn(10, 4)
    held = []

    def encode(piece):
        held.append(piece.stop - piece.start)
        return torch.tanh(row_BD[piece] @ weight)

    saved = []

    def keep(tensor):
        saved.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        vector_BD = in_micro_batches(encode, 10, 4)
    assert held == [4, 4, 2]
    assert not saved  # forwards, nothing is kept
    vector_BD.square().sum().backward()
    assert sorted(held) == [2, 2, 4, 4, 4, 4]  # backwards, each is encoded again
    cached = weight.grad.clone()
    weight.grad = None
    in_micro_batches(encode, 10, None).square().sum().backward()
    torch.testing.assert_close(cached, weight.grad)


def test_one_process_gathers_its_own_rows():
    row_BD = torch.randn(3, 2)
    assert all_gather_with_grad(row_BD) is row_BD
