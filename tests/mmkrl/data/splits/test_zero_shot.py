"""A zero-shot split keeps its promises on any set of relationships, and leaks are noticed."""

from __future__ import annotations

import random
from collections import Counter, defaultdict

import pytest

from mmkrl.data.splits.names import TEST, TRAIN, UNSEEN_SOURCE, VALIDATION
from mmkrl.data.splits.zero_shot import SplitConfig, Triple, leak_checks, split_pairs
from mmkrl.errors import UserError


def drawn(seed: int) -> list[Triple]:
    """Random relationships; several share a pair and differ in the predicate or the order."""
    source = random.Random(seed)
    entities, predicates = source.randint(9, 14), source.randint(3, 4)
    triples = set()
    for _ in range(source.randint(60, 160)):
        subject, object_ = (f"e{source.randrange(entities)}" for _ in range(2))
        pair = " + ".join(sorted((subject, object_)))
        triples.add(Triple(subject, f"p{source.randrange(predicates)}", object_, pair))
    return sorted(triples)


def by_split(triples, split) -> dict[str, list[Triple]]:
    groups = defaultdict(list)
    for triple in triples:
        groups[split[triple.pair]].append(triple)
    return groups


@pytest.mark.parametrize("seed", range(40))
def test_promises(seed):
    triples = drawn(seed)
    config = SplitConfig(seed=seed)
    split = split_pairs(triples, config)
    assert split.keys() == {triple.pair for triple in triples}
    groups = by_split(triples, split)
    entities = {part for t in groups[TRAIN] for part in (t.subject, t.object)}
    predicates = {t.predicate for t in groups[TRAIN]}
    held = groups[VALIDATION] + groups[TEST]
    assert groups[VALIDATION]
    assert groups[TEST]
    for triple in held:
        assert {triple.subject, triple.object} <= entities
        assert triple.predicate in predicates
    trained = {frozenset((t.subject, t.object)) for t in groups[TRAIN]}
    assert not trained & {frozenset((t.subject, t.object)) for t in held}
    counts = Counter(split.values())
    assert counts[TEST] <= max(1, round(config.test * len(split)))
    checks = leak_checks(
        {str(t): t for t in triples}, {str(t): split[t.pair] for t in triples}, {}, set(), None
    )
    assert [check.violations for check in checks] == [0] * len(checks)


def test_the_wanted_shares_are_reached_when_parts_abound():
    triples = [Triple(f"s{i}", "p", f"o{j}", f"{i}|{j}") for i in range(20) for j in range(20)]
    counts = Counter(split_pairs(triples, SplitConfig(test=0.2, validation=0.1)).values())
    assert counts == {TEST: 80, VALIDATION: 32, TRAIN: 288}


def test_the_split_is_a_function_of_the_seed():
    triples = drawn(3)
    shuffled = random.Random(0).sample(triples, len(triples))
    assert split_pairs(triples, SplitConfig()) == split_pairs(shuffled, SplitConfig())
    assert split_pairs(triples, SplitConfig()) != split_pairs(triples, SplitConfig(seed=1))


@pytest.mark.parametrize("seed", range(10))
def test_pairs_with_a_train_only_predicate_stay(seed):
    triples = drawn(seed)
    split = split_pairs(triples, SplitConfig(seed=seed, train_only=("p0",)))
    assert {split[triple.pair] for triple in triples if triple.predicate == "p0"} == {TRAIN}
    assert TEST in split.values()


@pytest.mark.parametrize(
    ("triples", "train_only", "told"),
    [
        ([Triple(f"s{i}", "p", f"o{i}", str(i)) for i in range(9)], (), "occurs nowhere else"),
        (drawn(0), ("p0", "p1", "p2", "p3"), r"split\.train_only"),
        (
            [Triple(s, "p", o, s + o) for s, o in ("ac", "ad", "bc")],
            (),
            "no pair can be held out for validation",
        ),
    ],
)
def test_an_impossible_split_is_told(triples, train_only, told):
    with pytest.raises(UserError, match=told):
        split_pairs(triples, SplitConfig(train_only=train_only))


CLEAN = {
    "a": (Triple("s", "p", "o", "s|o"), TRAIN),
    "b": (Triple("x", "p", "y", "x|y"), TRAIN),
    "c": (Triple("s", "p", "y", "s|y"), VALIDATION),
    "d": (Triple("x", "p", "o", "x|o"), TEST),
}
PAIR, SEEN = "held-out pair also in training", "held-out part or predicate unseen in training"
TRIPLE, BOTH = "held-out triple also in training", "pair in both validation and test"
IMAGE, SOURCE = "image in two splits", "training image of the unseen source"


def broken(planted=None, images=None, sources=frozenset({"web"})) -> dict[str, int]:
    items = CLEAN | (planted or {})
    checks = leak_checks(
        {key: triple for key, (triple, _) in items.items()},
        {key: name for key, (_, name) in items.items()},
        images or {TRAIN: {"1"}, VALIDATION: {"2"}, TEST: {"3"}, UNSEEN_SOURCE: {"2", "3", "4"}},
        set(sources),
        "vendor",
    )
    return {check.name: check.violations for check in checks if check.violations}


def test_a_clean_split_has_no_violations():
    assert broken() == {}


@pytest.mark.parametrize(
    ("planted", "expected"),
    [
        ((Triple("s", "p", "o", "renamed"), TEST), {TRIPLE: 1}),
        ((Triple("o", "p", "s", "s|o"), TEST), {PAIR: 1}),
        ((Triple("y", "p", "s", "s|y"), TEST), {BOTH: 1}),
        ((Triple("new", "p", "o", "new|o"), VALIDATION), {SEEN: 1}),
        ((Triple("s", "new", "x", "s|x"), TEST), {SEEN: 1}),
    ],
)
def test_a_planted_relationship_is_noticed(planted, expected):
    assert broken({"e": planted}) == expected


@pytest.mark.parametrize(
    "splits",
    [(TRAIN, VALIDATION), (TRAIN, TEST), (VALIDATION, TEST), (TRAIN, UNSEEN_SOURCE)],
)
def test_a_planted_image_is_noticed(splits):
    assert broken(images={name: {name, "shared"} for name in splits}) == {IMAGE: 1}


def test_a_training_image_of_the_unseen_source_is_noticed():
    assert broken(sources={"web", "vendor"}) == {SOURCE: 1}
