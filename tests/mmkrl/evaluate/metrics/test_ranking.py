"""Ranking metrics against plain loops over every order of tied items."""

import itertools
import math

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, ndcg_score
from torch import Tensor

from mmkrl.errors import UsageError, UserError
from mmkrl.evaluate.metrics.metric import Metric
from mmkrl.evaluate.metrics.ranking import RetrievalValues, ndcg, retrieval_metrics
from mmkrl.evaluate.metrics.registry import metric, metrics
from mmkrl.evaluate.metrics.relevance import SameLabel, SharedSlots

CUTOFFS = (1, 2, 5)
COUNT = Metric("relevant", lambda ranking: ranking.positions.valid_QM.sum(dim=1))
EVERY = (
    COUNT,
    *metrics("mAP", "MRR", "mean rank", "median rank", "MR"),
    *(metric(f"{family}{k}") for k in CUTOFFS for family in ("P@", "R@", "Hits@", "top-")),
)


def metrics_of_order(relevant: list[bool]) -> dict[str, float]:
    """Metrics of one strict order, from their definitions."""
    ranks = [rank for rank, hit in enumerate(relevant, start=1) if hit]
    values = {
        "mAP": sum(i / rank for i, rank in enumerate(ranks, start=1)) / len(ranks),
        "MRR": 1 / ranks[0],
        "relevant": float(len(ranks)),
    }
    values |= {name: float(ranks[0]) for name in ("mean rank", "median rank", "MR")}
    for k in CUTOFFS:
        values[f"P@{k}"] = sum(relevant[:k]) / k
        hit = float(any(relevant[:k]))
        values |= {f"{family}{k}": hit for family in ("R@", "Hits@", "top-")}
    return values


def orders(scores: list[float]) -> list[tuple[int, ...]]:
    """Every order of the items that is descending in score."""
    return [
        order
        for order in itertools.permutations(range(len(scores)))
        if all(scores[a] >= scores[b] for a, b in itertools.pairwise(order))
    ]


def expected_metrics(scores: list[float], relevant: list[bool]) -> dict[str, float]:
    """Mean of the metrics over every order of tied items."""
    rows = [metrics_of_order([relevant[i] for i in order]) for order in orders(scores)]
    return {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}


def as_vectors(score_QG: Tensor) -> tuple[Tensor, Tensor]:
    """Queries and gallery whose inner products are the given scores."""
    return score_QG.float(), torch.eye(score_QG.shape[1])


def random_pool(seed: int, queries: int, gallery: int) -> tuple[Tensor, Tensor, SameLabel]:
    generator = torch.Generator().manual_seed(seed)
    query_QD = torch.nn.functional.normalize(torch.randn(queries, 16, generator=generator))
    gallery_GD = torch.nn.functional.normalize(torch.randn(gallery, 16, generator=generator))
    label_Q = torch.randint(0, 12, (queries,), generator=generator)
    label_G = torch.randint(0, 12, (gallery,), generator=generator)
    return query_QD, gallery_GD, SameLabel(label_Q, label_G)


def assert_same(a: RetrievalValues, b: RetrievalValues) -> None:
    assert a.query_index.tolist() == b.query_index.tolist()
    assert a.skipped == b.skipped
    assert a.values.keys() == b.values.keys()
    for name, values in a.values.items():
        np.testing.assert_array_equal(values, b.values[name], err_msg=name)


@pytest.mark.parametrize("seed", range(12))
def test_ties_match_the_mean_over_every_order(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    score_QG = torch.randint(0, 3, (5, 6), generator=generator).float()
    label_Q = torch.randint(0, 2, (5,), generator=generator)
    label_G = torch.tensor([0, 1, *torch.randint(0, 2, (4,), generator=generator).tolist()])
    query_QD, gallery_GD = as_vectors(score_QG)

    found = retrieval_metrics(
        query_QD, gallery_GD, relevance=SameLabel(label_Q, label_G), metrics=EVERY, chunk=2
    )

    assert found.query_index.tolist() == list(range(5))
    for q in range(5):
        relevant = (label_G == label_Q[q]).tolist()
        expected = expected_metrics(score_QG[q].tolist(), relevant)
        assert found.values.keys() == expected.keys()
        for name, value in expected.items():
            assert found.values[name][q] == pytest.approx(value, abs=1e-12), name


@pytest.mark.parametrize("seed", range(6))
def test_ndcg_with_ties_matches_the_mean_over_every_order(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    score_QG = torch.randint(0, 3, (4, 6), generator=generator).float()
    slot_Q3 = torch.randint(0, 2, (4, 3), generator=generator)
    slot_G3 = torch.randint(0, 2, (6, 3), generator=generator)
    relevance = SharedSlots(slot_Q3, slot_G3)
    query_QD, gallery_GD = as_vectors(score_QG)

    found = ndcg(query_QD, gallery_GD, relevance=relevance, k=3, chunk=3)

    discounts = [1 / math.log2(rank + 1) for rank in (1, 2, 3)]
    for row, q in enumerate(found.query_index.tolist()):
        gains = [int((slot_Q3[q] == item_3).sum()) for item_3 in slot_G3]
        ideal = sum(g * d for g, d in zip(sorted(gains)[::-1], discounts, strict=False))
        rows = [
            sum(gains[i] * d for i, d in zip(order, discounts, strict=False)) / ideal
            for order in orders(score_QG[q].tolist())
        ]
        assert found.ndcg[row] == pytest.approx(sum(rows) / len(rows), abs=1e-12)


def test_without_ties_matches_scikit_learn() -> None:
    query_QD, gallery_GD, relevance = random_pool(0, queries=40, gallery=200)
    score_QG = (query_QD.double() @ gallery_GD.double().T).numpy()
    relevant_QG = relevance.chunk(torch.arange(40)).numpy()
    found = retrieval_metrics(query_QD, gallery_GD, relevance=relevance, metrics=EVERY)
    for q in range(40):
        wanted = average_precision_score(relevant_QG[q], score_QG[q])
        assert found.values["mAP"][q] == pytest.approx(wanted, abs=1e-12)


def test_ndcg_without_ties_matches_scikit_learn() -> None:
    query_QD, gallery_GD, _ = random_pool(1, queries=40, gallery=200)
    generator = torch.Generator().manual_seed(2)
    relevance = SharedSlots(
        torch.randint(0, 6, (40, 3), generator=generator),
        torch.randint(0, 6, (200, 3), generator=generator),
    )
    score_QG = (query_QD.double() @ gallery_GD.double().T).numpy()
    gain_QG = relevance.gain(torch.arange(40)).numpy()
    found = ndcg(query_QD, gallery_GD, relevance=relevance, k=10)
    wanted = [ndcg_score(gain_QG[q : q + 1], score_QG[q : q + 1], k=10) for q in range(40)]
    np.testing.assert_allclose(found.ndcg, wanted, atol=1e-12)


def test_chunks_do_not_change_the_values() -> None:
    query_QD, gallery_GD, relevance = random_pool(3, queries=53, gallery=90)
    gallery_GD[60:80] = gallery_GD[:20]
    whole = retrieval_metrics(query_QD, gallery_GD, relevance=relevance, metrics=EVERY, chunk=1000)
    for chunk in (1, 7, 53):
        part = retrieval_metrics(
            query_QD, gallery_GD, relevance=relevance, metrics=EVERY, chunk=chunk
        )
        assert_same(whole, part)


def test_gallery_order_does_not_change_the_values() -> None:
    query_QD, gallery_GD, relevance = random_pool(4, queries=30, gallery=90)
    gallery_GD[60:80] = gallery_GD[:20]
    order = torch.randperm(90, generator=torch.Generator().manual_seed(5))
    moved = SameLabel(relevance.query_label_Q, relevance.gallery_label_G[order])
    a = retrieval_metrics(query_QD, gallery_GD, relevance=relevance, metrics=EVERY)
    b = retrieval_metrics(query_QD, gallery_GD[order], relevance=moved, metrics=EVERY)
    assert_same(a, b)


def test_duplicates_tie_exactly_wherever_they_stand() -> None:
    generator = torch.Generator().manual_seed(6)
    gallery_GD = torch.nn.functional.normalize(torch.randn(1, 300, generator=generator))
    gallery_GD = gallery_GD.repeat(37, 1)
    query_QD = torch.nn.functional.normalize(torch.randn(5, 300, generator=generator))
    relevance = SameLabel(torch.arange(5), torch.arange(37))
    found = retrieval_metrics(query_QD, gallery_GD, relevance=relevance, metrics=EVERY)
    assert found.values["mean rank"].tolist() == [19.0] * 5


def test_constant_scorer_scores_at_the_random_level() -> None:
    gallery, relevant = 200, 8
    relevance = SameLabel(
        torch.zeros(3, dtype=torch.int64), (torch.arange(gallery) >= relevant).long()
    )
    chosen = metrics("mAP", "mean rank", "P@10", "R@10")
    found = retrieval_metrics(
        torch.ones(3, 4), torch.ones(gallery, 4), relevance=relevance, metrics=chosen
    )

    harmonic = sum(1 / rank for rank in range(1, gallery + 1))
    slope = (relevant - 1) / (gallery - 1)
    np.testing.assert_allclose(
        found.values["mAP"], harmonic / gallery * (1 - slope) + slope, rtol=1e-12
    )
    np.testing.assert_allclose(
        found.values["mean rank"], (gallery + 1) / (relevant + 1), rtol=1e-12
    )
    np.testing.assert_allclose(found.values["P@10"], relevant / gallery, rtol=1e-12)
    none = math.comb(gallery - relevant, 10) / math.comb(gallery, 10)
    np.testing.assert_allclose(found.values["R@10"], 1 - none, rtol=1e-9)


def test_excluded_item_is_as_if_absent() -> None:
    pool_ND, _, relevance = random_pool(7, queries=40, gallery=40)
    label_N = relevance.query_label_Q
    found = retrieval_metrics(
        pool_ND,
        pool_ND,
        relevance=SameLabel(label_N, label_N),
        metrics=EVERY,
        exclude_self=torch.arange(40),
    )
    for row, q in enumerate(found.query_index.tolist()):
        rest = torch.arange(40) != q
        alone = retrieval_metrics(
            pool_ND[q : q + 1],
            pool_ND[rest],
            relevance=SameLabel(label_N[q : q + 1], label_N[rest]),
            metrics=EVERY,
        )
        for name, values in alone.values.items():
            assert found.values[name][row] == values[0], name


def test_excluded_item_earns_no_gain() -> None:
    slot_N3 = torch.tensor([[0, 1, 2], [0, 1, 3], [4, 5, 6], [4, 5, 6]])
    vectors_ND = torch.eye(4)
    vectors_ND[1] = vectors_ND[0]
    found = ndcg(
        vectors_ND,
        vectors_ND,
        relevance=SharedSlots(slot_N3, slot_N3),
        exclude_self=torch.tensor([0, 1, 2, -1]),
    )
    assert found.query_index.tolist() == [0, 1, 2, 3]
    assert found.ndcg[:2].tolist() == [1.0, 1.0]
    assert found.ndcg[2] < 1.0
    assert found.ndcg[3] == pytest.approx(
        (3 + 3 * (1 / math.log2(3) + 0.5 + 1 / math.log2(5)) / 3) / (3 + 3 / math.log2(3))
    )


def test_queries_with_nothing_relevant_are_skipped_and_counted() -> None:
    query_QD, gallery_GD, _ = random_pool(8, queries=5, gallery=6)
    relevance = SameLabel(torch.tensor([9, 0, 9, 1, 9]), torch.tensor([0, 1, 0, 1, 0, 1]))
    found = retrieval_metrics(query_QD, gallery_GD, relevance=relevance, metrics=EVERY, chunk=2)
    assert found.query_index.tolist() == [1, 3]
    assert found.skipped == 3
    assert all(len(values) == 2 for values in found.values.values())


def test_scores_are_exact_where_float32_products_are_not() -> None:
    query_QD = torch.tensor([[1.0, 1e-4, -1.0]])
    gallery_GD = torch.tensor([[3e4, 1e-3, 3e4], [3e4, 0.0, 3e4]])
    relevance = SameLabel(torch.tensor([0]), torch.tensor([0, 1]))
    found = retrieval_metrics(query_QD, gallery_GD, relevance=relevance, metrics=EVERY)
    assert found.values["mean rank"].tolist() == [1.0]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_gives_the_values_of_the_cpu() -> None:
    query_QD, gallery_GD, relevance = random_pool(9, queries=50, gallery=80)
    gallery_GD[60:80] = gallery_GD[:20]
    on_cpu = retrieval_metrics(query_QD, gallery_GD, relevance=relevance, metrics=EVERY)
    on_gpu = retrieval_metrics(
        query_QD.cuda(), gallery_GD.cuda(), relevance=relevance, metrics=EVERY
    )
    for name, values in on_cpu.values.items():
        np.testing.assert_allclose(on_gpu.values[name], values, rtol=1e-9, err_msg=name)


def test_empty_gallery_is_told_in_one_line() -> None:
    relevance = SameLabel(torch.tensor([0]), torch.empty(0, dtype=torch.int64))
    with pytest.raises(UserError, match=r"^gallery: empty; there is nothing to rank$"):
        retrieval_metrics(torch.ones(1, 4), torch.empty(0, 4), relevance=relevance, metrics=EVERY)


def test_no_relevant_item_at_all_is_an_error() -> None:
    relevance = SameLabel(torch.tensor([0]), torch.tensor([1]))
    with pytest.raises(UserError, match="no query has a relevant item"):
        retrieval_metrics(torch.ones(1, 4), torch.ones(1, 4), relevance=relevance, metrics=EVERY)


@pytest.mark.parametrize(
    ("query_QD", "gallery_GD", "message"),
    [
        (torch.ones(2, 4), torch.ones(2, 3), "same space"),
        (torch.ones(2, 4), torch.tensor([[1.0, math.nan], [1, 1]]), "1 of 2 vectors hold NaN"),
        (torch.ones(2, 4, dtype=torch.int64), torch.ones(2, 4), "give floating vectors"),
        (torch.ones(3, 4), torch.ones(2, 4), "must agree"),
    ],
)
def test_unusable_vectors_are_refused(query_QD: Tensor, gallery_GD: Tensor, message: str) -> None:
    relevance = SameLabel(torch.tensor([0, 1]), torch.tensor([0, 1]))
    with pytest.raises(UserError, match=message):
        retrieval_metrics(query_QD, gallery_GD, relevance=relevance, metrics=EVERY)


@pytest.mark.parametrize("exclude_self", [torch.tensor([0]), torch.tensor([0, 2])])
def test_unusable_exclusions_are_refused(exclude_self: Tensor) -> None:
    relevance = SameLabel(torch.tensor([0, 1]), torch.tensor([0, 1]))
    with pytest.raises(UserError, match="exclude_self"):
        retrieval_metrics(
            torch.ones(2, 4),
            torch.ones(2, 4),
            relevance=relevance,
            metrics=EVERY,
            exclude_self=exclude_self,
        )


def test_empty_chunk_is_refused() -> None:
    relevance = SameLabel(torch.tensor([0]), torch.tensor([0]))
    with pytest.raises(UserError, match="chunk is 0"):
        retrieval_metrics(
            torch.ones(1, 4), torch.ones(1, 4), relevance=relevance, metrics=EVERY, chunk=0
        )


@pytest.mark.parametrize("name", ["R@0", "P@-1", "R@", "R@k"])
def test_unusable_cutoffs_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="metric"):
        metric(name)


def test_a_metric_that_gives_no_number_a_query_is_refused() -> None:
    relevance = SameLabel(torch.tensor([0, 0]), torch.tensor([0]))
    total = Metric("total", lambda ranking: ranking.rank_Q.sum())
    with pytest.raises(UserError, match=r"'total' gave values of shape \(\) .* one number a query"):
        retrieval_metrics(torch.ones(2, 4), torch.ones(1, 4), relevance=relevance, metrics=[total])


def test_two_metrics_of_one_name_are_refused() -> None:
    relevance = SameLabel(torch.tensor([0]), torch.tensor([0]))
    mine = Metric("mAP", lambda ranking: ranking.rank_Q)
    with pytest.raises(UserError, match="two metrics are called 'mAP'"):
        retrieval_metrics(
            torch.ones(1, 4), torch.ones(1, 4), relevance=relevance, metrics=[mine, metric("mAP")]
        )
