"""On a public graph, short runs come near what is known of it: WN9's inverses need relations."""

import torch

from mmkrl.models.triples.config import TripleConfig
from mmkrl.models.triples.learner import TripleLearner
from mmkrl.train.config import LoopConfig
from mmkrl.train.context import LocalContext
from mmkrl.train.loop import fit
from tests.mmkrl.evaluate.exact.test_triples_real import public_graph


def reached(folder, relations):
    """Validation metrics after 100 epochs of TransE."""
    torch.manual_seed(0)
    config = TripleConfig(
        dimension=50,
        epochs=100,
        batch_size=512,
        validations=1,
        negatives={"relations": relations},
    )
    learner = TripleLearner(public_graph("wn9_img/triples.parquet"), config, seed=0)
    state, _ = fit(learner, LoopConfig(checkpoint_steps=100_000), LocalContext(folder), seed=0)
    return state.history[-1]


def test_relation_corruptions_tell_relations_from_their_inverses(tmp_path):
    without, using = (reached(tmp_path / str(count), count) for count in (0, 1))
    assert without["hits_at_10"] > 0.88
    assert without["mrr"] < 0.55
    assert using["mrr"] > 0.75
