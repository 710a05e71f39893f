"""A graph model and a graph score of a user's own are trained, ranked, classified and asked."""

import pytest
import torch

from mmkrl.config import check
from mmkrl.data.splits.names import TEST
from mmkrl.errors import UsageError
from mmkrl.evaluate.exact.triple_ranks import triple_ranks, triple_scores
from mmkrl.evaluate.tasks.triple_classification import CLASSIFICATION, classification_tasks
from mmkrl.models.triples.config import TripleConfig
from mmkrl.models.triples.learner import TripleLearner
from mmkrl.models.triples.space import TripleSpace
from mmkrl.train.context import LocalContext
from mmkrl.train.loop import LoopConfig, fit

OWN = "python:tests.support.own_graph_model"


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Both by the entry points of a package, as an installer leaves it."""
    info = tmp_path / "outside_graph-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: outside-graph\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[mmkrl.models]\nscaled = tests.support.own_graph_model:Scaled\n"
        "[mmkrl.scores]\nsoft = tests.support.own_graph_model:Soft\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))


CASES = {
    "score": {"model": "transe", "score": f"{OWN}:Soft"},
    "model": {"model": f"{OWN}:Scaled", "options": {"start": 0.2}},
    "installed score": {"model": "transe", "score": "soft", "negatives": {"entities": 4}},
    "installed model": {"model": "scaled", "loss": "self_adversarial"},
    "shared": {"model": f"{OWN}:Scaled", "negatives": {"entities": 4, "shared_by": 3}},
}


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("case", CASES)
def test_it_is_trained_ranked_classified_saved_and_asked(graph, case, tmp_path):
    usual = {"dimension": 16, "batch_size": 6, "epochs": 80, "validations": 1, "bound": "free"}
    negatives = {"entities": 4, "relations": 1}
    values = usual | {"margin": 1.0, "learning_rate": 0.2, "negatives": negatives} | CASES[case]
    torch.manual_seed(0)
    config = check(values, TripleConfig)
    learner = TripleLearner(graph, config, seed=0)
    before = learner.validate()["mrr"]
    state, best = fit(learner, LoopConfig(), LocalContext(tmp_path), seed=0)
    assert state.best_metric > before + 0.3
    learner.module.load_state_dict(best)

    scorer, triple_N3 = learner.scorer(), graph.triples[TEST]
    task = classification_tasks(graph, scorer, seed=0)[CLASSIFICATION]
    assert task.values["accuracy"].mean() > 0.6

    TripleSpace.of(learner.module, graph).save(tmp_path / "space")
    space = TripleSpace.load(tmp_path / "space")
    names = [
        (graph.entities[h], graph.relations[r], graph.entities[t])
        for h, r, t in triple_N3[:5].tolist()
    ]
    assert space.score(names) == pytest.approx(triple_scores(scorer, triple_N3[:5]), rel=1e-6)
    ranks = triple_ranks(scorer, triple_N3[:5], known=None)
    for n, (head, relation, tail) in enumerate(names):
        tails = [answer.name for answer in space.tails(head, relation, len(graph.entities))]
        assert tails.index(tail) + 1 == pytest.approx(ranks.tail.raw_N[n], abs=0.5)


def test_a_view_of_ones_own_can_be_asked(graph):
    config = TripleConfig(model=f"{OWN}:Scaled", dimension=6)
    assert config.views == ("all", "moved")
    assert TripleLearner(graph, config, seed=0).scorer("moved") is not None


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"options": {"strat": 1}}, "unknown key 'strat'; did you mean 'start'?"),
        ({"options": {"start": -1}}, "start = -1: Input should be greater than 0"),
        ({"score": "l2"}, "has a score of its own"),
        ({"loss": "one_vs_all"}, "score is an inner product"),
        ({"model": f"{OWN}:Soft"}, "is no graph model"),
        ({"model": f"{OWN}:Missing"}, "cannot be loaded"),
    ],
)
def test_what_does_not_fit_is_told_before_anything_is_loaded(values, said):
    with pytest.raises(UsageError) as caught:
        check({"model": f"{OWN}:Scaled"} | values, TripleConfig)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
