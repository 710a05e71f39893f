"""The compiled margin loss of translations against a plain loop and against torch."""

import numpy as np
import pytest
import torch

from mmkrl.kernels.translation import Pairs, translation_hinge
from mmkrl.losses.triples import margin_hinge

ENTITIES, RELATIONS, DIMENSION = 30, 5, 17
NORMS = pytest.mark.parametrize("norm", [1, 2])
COUNTS = pytest.mark.parametrize("count", [1, 6])


def draw(count, size=40):
    generator = np.random.default_rng(count)
    sizes = (ENTITIES, RELATIONS, ENTITIES)
    triple_B3 = np.stack([generator.integers(0, n, size) for n in sizes], axis=1)
    slot_BK = generator.integers(0, 3, (size, count)).astype(np.int8)
    other_BK = generator.integers(0, np.where(slot_BK == 1, RELATIONS, ENTITIES))
    tables = [
        generator.normal(size=(n, DIMENSION)).astype(np.float32) / 4 for n in (ENTITIES, RELATIONS)
    ]
    return tables, Pairs(triple_B3, other_BK, slot_BK)


def replaced(pairs, b, k):
    parts = pairs.triple_B3[b].tolist()
    parts[pairs.slot_BK[b, k]] = int(pairs.other_BK[b, k])
    return parts


def gradients(grads, shapes):
    """Both gradients as dense arrays."""
    entities, relations = grads.used_2
    parts = slice(entities), slice(len(grads.row_U) - relations, None)
    dense = [np.zeros(shape, np.float32) for shape in shapes]
    for gradient_ND, part in zip(dense, parts, strict=True):
        assert len(set(grads.row_U[part].tolist())) == len(grads.row_U[part])
        gradient_ND[grads.row_U[part]] = grads.value_UD[part]
    return dense


@NORMS
@COUNTS
def test_loss_against_a_plain_loop(norm, count):
    (entity_ED, relation_RD), pairs = draw(count)

    def energy(head, relation, tail):
        parts = zip(entity_ED[head], relation_RD[relation], entity_ED[tail], strict=True)
        differences = [float(h) + float(r) - float(t) for h, r, t in parts]
        return sum(abs(d) ** norm for d in differences) ** (1 / norm)

    total = sum(
        max(0.0, 1.5 + energy(*pairs.triple_B3[b]) - energy(*replaced(pairs, b, k)))
        for b in range(40)
        for k in range(count)
    )
    loss, _ = translation_hinge(entity_ED, relation_RD, pairs, 1.5, norm)
    assert total > 0
    assert loss == pytest.approx(total / (40 * count), rel=1e-5)


@NORMS
@COUNTS
@pytest.mark.parametrize("margin", [0.0, 1.5, 50.0])
def test_loss_and_gradients_against_torch(norm, count, margin):
    tables, pairs = draw(count)
    entity_ED, relation_RD = (torch.from_numpy(table).requires_grad_() for table in tables)

    def scores(head_N, relation_N, tail_N):
        difference_ND = entity_ED[head_N] + relation_RD[relation_N] - entity_ED[tail_N]
        return -difference_ND.norm(p=norm, dim=-1)

    corrupt_BK3 = np.array([[replaced(pairs, b, k) for k in range(count)] for b in range(40)])
    negative_BK = scores(*torch.from_numpy(corrupt_BK3).unbind(dim=2))
    positive_B = scores(*torch.from_numpy(pairs.triple_B3).unbind(dim=1))
    expected = margin_hinge(positive_B, negative_BK, margin)
    expected.backward()
    loss, grads = translation_hinge(*tables, pairs, margin, norm)
    assert loss == pytest.approx(expected.item(), rel=1e-6, abs=1e-6)
    shapes = entity_ED.shape, relation_RD.shape
    for gradient_ND, table in zip(gradients(grads, shapes), (entity_ED, relation_RD), strict=True):
        np.testing.assert_allclose(gradient_ND, table.grad.numpy(), atol=1e-6)


@NORMS
def test_where_a_length_is_zero_the_gradient_is_zero(norm):
    tables = np.zeros((3, 4), np.float32), np.zeros((1, 4), np.float32)
    pairs = Pairs(np.array([[0, 0, 1]]), np.array([[2]]), np.array([[0]], np.int8))
    loss, grads = translation_hinge(*tables, pairs, 1.0, norm)
    assert loss == 1
    for gradient_ND in gradients(grads, ((3, 4), (1, 4))):
        assert not gradient_ND.any()


def test_pairs_beyond_the_margin_touch_no_row():
    (entity_ED, relation_RD), pairs = draw(1)
    loss, grads = translation_hinge(entity_ED, relation_RD, pairs, -1e6, 1)
    assert loss == 0
    assert grads.used_2.tolist() == [0, 0]
