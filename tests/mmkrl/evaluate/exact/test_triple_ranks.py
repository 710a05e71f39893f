"""Ranks of heads and tails equal plain loops, to the last tie, however they are computed."""

import numpy as np
import pytest
import torch

from mmkrl.errors import UserError
from mmkrl.evaluate.exact import triple_counts
from mmkrl.evaluate.exact.triple_filter import KnownTriples
from mmkrl.evaluate.exact.triple_ranks import triple_ranks
from tests.mmkrl.evaluate.plain_triples import (
    METRICS,
    Vectors,
    as_rows,
    plain_ranks,
    random_triples,
    random_vectors,
)

SIZES = {"entities": 23, "relations": 3}


@pytest.fixture
def known_N3():
    """Dense enough that every query has several known answers."""
    return random_triples(**SIZES, count=400)


@pytest.fixture(params=["compiled", "torch"])
def path(request, monkeypatch):
    """The compiled loops, and what a device without them does."""
    if request.param == "torch":
        monkeypatch.setattr(triple_counts, "_count_compiled", triple_counts._count_with_torch)


def assert_plain(scorer, triples, known_N3, **settings):
    found = triple_ranks(scorer, triples, known=KnownTriples.of(known_N3), **settings)
    np.testing.assert_array_equal(as_rows(found), plain_ranks(scorer, triples, known_N3))


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("whole", [True, False], ids=["ties", "no ties"])
def test_ranks_equal_plain_loops(metric, whole, known_N3):
    scorer = random_vectors(metric, **SIZES, width=6, whole=whole)
    assert_plain(scorer, known_N3[:60], known_N3)


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("metric", METRICS)
def test_equal_candidates_tie(metric, known_N3):
    """Seven different vectors for 23 entities: never told apart by how a sum was taken."""
    scorer = random_vectors(metric, **SIZES, width=50)
    same = Vectors(metric, scorer.entity_ED[torch.arange(23) % 7], scorer.relation_RD)
    assert_plain(same, known_N3[:60], known_N3)
    ranks = as_rows(triple_ranks(same, known_N3[:60], known=None))
    assert (ranks % 1 == 0.5).any()


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("metric", METRICS)
def test_differences_below_float32_are_seen(metric, known_N3):
    """Neighbours that float32 sums confuse: all candidates are one vector but for one last bit."""
    scorer = random_vectors(metric, **SIZES, width=50)
    entity_ED = scorer.entity_ED[:1].repeat(23, 1)
    for entity in range(1, 23):
        entity_ED[entity, entity] = torch.nextafter(entity_ED[0, entity], torch.tensor(9.0))
    assert_plain(Vectors(metric, entity_ED, scorer.relation_RD), known_N3[:40], known_N3)


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("metric", METRICS)
def test_tiny_and_huge_vectors(metric, known_N3):
    scorer = random_vectors(metric, **SIZES, width=6)
    for scale in (1e-30, 1e-12, 1e12):
        relation_RD = scorer.relation_RD * (1 if metric == "dot" else scale)
        scaled = Vectors(metric, scorer.entity_ED * scale, relation_RD)
        assert_plain(scaled, known_N3[:30], known_N3)


@pytest.mark.parametrize("metric", METRICS)
def test_neither_chunks_nor_blocks_change_a_rank(metric, known_N3, monkeypatch):
    scorer = random_vectors(metric, **SIZES, width=7 if metric != "modulus" else 8)
    whole = as_rows(triple_ranks(scorer, known_N3, known=KnownTriples.of(known_N3)))
    for chunk, block in ((1, 23), (7, 1), (64, 5)):
        monkeypatch.setattr(triple_counts, "_BLOCK", block)
        found = triple_ranks(scorer, known_N3, known=KnownTriples.of(known_N3), chunk=chunk)
        np.testing.assert_array_equal(as_rows(found), whole)


@pytest.mark.parametrize("metric", METRICS)
def test_many_candidates_with_wide_vectors(metric):
    """Several blocks and tiles: compiled loops and torch agree, as do a few plain ranks."""
    sizes = {"entities": 2500, "relations": 5}
    known_N3 = random_triples(**sizes, count=3000)
    scorer = random_vectors(metric, **sizes, width=70)
    triples = known_N3[:150]
    found = triple_ranks(scorer, triples, known=KnownTriples.of(known_N3))
    np.testing.assert_array_equal(as_rows(found)[:, :2], plain_ranks(scorer, triples[:2], known_N3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(triple_counts, "_count_compiled", triple_counts._count_with_torch)
        again = triple_ranks(scorer, triples, known=KnownTriples.of(known_N3))
    np.testing.assert_array_equal(as_rows(found), as_rows(again))


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["highest", "high"])
@pytest.mark.parametrize("metric", METRICS)
def test_ranks_on_a_gpu_are_those_of_the_cpu(metric, precision):
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    sizes = {"entities": 3000, "relations": 5}
    known_N3 = random_triples(**sizes, count=3000)
    here = random_vectors(metric, **sizes, width=70)
    there = Vectors(metric, here.entity_ED.cuda(), here.relation_RD.cuda())
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision(precision)
        found = [triple_ranks(s, known_N3, known=KnownTriples.of(known_N3)) for s in (here, there)]
    finally:
        torch.set_float32_matmul_precision(before)
    np.testing.assert_array_equal(*(as_rows(ranks) for ranks in found))


def test_products_of_reduced_precision_give_the_same_ranks(known_N3):
    scorer = random_vectors("l2", **SIZES, width=64)
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        assert_plain(scorer, known_N3[:40], known_N3)
    finally:
        torch.set_float32_matmul_precision(before)


def test_a_repeated_triple_gets_the_same_ranks_again(known_N3):
    scorer = random_vectors("l1", **SIZES, width=6, whole=True)
    triples = np.repeat(known_N3[:5], 3, axis=0)
    assert_plain(scorer, triples, known_N3)


def test_a_triple_that_is_not_known_is_ranked_as_well(known_N3):
    scorer = random_vectors("l1", **SIZES, width=6, whole=True)
    triples = random_triples(**SIZES, count=50, seed=9)
    assert not KnownTriples.of(known_N3).hold(triples).all()
    assert_plain(scorer, triples, known_N3)


def test_without_a_filter_ranks_are_raw(known_N3):
    scorer = random_vectors("dot", **SIZES, width=6, whole=True)
    ranks = as_rows(triple_ranks(scorer, known_N3[:40], known=None))
    np.testing.assert_array_equal(ranks, plain_ranks(scorer, known_N3[:40], []))


def test_filters_have_a_direction():
    """What is known of (1, 0, ?) says nothing of (?, 0, 1)."""
    entity_ED = torch.zeros(4, 2)
    scorer = Vectors("l1", entity_ED, torch.zeros(1, 2))
    known_N3 = np.array([[0, 0, 1], [1, 0, 2], [1, 0, 3]])
    ranks = triple_ranks(scorer, known_N3[:1], known=KnownTriples.of(known_N3))
    assert as_rows(ranks)[:, 0].tolist() == [2.5, 2.5, 2.5, 2.5]
    ranks = triple_ranks(scorer, known_N3[1:2], known=KnownTriples.of(known_N3))
    assert as_rows(ranks)[:, 0].tolist() == [2.5, 2.5, 2.5, 2.0]


def test_no_triples_have_no_ranks(known_N3):
    scorer = random_vectors("l1", **SIZES, width=6)
    ranks = triple_ranks(scorer, known_N3[:0], known=KnownTriples.of(known_N3))
    assert as_rows(ranks).shape == (4, 0)


def test_a_constant_model_is_at_the_middle(known_N3):
    scorer = Vectors("l1", torch.ones(23, 4), torch.zeros(3, 4))
    ranks = triple_ranks(scorer, known_N3, known=None)
    assert (as_rows(ranks) == 12).all()


@pytest.mark.parametrize(
    ("entity", "value", "message"),
    [
        (5, float("nan"), "1 of the model's 23 candidates hold NaN or values beyond 1e\\+15"),
        (5, 1e16, "training has diverged"),
    ],
)
def test_vectors_that_are_no_numbers(entity, value, message, known_N3):
    scorer = random_vectors("l1", **SIZES, width=6)
    scorer.entity_ED[entity, 2] = value
    with pytest.raises(UserError, match=message):
        triple_ranks(scorer, known_N3, known=None)


def test_queries_that_are_no_numbers(known_N3):
    scorer = random_vectors("l1", **SIZES, width=6)
    scorer.relation_RD[1] = torch.nan
    with pytest.raises(UserError, match="queries hold NaN"):
        triple_ranks(scorer, known_N3, known=None)


def test_entities_that_the_model_does_not_have(known_N3):
    scorer = random_vectors("l1", entities=20, relations=3, width=6)
    with pytest.raises(UserError, match="triples name entities 0 to 22, the model has 20"):
        triple_ranks(scorer, known_N3, known=None)
