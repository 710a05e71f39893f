"""Ranks over a real Ray equal those of one process, however triples or entities are cut."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cluster.ranking import ranks_by_entities, ranks_by_triples
from mmkrl.errors import UserError
from mmkrl.evaluate.exact.triple_filter import KnownTriples
from mmkrl.evaluate.exact.triple_ranks import triple_ranks
from tests.mmkrl.evaluate.plain_triples import Vectors, as_rows, random_triples, random_vectors

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300), pytest.mark.usefixtures("one_ray")]

SIZES = {"entities": 1500, "relations": 4}


@pytest.fixture(scope="module")
def triples():
    return random_triples(**SIZES, count=5000)


@pytest.fixture(scope="module")
def known(triples):
    return KnownTriples.of(triples)


@pytest.fixture(scope="module", params=["l1", "dot"])
def scorer(request):
    """Whole numbers: with ties, and candidates that stand several times in different batches."""
    vectors = random_vectors(request.param, **SIZES, width=6, whole=True)
    same = vectors.entity_ED[torch.arange(SIZES["entities"]) % 400]
    return Vectors(request.param, same, vectors.relation_RD)


@pytest.fixture(scope="module")
def expected(scorer, triples, known):
    return as_rows(triple_ranks(scorer, triples, known=known))


@pytest.mark.parametrize("batches", [None, 1, 3])
def test_batches_of_triples_are_joined(scorer, triples, known, expected, batches):
    found = ranks_by_triples(scorer, triples, known=known, batches=batches)
    np.testing.assert_array_equal(as_rows(found), expected)


@pytest.mark.parametrize("batches", [None, 1, 3])
def test_batches_of_entities_are_added(scorer, triples, known, expected, batches):
    found = ranks_by_entities(scorer, triples, known=known, batches=batches)
    np.testing.assert_array_equal(as_rows(found), expected)


@pytest.mark.parametrize("ranks", [ranks_by_triples, ranks_by_entities])
def test_few_and_no_triples(ranks, scorer, triples, known, expected):
    np.testing.assert_array_equal(as_rows(ranks(scorer, triples[:3], known=known)), expected[:, :3])
    assert as_rows(ranks(scorer, triples[:0], known=known)).shape == (4, 0)


def test_a_users_error_comes_back_in_one_line(triples):
    broken = Vectors("l1", torch.full((1500, 6), torch.nan), torch.zeros(4, 6))
    with pytest.raises(UserError, match="1500 of the model's 1500 candidates hold NaN"):
        ranks_by_triples(broken, triples, known=None)
