"""Every graph score against plain loops, and one of which only the score of a pair is known."""

import math
from itertools import combinations

import numpy as np
import pytest
import torch

from mmkrl.errors import UsageError, UserError
from mmkrl.evaluate.exact.rounding import lengths
from mmkrl.evaluate.exact.scores import GRAPH_SCORES, L1, GraphScore, graph_score, modulus
from mmkrl.evaluate.exact.triple_filter import KnownTriples
from mmkrl.evaluate.exact.triple_ranks import triple_ranks, triple_scores
from tests.mmkrl.evaluate.plain_triples import (
    METRICS,
    Vectors,
    as_rows,
    plain_ranks,
    plain_score,
    random_triples,
    random_vectors,
)

OWN = "python:tests.support.own_graph_model:Soft"
EVERY = pytest.mark.parametrize("name", [*METRICS, OWN])


def loop(name, query, answer):
    """What evaluations compare, by its definition."""
    if name == OWN:
        return -sum(math.log(math.cosh(q - a)) for q, a in zip(query, answer, strict=True))
    return plain_score(name, query, answer)


def vectors(queries, answers, width=8):
    generator = torch.Generator().manual_seed(queries)
    every = torch.randn(queries + answers, width, generator=generator)
    return every[:queries].contiguous(), every[queries:].contiguous()


def test_every_score_is_tested_here():
    assert set(METRICS) == set(GRAPH_SCORES.names())


@EVERY
def test_pairs_and_exact_scores_are_those_of_a_loop(name):
    score, (query_UD, answer_ED) = graph_score(name), vectors(5, 7)
    row_Q, answer_Q = np.array([0, 4, 4, 2]), np.array([6, 0, 3, 3])
    expected = [
        loop(name, query_UD[u].tolist(), answer_ED[e].tolist())
        for u, e in zip(row_Q, answer_Q, strict=True)
    ]
    assert score.exact(query_UD, answer_ED, row_Q, answer_Q) == pytest.approx(expected, rel=1e-12)
    found_Q = score.pair(query_UD[torch.from_numpy(row_Q)], answer_ED[torch.from_numpy(answer_Q)])
    assert score.comparable(found_Q).tolist() == pytest.approx(expected, rel=1e-5)


@EVERY
def test_blocks_are_all_pairs(name):
    score = graph_score(name)
    query_CND, answer_CKD = torch.randn(2, 3, 6), torch.randn(2, 4, 6)
    score_CNK = score.block(query_CND, answer_CKD)
    for c in range(2):
        for n in range(3):
            pairs_K = score.pair(query_CND[c, n].expand(4, 6), answer_CKD[c])
            torch.testing.assert_close(score_CNK[c, n], pairs_K)


@EVERY
def test_pairs_have_the_gradient_of_finite_differences(name):
    torch.manual_seed(0)
    given = [torch.randn(4, 6, dtype=torch.double, requires_grad=True) for _ in range(2)]
    assert torch.autograd.gradcheck(graph_score(name).pair, given)


@EVERY
@pytest.mark.parametrize("width", [2, 34])
def test_fast_scores_settle_nothing_wrongly(name, width):
    """A fast score beyond its bounds is of a candidate that is exactly better, or worse."""
    score, (query_UD, answer_BD) = graph_score(name), vectors(6, 300, width)
    every_U, every_B = np.indices((6, 300)).reshape(2, -1)
    exact_UB = score.exact(query_UD, answer_BD, every_U, every_B).reshape(6, 300)
    fast_UB, settled = score.fast(query_UD, answer_BD).numpy(), 0
    for target in range(20):
        low_U, high_U = score.bounds(lengths(query_UD), answer_BD, exact_UB[:, target])
        above_UB, below_UB = fast_UB > high_U[:, None], fast_UB < low_U[:, None]
        assert (exact_UB > exact_UB[:, [target]])[above_UB].all()
        assert (exact_UB < exact_UB[:, [target]])[below_UB].all()
        settled += int((above_UB | below_UB).sum())
    tied = (exact_UB[:, :20, None] == exact_UB[:, None]).sum()
    assert settled > 0.98 * (20 * fast_UB.size - tied)


@EVERY
def test_swapped_answers_find_queries_with_the_same_scores(name):
    score, (query_ND, answer_ND) = graph_score(name), vectors(9, 9)
    torch.testing.assert_close(
        score.pair(*score.swapped(query_ND, answer_ND)), score.pair(query_ND, answer_ND)
    )


def test_the_modulus_has_a_gradient_of_zero_at_zero():
    vector_ND = torch.zeros(2, 4, requires_grad=True)
    modulus(vector_ND).sum().backward()
    assert not vector_ND.grad.any()


SIZES = {"entities": 23, "relations": 3}


def test_a_score_of_ones_own_is_ranked_as_by_plain_loops(monkeypatch):
    known_N3 = random_triples(**SIZES, count=400)
    scorer = random_vectors(OWN, **SIZES, width=6)
    found = triple_ranks(scorer, known_N3[:60], known=KnownTriples.of(known_N3))
    monkeypatch.setattr("tests.mmkrl.evaluate.plain_triples.plain_score", loop)
    np.testing.assert_array_equal(as_rows(found), plain_ranks(scorer, known_N3[:60], known_N3))


@pytest.mark.parametrize("width", [3, 50])
def test_equal_candidates_tie_in_a_score_of_ones_own(width):
    """Seven different vectors for 2,300 entities, wherever they stand in a batch."""
    scorer = random_vectors(OWN, entities=2300, relations=3, width=width)
    same = Vectors(OWN, scorer.entity_ED[torch.arange(2300) % 7], scorer.relation_RD)
    triples = random_triples(entities=2300, relations=3, count=20)
    ranks = as_rows(triple_ranks(same, triples, known=None))[[0, 2]]
    # 4 vectors have 329 copies, 3 have 328; all copies of a vector are ahead, or none.
    copies = np.bincount(np.arange(2300) % 7)
    ahead = {sum(some) for k in range(7) for some in combinations(copies.tolist(), k)}
    for rank in ranks.reshape(-1):
        assert {rank - 1 - (count - 1) / 2 for count in (328, 329)} & ahead


class PlainL1(GraphScore):
    """L1 by its definition alone."""

    def pair(self, query_ND, answer_ND):
        return -(query_ND - answer_ND).abs().sum(dim=-1)


@pytest.mark.parametrize("whole", [True, False], ids=["ties", "no ties"])
def test_what_is_optional_changes_no_rank(whole):
    known_N3 = random_triples(**SIZES, count=400)
    vectors = random_vectors("l1", **SIZES, width=6, whole=whole)

    class Plain(Vectors):
        score = PlainL1()

    plain = Plain("l1", vectors.entity_ED, vectors.relation_RD)
    known = KnownTriples.of(known_N3)
    both = [as_rows(triple_ranks(one, known_N3, known=known)) for one in (vectors, plain)]
    np.testing.assert_array_equal(*both)
    expected = triple_scores(vectors, known_N3)
    assert triple_scores(plain, known_N3) == pytest.approx(expected, rel=1e-12)
    assert type(vectors.score) is L1


def test_a_score_that_is_no_number_a_pair_is_told():
    triples = random_triples(**SIZES, count=5)
    scorer = random_vectors("python:tests.support.own_graph_model:Unsummed", **SIZES, width=6)
    with pytest.raises(UserError, match=r"Unsummed gives shape .* must return one score a pair"):
        triple_ranks(scorer, triples, known=None)


def test_what_is_no_graph_score_is_told():
    with pytest.raises(UsageError, match="no graph score is called 'l3'; known: l2, l1"):
        graph_score("l3")
    with pytest.raises(UserError, match="'python:math:sqrt' is no graph score"):
        graph_score("python:math:sqrt")
