"""Negatives are drawn as configured, and told when they cannot be."""

import numpy as np
import pytest

from mmkrl.data.sampling.config import NegativesConfig
from mmkrl.data.sampling.negatives import NegativeSampler, bernoulli_shares
from mmkrl.errors import UserError

TRIPLES = np.array([(0, 0, 1), (0, 0, 2), (0, 0, 3), (4, 0, 3), (1, 1, 0), (2, 1, 0), (1, 1, 0)])


def test_bernoulli_shares_against_a_plain_loop():
    expected = []
    for relation in range(3):
        facts = {(h, t) for h, r, t in TRIPLES.tolist() if r == relation}
        if not facts:
            expected.append(0.5)
            continue
        tails_per_head = len(facts) / len({h for h, _ in facts})
        heads_per_tail = len(facts) / len({t for _, t in facts})
        expected.append(tails_per_head / (tails_per_head + heads_per_tail))
    assert bernoulli_shares(TRIPLES, 3).tolist() == pytest.approx(expected)
    assert expected[0] > 0.5 > expected[1]


def test_the_kind_decides_which_side_is_replaced():
    many = np.repeat(TRIPLES[4:5], 4000, axis=0)  # of a relation with one tail and several heads
    for kind, share in (("uniform", 0.5), ("bernoulli", 1 / 3)):
        sampler = NegativeSampler(TRIPLES, 5, 2, NegativesConfig(kind=kind))
        _, slot_BK = sampler.corrupt(many, 3)
        assert (slot_BK == 0).mean() == pytest.approx(share, abs=0.03)


def test_shared_ones_come_from_a_pool():
    config = NegativesConfig(entities=6, relations=1, shared_by=2)
    sampler = NegativeSampler(TRIPLES, 5, 2, config)
    other_BK, slot_BK = sampler.corrupt(TRIPLES[:6], 1)
    assert other_BK.shape == (6, 1)
    assert (slot_BK == 1).all()
    pool_C2K, true_B2K = sampler.pool(TRIPLES[:6], 1)
    assert pool_C2K.shape == (3, 2, 6)
    true = set(map(tuple, TRIPLES.tolist()))
    for b, (head, relation, tail) in enumerate(TRIPLES[:6].tolist()):
        heads, tails = pool_C2K[b // 2]
        assert true_B2K[b, 0].tolist() == [(h, relation, tail) in true for h in heads]
        assert true_B2K[b, 1].tolist() == [(head, relation, t) in true for t in tails]


def test_a_single_relation_cannot_be_replaced():
    with pytest.raises(UserError, match=r"negatives.relations = 2: .* single relation"):
        NegativeSampler(TRIPLES[:4], 5, 1, NegativesConfig(relations=2))


def test_too_many_possible_triples_are_told():
    with pytest.raises(UserError, match="more possible triples than 64 bits can number"):
        NegativeSampler(TRIPLES, 10**9, 100, NegativesConfig())
