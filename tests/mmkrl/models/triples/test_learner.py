"""The learner of triples: its schedule, its batches, its validation, and that models learn."""

import numpy as np
import pytest
import torch

from mmkrl.data.views.graph import Graph
from mmkrl.errors import UserError
from mmkrl.models.triples.config import TripleConfig
from mmkrl.models.triples.learner import TripleLearner
from mmkrl.train.config import LoopConfig
from mmkrl.train.context import LocalContext
from mmkrl.train.loop import fit

LOOP = LoopConfig(log_steps=1, checkpoint_steps=1000)


def learner(graph, seed=0, images=None, **fields):
    torch.manual_seed(seed)
    sizes = {"dimension": 16, "batch_size": 6, "epochs": 4}
    return TripleLearner(graph, TripleConfig(**(sizes | fields)), images=images, seed=seed)


def same(left, right):
    return all(torch.equal(left.rows[name], right.rows[name]) for name in left.rows)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"model": "transe"}, [("train", 26, "", 0.1, 6)]),
        ({"model": "transe", "optimizer": "sgd"}, [("train", 26, "", 0.6, 6)]),
        (
            {"model": "ikrl", "ikrl": {"warmup_epochs": 2, "learning_rate": 0.05}},
            [("structure", 13, "structure", 0.1, 3), ("joint", 26, "", 0.05, 6)],
        ),
        ({"model": "ikrl", "ikrl": {"warmup_epochs": 0}}, [("joint", 26, "", 0.1, 6)]),
        (
            {"model": "ikrl", "ikrl": {"warmup_epochs": 2, "projection_epochs": 1}},
            [
                ("structure", 13, "structure", 0.1, 3),
                ("projection", 7, "projection", 0.1, 2),
                ("joint", 26, "", 0.1, 6),
            ],
        ),
    ],
)
def test_phases(graph, images, fields, expected):
    phases = learner(graph, images=images, **fields).phases()
    found = [(p.name, p.steps, p.branch, p.learning_rate, p.validate_steps) for p in phases]
    assert [row[:3] for row in found] == [row[:3] for row in expected]
    assert [row[3:] for row in found] == [pytest.approx(row[3:]) for row in expected]
    names = {name for name, _ in learner(graph, images=images, **fields).module.named_parameters()}
    assert all(set(phase.bounds) <= names for phase in phases)


def test_every_epoch_has_every_triple_once(graph):
    one = learner(graph, batch_size=10)
    (phase,) = one.phases()
    drawn = torch.cat([one.batch(phase, step, step).rows["triple"] for step in range(19)])
    everything = sorted(map(tuple, graph.triples["train"].tolist()))
    epochs = [sorted(map(tuple, part.tolist())) for part in drawn.split(38)]
    assert epochs == [everything] * 5
    assert drawn[:38].tolist() != drawn[38:76].tolist()


def test_batches_larger_than_the_graph_span_epochs(graph):
    one = learner(graph, batch_size=100)
    drawn = one.batch(one.phases()[0], 1, 0).rows["triple"]  # the triples 100 to 199 of the series
    whole = learner(graph, batch_size=50)
    parts = [whole.batch(whole.phases()[0], step, 0).rows["triple"] for step in (2, 3)]
    assert torch.equal(drawn, torch.cat(parts))


def test_batches_depend_on_their_arguments_alone(graph):
    one, two = learner(graph), learner(graph)
    (phase,) = one.phases()
    for step in (7, 0, 25):  # what was drawn before must not matter
        one.batch(phase, step, step)
    assert same(one.batch(phase, 9, 4), two.batch(phase, 9, 4))
    assert not same(one.batch(phase, 9, 4), two.batch(phase, 9, 5))
    other = learner(graph, seed=1).batch(phase, 9, 4)
    assert not torch.equal(other.rows["triple"], two.batch(phase, 9, 4).rows["triple"])


def test_corruptions_are_no_training_triples(graph):
    one = learner(graph, negatives={"entities": 3, "relations": 2})
    true = set(map(tuple, graph.triples["train"].tolist()))
    batch = one.batch(one.phases()[0], 0, 0)
    for b, triple in enumerate(batch.rows["triple"].tolist()):
        assert tuple(triple) in true
        for k in range(5):
            changed = list(triple)
            changed[int(batch.rows["slot"][b, k])] = int(batch.rows["other"][b, k])
            assert tuple(changed) not in true


def test_validation_is_filtered_link_prediction_without_the_test(graph):
    held_out = Graph(
        graph.entities,
        graph.relations,
        {
            "train": graph.triples["train"][:25],
            "validation": graph.triples["train"][25:32],
            "test": graph.triples["train"][32:],
        },
    )
    one = learner(held_out)
    scorer, known = one.scorer(), held_out.triples["train"].tolist()
    known = set(map(tuple, known + held_out.triples["validation"].tolist()))
    ranks = []
    for h, r, t in held_out.triples["validation"].tolist():
        for side in (0, 2):
            asked = torch.tensor([h]), torch.tensor([r]), torch.tensor([t])
            query_D = (
                scorer.head_query(*asked[1:]) if side == 0 else scorer.tail_query(*asked[:2])
            )[0]
            score_E = -(query_D - scorer.candidate_ED).abs().sum(dim=1).double()
            answer = (h, r, t)[side]
            rank = 1.0
            for entity in range(14):
                triple = (entity, r, t) if side == 0 else (h, r, entity)
                if entity != answer and triple not in known:
                    rank += float(score_E[entity] > score_E[answer])
                    rank += 0.5 * float(score_E[entity] == score_E[answer])
            ranks.append(rank)
    metrics = one.validate()
    assert list(metrics) == ["mrr", "hits_at_10", "mean_rank"]
    assert metrics["mrr"] == pytest.approx(np.mean([1 / rank for rank in ranks]))
    assert metrics["hits_at_10"] == pytest.approx(np.mean([rank <= 10 for rank in ranks]))
    assert metrics["mean_rank"] == pytest.approx(np.mean(ranks))


def test_validation_takes_the_same_sample_whatever_the_seed(graph):
    samples = [learner(graph, seed=s, validation_triples=5)._validation_N3 for s in (0, 1)]
    assert len(samples[0]) == 5
    assert np.array_equal(*samples)


EASY = {
    "transe": {"margin": 1.0, "learning_rate": 0.2, "dimension": 32, "epochs": 200},
    "distmult": {"loss": "self_adversarial", "margin": 0.0},
    "complex": {"loss": "one_vs_all", "n3": 1e-4},
    "rotate": {"loss": "self_adversarial", "margin": 3.0, "dimension": 32},
    "ikrl": {"margin": 4.0, "ikrl": {"warmup_epochs": 60}},
}
REACHED = {"distmult": 0.5}  # a symmetric score cannot tell a relation from its inverse


@pytest.mark.parametrize("model", EASY)
def test_a_small_graph_is_learned_by_heart(graph, images, model, tmp_path):
    usual = {"epochs": 150, "validations": 1, "negatives": {"entities": 4, "relations": 1}}
    one = learner(graph, images=images, model=model, **(usual | EASY[model]))
    before = one.validate()["mrr"]
    state, best = fit(one, LOOP, LocalContext(tmp_path), seed=0)
    assert state.best_metric > REACHED.get(model, 0.9)
    assert state.best_metric > before + 0.2
    one.module.load_state_dict(best)
    assert one.validate()["mrr"] == pytest.approx(state.best_metric)


@pytest.mark.parametrize("loss", ["margin", "self_adversarial"])
def test_shared_corruptions_teach_as_well(graph, loss, tmp_path):
    negatives = {"entities": 4, "relations": 1, "shared_by": 3}
    fields = EASY["transe"] | {"model": "transe", "loss": loss, "negatives": negatives}
    one = learner(graph, validations=1, **fields)
    state, _ = fit(one, LOOP, LocalContext(tmp_path), seed=0)
    assert state.best_metric > 0.9


def test_views_of_a_trained_model(graph, images, tmp_path):
    one = learner(graph, images=images, model="ikrl", ikrl={"warmup_epochs": 5})
    fit(one, LOOP, LocalContext(tmp_path), seed=0)
    found = {}
    for weight in (i / 10 for i in range(11)):
        view = one.module.weighted({"ss": weight, "ii": 1 - weight})
        found[weight] = one._measure(view)["mrr"]
    chosen = one.module.union_weight(one._measure)
    assert found[chosen] == max(found.values())
    assert chosen == min(w for w, mrr in found.items() if mrr == found[chosen])
    for view, weight in (("sbr", 1.0), ("ibr", 0.0), ("union", chosen)):
        expected = one.module.weighted({"ss": weight, "ii": 1 - weight})
        assert torch.equal(one.scorer(view).candidate_ED, expected.candidate_ED)
    assert one.scorer("all").candidate_ED.shape == (14, 64)


@pytest.mark.parametrize("split", ["train", "validation"])
def test_an_empty_split_is_told(graph, split):
    empty = Graph(graph.entities, graph.relations, dict(graph.triples) | {split: np.zeros((0, 3))})
    with pytest.raises(UserError, match=f"split '{split}' has no triples"):
        learner(empty)
