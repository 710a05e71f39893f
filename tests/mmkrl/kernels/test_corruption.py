"""Corruptions are false, reproducible, and drawn as evenly as they should be."""

import numpy as np
import pytest

from mmkrl.kernels.corruption import (
    HEAD,
    RELATION,
    TAIL,
    corrupt,
    draw_entities,
    known_answers,
    known_triples,
)

ENTITIES, RELATIONS = 50, 4


@pytest.fixture(scope="module")
def triples():
    generator = np.random.default_rng(3)
    sizes = (ENTITIES, RELATIONS, ENTITIES)
    return np.stack([generator.integers(0, size, 400) for size in sizes], axis=1)


@pytest.fixture(scope="module")
def known(triples):
    return known_triples(triples, ENTITIES, RELATIONS)


def even(count=RELATIONS):
    return np.full(count, 0.5)


def corruptions(triple_B3, other_BK, slot_BK):
    """Every corruption as a tuple, with the triple it came from."""
    for triple, others, slots in zip(triple_B3, other_BK, slot_BK, strict=True):
        for other, slot in zip(others, slots, strict=True):
            changed = [int(part) for part in triple]
            changed[slot] = int(other)
            yield tuple(map(int, triple)), tuple(changed), int(slot)


def test_no_corruption_is_known_and_one_part_differs(triples, known):
    true = set(map(tuple, triples.tolist()))
    drawn = list(corruptions(triples, *corrupt(triples, known, even(), (5, 2), 11)))
    assert len(drawn) == 400 * 7
    for triple, changed, slot in drawn:
        assert changed not in true
        assert [i for i in range(3) if triple[i] != changed[i]] == [slot]
        assert all(0 <= part < size for part, size in zip(changed, (50, 4, 50), strict=True))


def test_relations_are_replaced_last_and_as_often_as_asked(triples, known):
    _, slot_BK = corrupt(triples, known, even(), (3, 2), 11)
    assert (slot_BK[:, 3:] == RELATION).all()
    assert not (slot_BK[:, :3] == RELATION).any()
    assert corrupt(triples, known, even(), (0, 1), 1)[1].shape == (400, 1)


def test_a_seed_decides_everything(triples, known):
    first, again, other = (corrupt(triples, known, even(), (2, 1), seed) for seed in (7, 7, 8))
    for left, right in zip(first, again, strict=True):
        assert np.array_equal(left, right)
    assert not np.array_equal(first[0], other[0])


def test_replacements_are_even_and_heads_as_frequent_as_told(triples, known):
    many = np.repeat(triples[:40], 500, axis=0)
    share_R = np.array([0.1, 0.5, 0.9, 0.0])
    other_BK, slot_BK = corrupt(many, known, share_R, (1, 0), 5)
    for relation, share in enumerate(share_R):
        asked = many[:, 1] == relation
        assert asked.sum() > 1000
        assert (slot_BK[asked] == HEAD).mean() == pytest.approx(share, abs=0.03)
    assert not (slot_BK[many[:, 1] == 3] != TAIL).any()
    count_E = np.bincount(other_BK.ravel(), minlength=ENTITIES)
    assert count_E.min() > 0.75 * count_E.mean()
    assert count_E.max() < 1.3 * count_E.mean()


def test_where_everything_is_true_a_true_one_stays():
    full = np.array([(h, 0, t) for h in range(3) for t in range(3)])
    other_BK, slot_BK = corrupt(full, known_triples(full, 3, 1), even(1), (4, 1), 2)
    assert ((other_BK >= 0) & (other_BK < np.where(slot_BK == RELATION, 1, 3))).all()


def test_a_pool_s_known_answers(triples, known):
    true = set(map(tuple, triples.tolist()))
    pool_C2K = draw_entities((8, 2, 30), ENTITIES, 4)
    mask_B2K = known_answers(triples, pool_C2K, known)
    assert mask_B2K.any()
    for b, (head, relation, tail) in enumerate(triples.tolist()):
        for k in range(30):
            heads, tails = pool_C2K[b // 50]
            assert mask_B2K[b, 0, k] == ((heads[k], relation, tail) in true)
            assert mask_B2K[b, 1, k] == ((head, relation, tails[k]) in true)


def test_drawn_entities_are_even_and_reproducible():
    drawn = draw_entities((10, 2, 500), ENTITIES, 1)
    assert np.array_equal(drawn, draw_entities((10, 2, 500), ENTITIES, 1))
    count_E = np.bincount(drawn.ravel(), minlength=ENTITIES)
    assert count_E.min() > 140
    assert count_E.max() < 270


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_sets_of_few_triples(count):
    triple_N3 = np.array([(i, 0, i) for i in range(count)], np.int64).reshape(-1, 3)
    known = known_triples(np.concatenate([triple_N3, triple_N3]), 9, 1)
    pool_C2K = np.arange(9)[None, None].repeat(2, axis=1).astype(np.int64)
    asked = np.array([(i, 0, i) for i in range(9)], np.int64)
    mask_B2K = known_answers(asked, pool_C2K, known)
    expected_B2K = (np.eye(9, dtype=bool) & (np.arange(9) < count))[:, None].repeat(2, axis=1)
    assert np.array_equal(mask_B2K, expected_B2K)
