"""Corruptions keep what they must keep and avoid the true relationships."""

from __future__ import annotations

import numpy as np
import pytest

from mmkrl.data.sampling.relationships import RelationshipSampler


def some(count: int, sizes=(6, 3, 7), seed: int = 0) -> np.ndarray:
    """Distinct relationships; slots have parts of their own and share some."""
    generator = np.random.default_rng(seed)
    code = generator.choice(np.prod(sizes), count, replace=False)
    return np.stack(np.unravel_index(code, sizes), axis=1).astype(np.int64) + np.array([0, 20, 3])


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("slots", [1, 2])
def test_exactly_the_asked_slots_differ(slots):
    parts = some(40)
    sampler = RelationshipSampler(parts)
    batch = parts[sampler.anchors(2000, rng())]
    changed = sampler.corrupt(batch, slots, rng(1)) != batch
    assert (changed.sum(axis=1) == slots).all()
    assert (changed.mean(axis=0) > slots / 3 - 0.1).all()  # no slot is favoured


def test_replacements_are_parts_of_that_slot():
    parts = some(40)
    result = RelationshipSampler(parts).corrupt(parts, 2, rng())
    for slot in range(3):
        assert set(result[:, slot]) <= set(parts[:, slot])


@pytest.mark.parametrize("slots", [1, 2])
def test_no_corruption_is_true_even_among_many_true_ones(slots):
    """Half of all combinations are true; a few rows have next to no others."""
    parts = some(60)
    true = {tuple(row) for row in parts}
    batch = np.repeat(parts, 10, axis=0)
    result = RelationshipSampler(parts).corrupt(batch, slots, rng())
    hits = sum(tuple(row) in true for row in result)
    assert hits <= len(batch) / 100


def test_a_slot_with_one_part_keeps_it():
    parts = some(12, sizes=(6, 1, 7))
    result = RelationshipSampler(parts).corrupt(parts, 2, rng())
    assert (result[:, 1] == parts[:, 1]).all()


def test_when_every_combination_is_true_a_true_one_stays():
    parts = some(8, sizes=(2, 2, 2))
    result = RelationshipSampler(parts).corrupt(parts, 1, rng())
    assert ((result != parts).sum(axis=1) == 1).all()


def test_draws_are_a_function_of_the_seed():
    parts = some(40)
    sampler = RelationshipSampler(parts)
    assert (sampler.anchors(50, rng(3)) == sampler.anchors(50, rng(3))).all()
    assert (sampler.corrupt(parts, 2, rng(3)) == sampler.corrupt(parts, 2, rng(3))).all()
    assert (sampler.corrupt(parts, 2, rng(3)) != sampler.corrupt(parts, 2, rng(4))).any()


def test_anchors_reach_every_relationship():
    assert set(RelationshipSampler(some(20)).anchors(500, rng())) == set(range(20))
