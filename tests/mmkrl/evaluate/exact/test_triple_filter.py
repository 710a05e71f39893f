"""Known answers by query equal a dictionary of sets."""

import numpy as np

from mmkrl.evaluate.exact.triple_filter import KnownTriples
from tests.mmkrl.evaluate.plain_triples import random_triples


def as_sets(others):
    return [
        set(others.entity_K[start:stop].tolist())
        for start, stop in zip(others.start_Q, others.stop_Q, strict=True)
    ]


def test_answers_equal_sets_in_both_directions():
    known_N3 = random_triples(entities=12, relations=3, count=150)
    known = KnownTriples.of(np.concatenate([known_N3, known_N3[:40]]))
    pairs = np.array([(e, r) for e in range(14) for r in range(5)])  # some occur nowhere
    tails, heads = known.tails_of(*pairs.T), known.heads_of(*pairs[:, ::-1].T)
    assert as_sets(tails) == [{t for h, r, t in known_N3 if (h, r) == (e, p)} for e, p in pairs]
    assert as_sets(heads) == [{h for h, r, t in known_N3 if (t, r) == (e, p)} for e, p in pairs]


def test_answers_are_ascending_and_each_once():
    known = KnownTriples.of(np.array([[0, 0, 3], [0, 0, 1], [0, 0, 3], [0, 0, 2]]))
    assert known.tails.entity_K.tolist() == [1, 2, 3]


def test_what_is_known_equals_a_set():
    known_N3 = random_triples(entities=8, relations=2, count=60)
    asked_N3 = random_triples(entities=10, relations=3, count=200, seed=1)
    expected = {tuple(triple) for triple in known_N3.tolist()}
    found = KnownTriples.of(known_N3).hold(asked_N3)
    assert found.tolist() == [tuple(triple) in expected for triple in asked_N3.tolist()]
    assert 0 < found.sum() < len(found)


def test_nothing_is_known():
    known = KnownTriples.of(np.empty((0, 3), np.int64))
    asked_N3 = np.array([[0, 0, 0], [3, 2, 1]])
    assert not known.hold(asked_N3).any()
    assert as_sets(known.tails_of(asked_N3[:, 0], asked_N3[:, 1])) == [set(), set()]
