"""Every task of link prediction equals a loop over the triples it is about."""

import numpy as np
import pytest

from mmkrl.data.graphs.statistics import inverse_in_train
from mmkrl.data.splits.names import TEST, TRAIN, VALIDATION
from mmkrl.data.views.graph import Graph
from mmkrl.errors import UserError
from mmkrl.evaluate.config import EvaluateConfig
from mmkrl.evaluate.exact.triple_filter import KnownTriples
from mmkrl.evaluate.exact.triple_ranks import triple_ranks
from mmkrl.evaluate.report.summary import summarise
from mmkrl.evaluate.tasks import link_prediction
from mmkrl.evaluate.tasks.link_prediction import link_prediction_tasks, tasks_of_ranks
from tests.mmkrl.evaluate.plain_triples import plain_ranks, random_triples, random_vectors

ENTITIES, RELATIONS = 15, 4
METRICS = ("MR", "MRR", "Hits@1", "Hits@3", "Hits@10")


@pytest.fixture(scope="module")
def graph():
    """Relation 3 leads from every entity to its neighbour, so it is of one to one."""
    sizes = {"entities": ENTITIES, "relations": RELATIONS - 1}
    triples = {
        split: random_triples(**sizes, count=count, seed=seed)
        for seed, (split, count) in enumerate({TRAIN: 120, VALIDATION: 20, TEST: 50}.items())
    }
    neighbours = np.array([[e, 3, (e + 1) % ENTITIES] for e in range(ENTITIES)])
    triples[TRAIN] = np.concatenate([triples[TRAIN], neighbours[:-4]])
    triples[TEST] = np.concatenate([triples[TEST], neighbours[-4:], triples[TEST][:3]])
    names = [f"e{n:02}" for n in range(ENTITIES)], [f"r{n}" for n in range(RELATIONS)]
    return Graph(*names, triples)


@pytest.fixture(scope="module")
def scorer():
    return random_vectors("l1", entities=ENTITIES, relations=RELATIONS, width=5, whole=True)


@pytest.fixture
def pictured_E():
    return np.arange(ENTITIES) % 3 == 0


@pytest.fixture(autouse=True)
def fewer_triples(monkeypatch):
    monkeypatch.setattr(link_prediction, "FEWEST_TRIPLES", 15)


def expected(graph, scorer, kept, rows=(1, 3), split=TEST):
    """Metrics of some triples from plain ranks (rows: head raw, filtered, tail raw, filtered)."""
    ranks = plain_ranks(scorer, graph.triples[split], graph.known())
    rank = [ranks[row][n] for row in rows for n in kept]
    return {
        "MR": rank,
        "MRR": [1 / each for each in rank],
        **{f"Hits@{k}": [float(each <= k) for each in rank] for k in (1, 3, 10)},
    }


def assert_values(task, values, kept, sides):
    for name in METRICS:
        np.testing.assert_array_equal(task.values[name], values[name], err_msg=name)
    assert list(task.values) == list(METRICS)
    assert task.groups.tolist() == [*kept] * sides
    assert task.queries == len(kept) * sides
    assert task.gallery == ENTITIES


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("link prediction", (1, 3)),
        ("link prediction, heads", (1,)),
        ("link prediction, tails", (3,)),
        ("link prediction, raw", (0, 2)),
    ],
)
def test_sides_and_filters(graph, scorer, pictured_E, name, rows):
    task = link_prediction_tasks(graph, scorer, pictured_E)[name]
    everything = range(len(graph.triples[TEST]))
    assert_values(task, expected(graph, scorer, everything, rows), everything, len(rows))


def selections(graph, pictured_E):
    """Which test triples each task is about, by loops."""
    train = [tuple(triple) for triple in graph.triples[TRAIN].tolist()]
    test = [tuple(triple) for triple in graph.triples[TEST].tolist()]
    categories = {}
    for relation in {r for _, r, _ in train}:
        pairs = {(h, t) for h, r, t in train if r == relation}
        tails_a_head = len(pairs) / len({h for h, _ in pairs})
        heads_a_tail = len(pairs) / len({t for _, t in pairs})
        sides = ["N" if average >= 1.5 else "1" for average in (heads_a_tail, tails_a_head)]
        categories[relation] = "-".join(sides)
    images = {0: "neither entity", 1: "one entity", 2: "both entities"}
    found = {}
    for n, (h, r, t) in enumerate(test):
        names = [categories[r], f"images of {images[int(pictured_E[h]) + int(pictured_E[t])]}"]
        if not any((other_h, other_t) == (t, h) for other_h, _, other_t in train):
            names.append("no inverse in train")
        if sum(other == r for _, other, _ in test) >= 15:
            names.append(f"relation r{r}")
        for name in names:
            found.setdefault(f"link prediction, {name}", []).append(n)
    return found


def test_every_selection_equals_a_loop(graph, scorer, pictured_E):
    tasks = link_prediction_tasks(graph, scorer, pictured_E)
    wanted = selections(graph, pictured_E)
    whole = {"", ", heads", ", tails", ", raw"}
    assert set(tasks) == set(wanted) | {f"link prediction{end}" for end in whole}
    assert {"link prediction, 1-1", "link prediction, N-N", "link prediction, relation r0"} <= set(
        wanted
    )
    assert "link prediction, relation r3" not in wanted
    for name, kept in wanted.items():
        assert 0 < len(kept) < len(graph.triples[TEST]), name
        assert_values(tasks[name], expected(graph, scorer, kept), kept, 2)


@pytest.mark.parametrize("pictured", [True, False])
def test_a_selection_without_triples_has_no_task(graph, scorer, pictured):
    tasks = link_prediction_tasks(graph, scorer, np.full(ENTITIES, pictured))
    shown = [name for name in tasks if "images of" in name]
    assert shown == [
        f"link prediction, images of {'both entities' if pictured else 'neither entity'}"
    ]
    everything = range(len(graph.triples[TEST]))
    assert_values(tasks[shown[0]], expected(graph, scorer, everything), everything, 2)


def test_any_split(graph, scorer, pictured_E):
    task = link_prediction_tasks(graph, scorer, pictured_E, split=VALIDATION)["link prediction"]
    kept = range(20)
    assert_values(task, expected(graph, scorer, kept, split=VALIDATION), kept, 2)


def test_an_empty_split_is_said(graph, scorer, pictured_E):
    empty = Graph(graph.entities, graph.relations, {**graph.triples, TEST: np.empty((0, 3), int)})
    with pytest.raises(UserError, match="the graph has no test triples"):
        link_prediction_tasks(empty, scorer, pictured_E)


def test_ranks_that_were_computed_elsewhere(graph, scorer, pictured_E):
    known = KnownTriples.of(graph.known())
    ranks = triple_ranks(scorer, graph.triples[TEST], known=known)
    there = tasks_of_ranks(graph, ranks, pictured_E)
    here = link_prediction_tasks(graph, scorer, pictured_E)
    assert list(there) == list(here)
    for name, task in here.items():
        np.testing.assert_array_equal(there[name].values["MR"], task.values["MR"])


def test_a_relation_that_training_never_saw(graph, scorer, pictured_E):
    kept = graph.triples[TRAIN][graph.triples[TRAIN][:, 1] != 0]
    fewer = Graph(graph.entities, graph.relations, {**graph.triples, TRAIN: kept})
    tasks = link_prediction_tasks(fewer, scorer, pictured_E)
    assert "link prediction, relation r0" in tasks
    counted = sum(
        tasks[name].queries for name in tasks if name[-3:] in {"1-1", "1-N", "N-1", "N-N"}
    )
    assert counted == 2 * (graph.triples[TEST][:, 1] != 0).sum()


def test_inverse_under_any_relation():
    train = np.array([[0, 0, 1], [2, 1, 3]])
    graph = Graph(list("abcd"), ["p", "q"], {TRAIN: train})
    asked = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 1], [3, 0, 2], [2, 0, 3]])
    assert inverse_in_train(graph, asked).tolist() == [True, True, False, True, False]


def test_intervals_resample_triples(graph, scorer, pictured_E):
    tasks = link_prediction_tasks(graph, scorer, pictured_E)
    scores = summarise({"model": [tasks]}, EvaluateConfig(resamples=100))["model"]
    interval = scores["link prediction"].metrics["MRR"]
    assert interval.n_groups == len(graph.triples[TEST])
    assert interval.low < interval.mean < interval.high
    assert scores["link prediction"].skipped == 0
