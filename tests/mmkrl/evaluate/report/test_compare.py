"""Comparisons against plain loops; what cannot be compared is refused, or told."""

import numpy as np
import pytest

from mmkrl.errors import UserError
from mmkrl.evaluate.report.compare import Side, compare, figures
from mmkrl.evaluate.report.evaluation import Evaluation
from tests.support.evaluations import CONFIG, METRIC, QUERIES, RELATIONS, TASK, dataset, evaluation

SEED = np.random.default_rng(0)
BASE = SEED.uniform(0.2, 0.6, (2, len(QUERIES)))
BETTER = BASE + SEED.uniform(-0.1, 0.3, BASE.shape)
BETTER[:, 3] = BASE[:, 3]


def side(name, made, method="ours"):
    return Side(name, Evaluation.of(made), method)


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    folder = tmp_path_factory.mktemp("workspace")
    first = evaluation(folder, "first", {"ours": BASE, "chance": BASE * 0 + 0.1})
    other = evaluation(folder, "other", {"ours": BETTER, "chance": BASE * 0 + 0.1})
    return [side("A", first), side("B", other)]


@pytest.fixture(scope="module")
def compared(sides):
    return compare(sides, CONFIG)


def test_differences_are_those_of_the_queries_averaged_over_seeds(compared):
    (number,) = [one for one in compared.numbers if one.headlined]
    assert number.headline == (TASK, METRIC)
    assert [round(value.mean, 9) for value in number.values] == [
        round(float(BASE.mean()), 9),
        round(float(BETTER.mean()), 9),
    ]
    (difference,) = number.differences
    expected = [sum(BETTER[s, q] - BASE[s, q] for s in range(2)) / 2 for q in range(len(QUERIES))]
    assert difference.interval.mean == pytest.approx(sum(expected) / len(expected))
    assert difference.queries == len(QUERIES)
    assert difference.interval.low < difference.interval.mean < difference.interval.high
    assert (difference.p < 0.05) == (difference.interval.low > 0)
    assert figures(compared)["B/text-image/mAP"] == difference.interval.mean


def test_a_median_has_no_paired_difference(compared):
    (number,) = [one for one in compared.numbers if not one.headlined]
    assert (number.headline, number.differences) == ((TASK, "median rank"), [None])
    assert number.sign == -1


def test_wins_and_losses_by_relation_are_counted(compared):
    (against,) = compared.against
    gained = BETTER.mean(axis=0) - BASE.mean(axis=0)
    for relation in against.relations:
        own = [
            difference
            for difference, name in zip(gained, RELATIONS, strict=True)
            if name == relation.name
        ]
        assert relation.better == sum(value > 0 for value in own)
        assert relation.equal == sum(value == 0 for value in own)
        assert relation.worse == sum(value < 0 for value in own)
        assert relation.mean == pytest.approx(sum(own) / len(own))
    assert {one.name for one in against.relations} == set(RELATIONS)
    assert sum(one.equal for one in against.relations) == 1


def test_the_queries_that_differ_most_come_first(compared):
    (against,) = compared.against
    gained = BETTER.mean(axis=0) - BASE.mean(axis=0)
    order = np.argsort(-gained)
    assert [query.name for query in against.gained] == [QUERIES[q] for q in order[:6]]
    assert against.lost[0].name == QUERIES[order[-1]]
    assert all(query.difference < 0 for query in against.lost)
    assert against.gained[0].relation == against.gained[0].name.split(" | ")[1]


def test_a_method_beside_another_of_the_same_evaluation(sides):
    found = compare([sides[0], side("B", sides[0].evaluation.dataset, "chance")], CONFIG)
    (number,) = [one for one in found.numbers if one.headlined]
    assert number.differences[0].interval.high < 0
    assert not found.problems


def test_other_data_are_refused_and_told_if_compared_anyway(sides, tmp_path):
    fewer = evaluation(
        tmp_path, "fewer", {"ours": BETTER[:, 5:][:, ::-1]}, data="new", queries=QUERIES[:4:-1]
    )
    other = side("B", fewer)
    with pytest.raises(UserError, match=r"A and B stand on different data: mine is .*--anyway"):
        compare([sides[0], other], CONFIG)
    found = compare([sides[0], other], CONFIG, anyway=True)
    assert [problem.partition(":")[0] for problem in found.problems] == [
        "A and B stand on different data",
        f"A and B have different pools for {TASK}",
    ]
    (number,) = [one for one in found.numbers if one.headlined]
    gained = BETTER.mean(axis=0) - BASE.mean(axis=0)
    assert number.differences[0].interval.mean == pytest.approx(float(gained[5:].mean()))
    assert number.differences[0].queries == len(QUERIES) - 5


def test_without_a_common_query_there_is_nothing_to_compare(sides, tmp_path):
    strange = evaluation(
        tmp_path, "strange", {"ours": BASE}, queries=[f"x{query}" for query in QUERIES]
    )
    with pytest.raises(UserError, match="share no query of 'text-image mAP'"):
        compare([sides[0], side("B", strange)], CONFIG, anyway=True)


def test_one_evaluation_is_no_comparison(sides):
    with pytest.raises(UserError, match="name at least two"):
        compare(sides[:1], CONFIG)


def test_what_is_no_evaluation_or_an_old_one_is_told(tmp_path):
    with pytest.raises(UserError, match="is the output of 'mine'"):
        Evaluation.of(dataset(tmp_path, "mine", "key", {}, {}))
    with pytest.raises(UserError, match=r"no values by query.*--force"):
        Evaluation.of(dataset(tmp_path, "evaluate", "key", {}, {}))
