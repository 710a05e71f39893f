"""What does not fit together in the configuration of triples is told; ranges draw valid values."""

import pytest

from mmkrl.config import check
from mmkrl.errors import UsageError
from mmkrl.models.triples.config import TripleConfig


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model": "complex", "dimension": 7}, "dimension = 7: complex needs an even number"),
        ({"model": "rotate", "dimension": 7}, "rotate needs an even number"),
        (
            {"model": "transe", "loss": "one_vs_all"},
            "is an inner product, such as distmult.* not for transe",
        ),
        ({"precision": "bfloat16"}, "precision = 'bfloat16' is for loss = 'one_vs_all' alone"),
        ({"negatives": {"entities": 0}}, "the loss needs corruptions"),
        ({"batch_size": 10, "negatives": {"shared_by": 4}}, "no multiple of negatives.shared_by"),
        (
            {"model": "ikrl", "ikrl": {"objective": "each"}, "negatives": {"shared_by": 2}},
            "set ikrl.objective=summed",
        ),
        ({"model": "ikrl", "score": "l2"}, "ikrl has a score of its own"),
        ({"model": "transe", "score": "l3"}, "no graph score is called 'l3'; known: l2, l1"),
        ({"model": "complex_text"}, "complex_text learns with loss = 'one_vs_all' alone"),
        ({"model": "trans"}, "no graph model is called 'trans'; known: transe"),
        ({"model": "described", "loss": "one_vs_all"}, "it is called complex_text now"),
        ({"described": {"images": True}}, "'described' is now complex_text"),
        ({"norm": 2}, "'norm' is now score: l1 or l2"),
        ({"ikrl": {"warm_epochs": 2}}, "'ikrl.warm_epochs' is now warmup_epochs"),
        ({"options": {"depth": 2}}, "options of transe: unknown key 'depth'"),
        ({"ikrl": {"energies": ["ss", "si"]}}, "give si and is together"),
        ({"ikrl": {"energies": ["ss", "ss"]}}, "give different ones"),
        ({"ikrl": {"energies": []}}, "at least one"),
    ],
)
def test_contradictions_are_told(values, message):
    with pytest.raises(UsageError, match=message):
        check(values, TripleConfig)


def test_sparse_tables_where_only_used_rows_move():
    assert TripleConfig(optimizer="sgd").sparse
    assert TripleConfig(optimizer="adagrad").sparse
    assert not TripleConfig(optimizer="adam").sparse
    assert not TripleConfig(model="complex", loss="one_vs_all", optimizer="adagrad").sparse


def test_pairs_of_a_batch():
    assert TripleConfig(batch_size=8, negatives={"entities": 3, "relations": 1}).pairs == 32
    shared = {"entities": 3, "relations": 1, "shared_by": 2}
    assert TripleConfig(batch_size=8, negatives=shared).pairs == 56
