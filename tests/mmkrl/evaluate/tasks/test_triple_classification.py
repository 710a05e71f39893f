"""Thresholds, false triples and accuracies equal plain loops over every choice."""

import itertools
import math

import numpy as np
import pytest
import torch

from mmkrl.data.splits.names import TEST, TRAIN, VALIDATION
from mmkrl.data.views.graph import Graph
from mmkrl.errors import UserError
from mmkrl.evaluate.exact.triple_filter import KnownTriples
from mmkrl.evaluate.exact.triple_ranks import triple_scores
from mmkrl.evaluate.tasks.triple_classification import (
    best_threshold,
    classification_tasks,
    false_triples,
)
from tests.mmkrl.evaluate.plain_triples import (
    METRICS,
    Vectors,
    plain_score,
    random_triples,
    random_vectors,
)

ENTITIES, RELATIONS = 20, 3
MICRO, MACRO = "triple classification", "triple classification, mean of relations"


@pytest.fixture
def graph():
    """Relation 2 has no validation triple."""
    sizes = {"entities": ENTITIES, "relations": RELATIONS}
    triples = {
        split: random_triples(**sizes, count=count, seed=seed)
        for seed, (split, count) in enumerate({TRAIN: 90, VALIDATION: 45, TEST: 60}.items())
    }
    triples[VALIDATION] = triples[VALIDATION][triples[VALIDATION][:, 1] != 2]
    return Graph([str(e) for e in range(ENTITIES)], ["p", "q", "r"], triples)


def accuracy(threshold, true, false):
    right = sum(score > threshold for score in true) + sum(score <= threshold for score in false)
    return right / (len(true) + len(false))


def plain_threshold(true, false):
    scores = sorted({*true, *false})
    middles = [(a + b) / 2 for a, b in itertools.pairwise(scores)]
    return max([-math.inf, *middles, math.inf], key=lambda cut: accuracy(cut, true, false))


def plain_scores(scorer, triples):
    candidates = scorer.candidate_ED.tolist()
    scores = []
    for h, r, t in triples.tolist():
        head, relation, tail = (torch.tensor([each]) for each in (h, r, t))
        for_head = scorer.head_query(relation, tail)[0].tolist()
        for_tail = scorer.tail_query(head, relation)[0].tolist()
        both = (for_head, candidates[h]), (for_tail, candidates[t])
        scores.append(sum(plain_score(scorer.metric, *pair) for pair in both) / 2)
    return scores


@pytest.mark.parametrize("seed", range(20))
def test_the_best_threshold_equals_trying_all(seed):
    generator = np.random.default_rng(seed)
    true, false = generator.integers(0, 8, 9) / 4, generator.integers(-2, 6, 7) / 4
    assert best_threshold(true, false) == plain_threshold(true.tolist(), false.tolist())


def test_one_pair():
    assert best_threshold(np.array([3.0]), np.array([1.0])) == 2.0
    assert best_threshold(np.array([1.0]), np.array([3.0])) == -math.inf


@pytest.mark.parametrize("metric", METRICS)
def test_scores_equal_plain_loops(metric, graph):
    scorer = random_vectors(metric, entities=ENTITIES, relations=RELATIONS, width=4)
    found = triple_scores(scorer, graph.triples[TEST])
    np.testing.assert_array_equal(found, plain_scores(scorer, graph.triples[TEST]))


@pytest.mark.parametrize("split", [VALIDATION, TEST])
def test_false_triples_are_of_the_split_and_never_known(graph, split):
    true_N3 = graph.triples[split]
    false_N3 = false_triples(true_N3, KnownTriples.of(graph.known()), ENTITIES, seed=0)
    known = {tuple(triple) for triple in graph.known().tolist()}
    changed = {0: 0, 2: 0}
    for true, false in zip(true_N3.tolist(), false_N3.tolist(), strict=True):
        (place,) = (n for n in range(3) if true[n] != false[n])
        changed[place] += 1
        seen = {each[place] for each in true_N3.tolist() if each[1] == true[1]}
        free = {e for e in seen if (*true[:place], e, *true[place + 1 :]) not in known}
        assert tuple(false) not in known
        assert false[place] in free or not free
    assert min(changed.values()) > len(true_N3) / 4


def test_every_allowed_entity_is_drawn():
    """Heads 0, 1, 2 and tails 3, 4, 5 of one relation: each false triple is as likely."""
    known = np.array([[0, 0, 3], [1, 0, 4], [2, 0, 5]])
    drawn = {
        tuple(triple)
        for seed in range(60)
        for triple in false_triples(known, KnownTriples.of(known), 6, seed).tolist()
    }
    assert drawn == {(h, 0, t) for h in range(3) for t in range(3, 6)} - {
        (0, 0, 3),
        (1, 0, 4),
        (2, 0, 5),
    }


def test_the_seed_decides(graph):
    known = KnownTriples.of(graph.known())
    first, again, other = (
        false_triples(graph.triples[TEST], known, ENTITIES, seed) for seed in (4, 4, 5)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_a_relation_with_one_entity_in_a_place_takes_any_other():
    known = np.array([[0, 0, 1]])
    for seed in range(20):
        ((head, relation, tail),) = false_triples(known, KnownTriples.of(known), 4, seed).tolist()
        assert (head, relation, tail) != (0, 0, 1)
        assert (head == 0) != (tail == 1)


def test_a_place_without_any_false_entity_leaves_the_other_one():
    """All three tails of head 0 are known, but other heads are free."""
    known = np.array([[0, 0, 0], [0, 0, 1], [0, 0, 2]])
    for seed in range(10):
        false_N3 = false_triples(known, KnownTriples.of(known), 3, seed)
        assert (false_N3[:, 0] != 0).all()
        assert (false_N3[:, 2] == known[:, 2]).all()


def test_where_everything_is_true_nothing_is_made_false():
    known = np.array([[h, 0, t] for h in range(2) for t in range(2)])
    assert (false_triples(known, KnownTriples.of(known), 2, 0) == -1).all()


def test_accuracies_equal_plain_loops(graph):
    scorer = random_vectors("l1", entities=ENTITIES, relations=RELATIONS, width=3, whole=True)
    known = KnownTriples.of(graph.known())
    scored = {}
    for split in (VALIDATION, TEST):
        true_N3 = graph.triples[split]
        false_N3 = false_triples(true_N3, known, ENTITIES, seed=3)
        scores = plain_scores(scorer, true_N3), plain_scores(scorer, false_N3)
        scored[split] = list(zip(true_N3[:, 1].tolist(), *scores, strict=True))

    def threshold(rows):
        return plain_threshold([true for _, true, _ in rows], [false for _, _, false in rows])

    shared = threshold(scored[VALIDATION])
    own = {r: threshold([row for row in scored[VALIDATION] if row[0] == r]) for r in (0, 1)}
    right = [
        ((true > own.get(r, shared)) + (false <= own.get(r, shared))) / 2
        for r, true, false in scored[TEST]
    ]
    tasks = classification_tasks(graph, scorer, seed=3)
    assert tasks[MICRO].values["accuracy"].tolist() == right
    assert tasks[MICRO].groups.tolist() == list(range(60))
    by_relation = [
        np.mean([each for each, row in zip(right, scored[TEST], strict=True) if row[0] == r])
        for r in range(RELATIONS)
    ]
    np.testing.assert_allclose(tasks[MACRO].values["accuracy"], by_relation, rtol=1e-12)
    assert tasks[MACRO].groups.tolist() == [0, 1, 2]


def test_a_model_that_knows_is_right_and_one_that_does_not_is_at_chance():
    """Tails are their heads moved by 1, on a line, in one relation."""
    triples = np.array([[e, 0, e + 1] for e in range(40)])
    splits = {TRAIN: triples[::3], VALIDATION: triples[1::3], TEST: triples[2::3]}
    graph = Graph([str(e) for e in range(41)], ["next"], splits)
    line = Vectors("l1", torch.arange(41.0)[:, None], torch.ones(1, 1))
    same = Vectors("l1", torch.ones(41, 1), torch.ones(1, 1))
    assert classification_tasks(graph, line)[MICRO].values["accuracy"].mean() == 1.0
    assert classification_tasks(graph, same)[MICRO].values["accuracy"].mean() == 0.5


def test_triples_that_cannot_be_made_false_are_left_out():
    everything = np.array([[h, 0, t] for h in range(2) for t in range(2)])
    splits = {
        TRAIN: everything[:2],
        VALIDATION: np.array([[0, 1, 1]]),
        TEST: np.concatenate([everything[2:], [[1, 1, 0]]]),
    }
    graph = Graph(["a", "b"], ["all", "some"], splits)
    scorer = random_vectors("dot", entities=2, relations=2, width=4)
    task = classification_tasks(graph, scorer)[MICRO]
    assert task.groups.tolist() == [2]
    assert task.queries == 3


@pytest.mark.parametrize("split", [VALIDATION, TEST])
def test_an_empty_split_is_said(graph, split):
    empty = Graph(graph.entities, graph.relations, {**graph.triples, split: np.empty((0, 3), int)})
    scorer = random_vectors("l1", entities=ENTITIES, relations=RELATIONS, width=3)
    with pytest.raises(UserError, match=f"the graph has no {split} triples"):
        classification_tasks(empty, scorer)
