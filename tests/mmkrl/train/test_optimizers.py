"""Optimisers by rows equal those that see dense gradients; bounds and clipping are kept."""

import pytest
import torch
from torch import nn

from mmkrl.train.learner import Phase
from mmkrl.train.optimizers import clip_gradients, make_optimizer, project_to_ball

ROWS, DIMENSION, STEPS = 12, 5, 6


class Tables(nn.Module):
    """A table and a matrix, both used by a loss of some rows."""

    def __init__(self, *, sparse):
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Embedding(ROWS, DIMENSION, sparse=sparse)
        self.matrix = nn.Linear(DIMENSION, DIMENSION, bias=False)

    def forward(self, index_N):
        return (self.matrix(self.table(index_N)) - 1).square().sum()


def phase(optimizer, rate=0.1, **fields):
    return Phase("p", STEPS, rate, "", optimizer=optimizer, **fields)


def indices():
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(0, ROWS - 2, (4,), generator=generator) for _ in range(STEPS)]


def train(module, optimizer):
    for index_N in indices():
        optimizer.zero_grad(set_to_none=True)
        module(index_N).backward()
        optimizer.step()
    return {name: value.clone() for name, value in module.state_dict().items()}


def torch_s(name, module):
    if name == "sgd":
        return torch.optim.SGD(module.parameters(), lr=0.1)
    if name == "adagrad":
        return torch.optim.Adagrad(module.parameters(), lr=0.1)
    return torch.optim.Adam(module.parameters(), lr=0.1)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("name", ["sgd", "adagrad"])
def test_rows_move_as_torch_s_dense_optimisers_move_them(name, sparse):
    module, reference = Tables(sparse=sparse), Tables(sparse=False)
    start = module.table.weight.detach().clone()
    weights = train(module, make_optimizer(module, phase(name), 0.0))
    for key, value in train(reference, torch_s(name, reference)).items():
        torch.testing.assert_close(weights[key], value)
    assert torch.equal(weights["table.weight"][-2:], start[-2:])  # never used


@pytest.mark.parametrize("name", ["sgd", "adagrad"])
@pytest.mark.parametrize("bound", ["free", "ball", "sphere"])
def test_torch_s_operations_on_rows_equal_the_compiled_ones(name, bound):
    compiled, by_torch = Tables(sparse=True), Tables(sparse=True)
    bounds = {"table.weight": bound}
    left = make_optimizer(compiled, phase(name, bounds=bounds), 0.0)
    right = make_optimizer(by_torch, phase(name, bounds=bounds), 0.0)
    right.compiled = lambda tables, row_U, grad_UD, how: right.with_torch(
        tables, row_U, grad_UD, (how[0], bound)
    )
    expected = train(by_torch, right)
    for key, value in train(compiled, left).items():
        torch.testing.assert_close(value, expected[key])


@pytest.mark.parametrize(
    ("name", "sparse"),
    [("sgd", True), ("adagrad", True), ("sgd", False), ("adam", False), ("adamw", False)],
)
def test_bounds_hold_after_every_step_and_for_the_named_alone(name, sparse):
    for bound in ("ball", "sphere"):
        module = Tables(sparse=sparse)
        bounds = {"table.weight": bound}
        optimizer = make_optimizer(module, phase(name, 0.5, bounds=bounds), 0.0)
        train(module, optimizer)
        used = torch.cat(indices()).unique()
        length_N = module.table.weight.detach()[used].norm(dim=1)
        if bound == "sphere":
            torch.testing.assert_close(length_N, torch.ones_like(length_N))
        else:
            assert (length_N <= 1 + 1e-6).all()
        assert (module.matrix.weight.detach().norm(dim=1) - 1).abs().max() > 1e-3


def test_adam_is_torch_s():
    module, reference = Tables(sparse=False), Tables(sparse=False)
    weights = train(module, make_optimizer(module, phase("adam"), 0.3))
    for key, value in train(reference, torch_s("adam", reference)).items():
        torch.testing.assert_close(weights[key], value)


def test_only_what_learns_is_moved():
    module = Tables(sparse=True)
    module.matrix.requires_grad_(False)
    optimizer = make_optimizer(module, phase("adagrad"), 0.0)
    assert [len(group["params"]) for group in optimizer.param_groups] == [1]


@pytest.mark.parametrize("limit", [0.05, 1e9])
def test_clipping_sparse_gradients_equals_torch_s_of_dense_ones(limit):
    sparse, dense = Tables(sparse=True), Tables(sparse=False)
    index_N = torch.tensor([1, 3, 3, 1, 7])
    for module in (sparse, dense):
        module(index_N).backward()
    norm = clip_gradients(sparse.parameters(), limit)
    torch.testing.assert_close(norm, nn.utils.clip_grad_norm_(dense.parameters(), limit))
    torch.testing.assert_close(sparse.table.weight.grad.to_dense(), dense.table.weight.grad)
    torch.testing.assert_close(sparse.matrix.weight.grad, dense.matrix.weight.grad)


def test_an_infinite_gradient_has_an_infinite_norm():
    module = Tables(sparse=True)
    module(torch.tensor([1])).backward()
    module.table.weight.grad._values()[0, 0] = torch.inf
    assert not clip_gradients(module.parameters(), 1.0).isfinite()


def test_rows_of_zeros_stay_zeros():
    weight_ND = torch.zeros(2, 3)
    for bound in ("free", "ball", "sphere"):
        project_to_ball(weight_ND, bound)
        assert not weight_ND.any()


@pytest.mark.parametrize("name", ["sgd", "adagrad", "adam"])
def test_a_state_comes_back(name):
    def make():
        module = Tables(sparse=name != "adam")
        return module, make_optimizer(module, phase(name), 0.0)

    whole, optimizer = make()
    expected = train(whole, optimizer)
    first, optimizer = make()
    for index_N in indices()[:3]:
        optimizer.zero_grad(set_to_none=True)
        first(index_N).backward()
        optimizer.step()
    second, restored = make()
    second.load_state_dict(first.state_dict())
    restored.load_state_dict(optimizer.state_dict())
    for index_N in indices()[3:]:
        restored.zero_grad(set_to_none=True)
        second(index_N).backward()
        restored.step()
    for key, value in second.state_dict().items():
        assert torch.equal(value, expected[key])


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd", "adagrad"])
def test_a_submodule_may_have_a_share_of_the_rate(name):
    """With the share 0 it stays where it is; with 0.5 it moves as at half the rate."""
    start = Tables(sparse=False).state_dict()
    moved = {}
    for rate, rates in ((0.1, {"matrix": 0.5}), (0.05, {}), (0.1, {}), (0.1, {"matrix": 0.0})):
        module = Tables(sparse=False)
        optimizer = make_optimizer(module, phase(name, rate, learning_rate_scales=rates), 0.0)
        module(indices()[0]).backward()
        optimizer.step()
        moved[rate, *rates.values()] = module.state_dict()
    mixed, half, full, still = moved.values()
    assert torch.equal(mixed["matrix.weight"], half["matrix.weight"])
    assert torch.equal(mixed["table.weight"], full["table.weight"])
    assert torch.equal(still["matrix.weight"], start["matrix.weight"])
    assert not torch.equal(half["matrix.weight"], full["matrix.weight"])
