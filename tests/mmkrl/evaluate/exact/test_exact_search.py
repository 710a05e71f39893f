"""Exact search against plain loops: ties, equal items, collapsed spaces, neighbours."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from mmkrl.errors import UserError
from mmkrl.evaluate.exact import exact_search
from mmkrl.evaluate.exact.exact_search import best_items, nearest_neighbours
from mmkrl.evaluate.exact.rounding import lengths, product_error
from mmkrl.evaluate.exact.scores import Dot
from tests.mmkrl.evaluate.plain_triples import plain_score


def plain_best(query_QD, item_ID, k, left_out=None):
    """Positions by falling score, then by position; -1 and -inf where there are no more."""
    rows = []
    for q, query in enumerate(query_QD.tolist()):
        scored = [
            (-plain_score("dot", query, item), i)
            for i, item in enumerate(item_ID.tolist())
            if left_out is None or i != left_out[q]
        ]
        rows.append((sorted(scored) + [(np.inf, -1)] * k)[:k])
    score_QK, item_QK = np.array(rows).transpose(2, 0, 1)
    return item_QK.astype(int), -score_QK


def same(found, expected):
    np.testing.assert_array_equal(found.item_QK, expected[0])
    np.testing.assert_array_equal(found.score_QK, expected[1])


def whole(rows, width, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-2, 3, (rows, width), generator=generator).float()


def spread(rows, width, seed):
    """Vectors whose numbers differ by orders of magnitude, of any sign."""
    generator = np.random.default_rng(seed)
    scale = generator.choice([1e-6, 1e-2, 1.0, 1e3], (rows, width))
    return torch.from_numpy((generator.normal(size=(rows, width)) * scale).astype(np.float32))


def near(rows, width, seed):
    """Unit vectors in a cone so narrow that bfloat16 can hardly tell them apart."""
    generator = torch.Generator().manual_seed(seed)
    return normalize(1 + 0.02 * torch.randn(rows, width, generator=generator))


@pytest.mark.parametrize("make", [whole, spread, near])
@pytest.mark.parametrize("k", [1, 7, 300])
def test_the_best_items_are_those_of_plain_loops(make, k, monkeypatch):
    monkeypatch.setattr(exact_search, "_SCORES", 7 * 250)
    query_QD, item_ID = make(20, 33, 1), make(250, 33, 2)
    same(best_items(query_QD, item_ID, k), plain_best(query_QD, item_ID, k))


def test_one_item_may_be_left_out():
    query_QD, item_ID = whole(9, 4, 1), whole(40, 4, 2)
    left_out_Q = np.array([-1, 0, 39, *range(6)])
    found = best_items(query_QD, item_ID, 40, left_out_Q=left_out_Q)
    same(found, plain_best(query_QD, item_ID, 40, left_out_Q))
    assert found.item_QK[1:, -1].tolist() == [-1] * 8


@pytest.mark.parametrize("form", [whole, near])
def test_very_many_items_that_float32_cannot_tell_apart(form, monkeypatch):
    """Also where each query is searched for alone."""
    monkeypatch.setattr(exact_search, "_SCORES", 1)
    item_ID = form(3, 16, 0)[torch.arange(600) % 3]
    query_QD = form(10, 16, 1)
    same(best_items(query_QD, item_ID, 2), plain_best(query_QD, item_ID, 2))


def test_a_collapsed_space_is_ordered_by_position():
    vector_ND = torch.ones(800, 5)
    found = nearest_neighbours(vector_ND, 2)
    assert found.item_QK[:4].tolist() == [[1, 2], [0, 2], [0, 1], [0, 1]]


def test_neighbours_are_those_of_plain_loops():
    vector_ND = normalize(spread(60, 20, 4))
    same(nearest_neighbours(vector_ND, 59), plain_best(vector_ND, vector_ND, 59, range(60)))


@pytest.mark.parametrize("make", [spread, near])
@pytest.mark.parametrize("width", [1, 31, 700])
def test_fast_scores_are_within_their_bounds(make, width):
    query_QD, item_ID = make(50, width, 5), make(400, width, 6)
    exact_QI = query_QD.double() @ item_ID.double().T
    fast_QI = Dot().fast(query_QD, item_ID).double()
    error_Q = product_error(width, lengths(query_QD), float(lengths(item_ID).max()))
    assert bool(((fast_QI - exact_QI).abs() <= torch.from_numpy(error_Q)[:, None]).all())


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            lambda: best_items(whole(2, 3, 0), whole(2, 4, 0), 1),
            "queries have 3 dimensions, items 4",
        ),
        (lambda: best_items(whole(2, 3, 0), whole(2, 3, 0), 0), "k is 0"),
        (lambda: best_items(whole(2, 3, 0) / 0, whole(2, 3, 0), 1), "queries: 2 of 2 vectors hold"),
        (lambda: best_items(whole(2, 3, 0), torch.zeros(0, 3), 1), "items: shape"),
        (lambda: nearest_neighbours(whole(5, 3, 0), 5), "5 neighbours of each of 5 vectors"),
    ],
)
def test_what_cannot_be_searched_is_said_in_one_line(call, said):
    with pytest.raises(UserError, match=said):
        call()
