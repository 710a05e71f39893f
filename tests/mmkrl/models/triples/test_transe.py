"""TransE's compiled path equals torch's, with gradients of the touched rows alone."""

import numpy as np
import pytest
import torch

from mmkrl.models.triples.base import TripleModel
from mmkrl.train.learner import Batch


def batch(graph, count):
    generator = np.random.default_rng(count)
    triple_B3 = graph.triples["train"][:10]
    slot_BK = generator.integers(0, 3, (10, count)).astype(np.int8)
    other_BK = generator.integers(0, np.where(slot_BK == 1, 3, 9))  # some entities stay untouched
    arrays = {"triple": triple_B3, "other": other_BK, "slot": slot_BK}
    return Batch({name: torch.from_numpy(array) for name, array in arrays.items()})


@pytest.mark.parametrize("score", ["l1", "l2"])
@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("margin", [0.5, 30.0])
def test_compiled_loss_and_gradients_are_those_of_torch(make, graph, score, count, margin):
    compiled = make("transe", score=score, margin=margin)
    plain = make("transe", score=score, margin=margin)
    given = batch(graph, count)
    left, right = compiled("", given)["margin"], TripleModel.forward(plain, "", given)["margin"]
    torch.testing.assert_close(left, right, rtol=1e-6, atol=1e-6)
    (3 * left).backward()
    (3 * right).backward()
    for one, two in zip(compiled.parameters(), plain.parameters(), strict=True):
        assert one.grad.is_sparse
        torch.testing.assert_close(one.grad.to_dense(), two.grad.to_dense(), rtol=1e-5, atol=1e-6)


def test_only_touched_rows_have_a_gradient(make, graph):
    model, given = make("transe", margin=30.0), batch(graph, 2)
    model("", given)["margin"].backward()
    used = set(given.rows["triple"][:, (0, 2)].flatten().tolist())
    used |= set(given.rows["other"][given.rows["slot"] != 1].tolist())
    assert set(model.entity.weight.grad._indices()[0].tolist()) == used
    assert len(used) < len(graph.entities)


@pytest.mark.parametrize(
    ("bound", "expected"),
    [("ball", ("ball", "ball")), ("sphere", ("sphere", "free")), ("free", ("free", "free"))],
)
def test_bounds(make, bound, expected):
    assert make("transe", bound=bound).bounds() == dict(
        zip(("entity.weight", "relation.weight"), expected, strict=True)
    )


def test_starts_within_its_bound(graph):
    from mmkrl.models.triples.base import make_model
    from mmkrl.models.triples.config import TripleConfig

    model = make_model(graph, TripleConfig(model="transe"), None, None)
    for table in (model.entity, model.relation):
        length_N = table.weight.detach().norm(dim=1)
        torch.testing.assert_close(length_N, torch.ones_like(length_N))
