"""Scores of every model against plain loops; queries, batches and views agree with them."""

import cmath

import numpy as np
import pytest
import torch

from mmkrl.evaluate.exact.triple_ranks import triple_scores
from mmkrl.losses.triples import margin_hinge, nuclear_3_norm, one_vs_all, self_adversarial
from mmkrl.models.triples.base import corrupted
from mmkrl.models.triples.registry import GRAPH_MODELS
from mmkrl.train.learner import Batch

CASES = [
    ("transe", {}),
    ("transe", {"score": "l2"}),
    ("distmult", {}),
    ("complex", {}),
    ("rotate", {}),
    ("ikrl", {}),
    ("ikrl", {"ikrl": {"energies": ("ss", "ii")}}),
]
ALL = pytest.mark.parametrize(("name", "fields"), CASES)


def halves(row):
    half = len(row) // 2
    return [complex(a, b) for a, b in zip(row[:half], row[half:], strict=True)]


def length(head, relation, tail, norm):
    parts = zip(head, relation, tail, strict=True)
    return sum(abs(h + r - t) ** norm for h, r, t in parts) ** (1 / norm)


def score_loop(model, triple):
    """The definition of a model's score of one triple."""
    head, relation, tail = triple
    config = model.config
    if config.model == "ikrl":
        row_EK, r = model.every_row().tolist(), model.structure.relation.weight.tolist()[relation]
        part = {"s": slice(0, 6), "i": slice(6, 12)}
        return -sum(
            length(row_EK[head][part[x]], r, row_EK[tail][part[y]], 1)
            for x, y in config.ikrl.energies
        )
    h, t = (model.entity.weight.tolist()[e] for e in (head, tail))
    r = model.relation.weight.tolist()[relation]
    if config.model == "transe":
        return -length(h, r, t, 2 if config.score == "l2" else 1)
    if config.model == "distmult":
        return sum(a * b * c for a, b, c in zip(h, r, t, strict=True))
    if config.model == "complex":
        parts = zip(halves(h), halves(r), halves(t), strict=True)
        return sum((a * b * c.conjugate()).real for a, b, c in parts)
    parts = zip(halves(h), r, halves(t), strict=True)
    return -sum(abs(a * cmath.exp(1j * angle) - c) for a, angle, c in parts)


def test_every_model_but_that_of_texts_is_tested_here():
    assert {*(name for name, _ in CASES), "complex_text"} == set(GRAPH_MODELS.names())


@ALL
def test_scores_are_the_model_s_definition(make, graph, name, fields):
    model = make(name, **fields)
    triple_N3 = torch.from_numpy(graph.triples["train"])
    expected = [score_loop(model, triple) for triple in triple_N3.tolist()]
    assert model._scores(triple_N3)[:, 0].tolist() == pytest.approx(expected, rel=1e-4, abs=1e-5)


@ALL
def test_the_view_for_evaluation_gives_the_same_scores(make, graph, name, fields):
    model = make(name, **fields)
    expected = model._scores(torch.from_numpy(graph.triples["train"]))[:, 0].detach()
    expected = model.score.comparable(expected)  # of L2, minus the squares
    found = triple_scores(model.scorer(), graph.triples["train"])
    assert found.tolist() == pytest.approx(expected.tolist(), rel=1e-4, abs=1e-5)


@ALL
def test_heads_and_tails_are_asked_for_alike(make, graph, name, fields):
    """Each side's query meets every candidate with the score of that triple."""
    scorer, model = make(name, **fields).scorer(), make(name, **fields)
    head_Q, relation_Q, tail_Q = torch.from_numpy(graph.triples["train"][:5]).unbind(dim=1)
    tail_QD = scorer.tail_query(head_Q, relation_Q)
    head_QD = scorer.head_query(relation_Q, tail_Q)
    for q in range(5):
        for entity in range(len(graph.entities)):
            answer_1D = scorer.candidate_ED[entity][None]
            as_tail = scorer.score.pair(tail_QD[q][None], answer_1D)
            as_head = scorer.score.pair(head_QD[q][None], answer_1D)
            h, r, t = int(head_Q[q]), int(relation_Q[q]), int(tail_Q[q])
            assert float(as_tail) == pytest.approx(score_loop(model, (h, r, entity)), abs=1e-4)
            assert float(as_head) == pytest.approx(score_loop(model, (entity, r, t)), abs=1e-4)


def test_reciprocal_relations_answer_for_heads(make, graph):
    model = make("complex", loss="one_vs_all")
    assert len(model.relation.weight) == 2 * len(graph.relations)
    scorer = model.scorer()
    one = torch.tensor([4]), torch.tensor([1])
    expected = model.tail_query(model.entity(one[0]), model.relation(one[1] + len(graph.relations)))
    torch.testing.assert_close(scorer.head_query(one[1], one[0]), expected.detach())


def drawn(graph, count=4):
    """A batch with corruptions in every slot."""
    generator = np.random.default_rng(5)
    triple_B3 = graph.triples["train"][:12]
    slot_BK = generator.integers(0, 3, (12, count)).astype(np.int8)
    other_BK = generator.integers(0, np.where(slot_BK == 1, 3, 14))
    arrays = {"triple": triple_B3, "other": other_BK, "slot": slot_BK}
    return Batch({name: torch.from_numpy(array) for name, array in arrays.items()}, total=12)


def test_corrupted_triples(graph):
    batch = drawn(graph)
    found_BK3 = corrupted(*(batch.rows[name] for name in ("triple", "other", "slot"))).tolist()
    for b, triple in enumerate(batch.rows["triple"].tolist()):
        for k in range(4):
            expected = list(triple)
            expected[int(batch.rows["slot"][b, k])] = int(batch.rows["other"][b, k])
            assert found_BK3[b][k] == expected


@ALL
@pytest.mark.parametrize("loss", ["margin", "self_adversarial"])
def test_losses_are_those_of_the_scores(make, graph, name, fields, loss):
    model, batch = make(name, loss=loss, margin=1.5, **fields), drawn(graph)
    corrupt_BK3 = corrupted(*(batch.rows[key] for key in ("triple", "other", "slot")))
    true_B = torch.tensor([score_loop(model, t) for t in batch.rows["triple"].tolist()])
    false_BK = torch.tensor([[score_loop(model, t) for t in row] for row in corrupt_BK3.tolist()])
    expected = (
        margin_hinge(true_B, false_BK, 1.5)
        if loss == "margin"
        else self_adversarial(true_B, false_BK, margin=1.5, temperature=1.0)
    )
    losses = model("", batch)
    assert list(losses) == [loss]
    torch.testing.assert_close(losses[loss].detach(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["distmult", "complex"])
def test_loss_against_all_entities(make, graph, name):
    model = make(name, loss="one_vs_all", n3=0.3)
    triple_B3 = torch.from_numpy(graph.triples["train"][:6])
    losses = model("", Batch({"triple": triple_B3}))
    scorer = model.scorer()
    head_B, relation_B, tail_B = triple_B3.unbind(dim=1)
    tail_BD, head_BD = (
        scorer.tail_query(head_B, relation_B),
        scorer.head_query(relation_B, tail_B),
    )
    terms = [
        one_vs_all(tail_BD @ scorer.candidate_ED.T, tail_B),
        one_vs_all(head_BD @ scorer.candidate_ED.T, head_B),
    ]
    torch.testing.assert_close(losses["one_vs_all"].detach(), sum(terms) / 2)
    head, tail = model.entity(head_B), model.entity(tail_B)
    relation, inverse = model.relation(relation_B), model.relation(relation_B + 3)
    sums = [
        sum(nuclear_3_norm(model.moduli(x)).item() for x in parts)
        for parts in ((head, relation, tail), (tail, inverse, head))
    ]
    assert losses["n3"].item() == pytest.approx(0.3 * sum(sums) / 2, rel=1e-5)


def test_bfloat16_products_change_loss_and_gradients_little(make, graph):
    batch = Batch({"triple": torch.from_numpy(graph.triples["train"][:6])})
    found = []
    for precision in ("float32", "bfloat16"):
        torch.manual_seed(0)
        model = make("complex", loss="one_vs_all", precision=precision)
        for table in model.tables():
            torch.nn.init.normal_(table.weight)  # scores far apart, as after training
        loss = model("", batch)["one_vs_all"]
        assert loss.dtype == torch.float32
        loss.backward()
        found.append((loss.item(), model.entity.weight.grad))
    assert found[0][0] != found[1][0]
    assert found[0][0] == pytest.approx(found[1][0], rel=0.01)
    assert (found[0][1] - found[1][1]).norm() < 0.03 * found[0][1].norm()


@ALL
def test_shared_corruptions_cost_what_single_ones_do(make, graph, name, fields):
    """The matrix products of a pool against the same corruptions one by one."""
    shared = {"entities": 5, "relations": 1, "shared_by": 4}
    model = make(name, margin=1.5, negatives=shared, optimizer="adam", **fields)
    alone = make(name, margin=1.5, optimizer="adam", **fields)
    triple_B3 = torch.from_numpy(graph.triples["train"][:12])
    generator = torch.Generator().manual_seed(2)
    pool_C2P = torch.randint(0, 14, (3, 2, 5), generator=generator)
    relation_B1 = torch.randint(0, 3, (12, 1), generator=generator)
    true_B2P = torch.zeros(12, 2, 5, dtype=torch.bool)
    slot_B1 = torch.ones(12, 1, dtype=torch.int8)
    rows = {"triple": triple_B3, "other": relation_B1, "slot": slot_B1, "true": true_B2P}
    loss = model("", Batch(rows, {"pool": pool_C2P}, total=12))["margin"]
    loss.backward()
    other_BK = torch.cat([pool_C2P.flatten(1).repeat_interleave(4, dim=0), relation_B1], dim=1)
    slot_BK = torch.tensor([[0] * 5 + [2] * 5 + [1]] * 12)
    single = alone("", Batch({"triple": triple_B3, "other": other_BK, "slot": slot_BK}))["margin"]
    single.backward()
    torch.testing.assert_close(loss, single, rtol=1e-4, atol=1e-5)
    for left, right in zip(model.parameters(), alone.parameters(), strict=True):
        torch.testing.assert_close(left.grad, right.grad, rtol=1e-3, atol=1e-5)


def test_known_answers_of_a_pool_cost_nothing(make, graph):
    shared = {"entities": 5, "shared_by": 4}
    model = make("transe", margin=50.0, negatives=shared)
    rows = {
        "triple": torch.from_numpy(graph.triples["train"][:12]),
        "other": torch.zeros(12, 0, dtype=torch.int64),
        "slot": torch.zeros(12, 0, dtype=torch.int8),
        "true": torch.ones(12, 2, 5, dtype=torch.bool),
    }
    pool = {"pool": torch.zeros(3, 2, 5, dtype=torch.int64)}
    assert model("", Batch(rows, pool, total=12))["margin"].item() == 0
    rows["true"][7, 1, 2] = False
    assert model("", Batch(rows, pool, total=12))["margin"].item() > 0


def test_n3_counts_beside_corruptions_of_products_alone(make, graph):
    batch = drawn(graph)
    model = make("distmult", loss="self_adversarial", n3=0.3)
    head_B, relation_B, tail_B = batch.rows["triple"].unbind(dim=1)
    parts = model.entity(head_B), model.relation(relation_B), model.entity(tail_B)
    losses = model("", batch)
    assert losses["n3"].item() == pytest.approx(0.3 * nuclear_3_norm(*parts).item(), rel=1e-5)
    rotate = make("rotate", loss="self_adversarial", n3=0.3)
    assert list(rotate("", batch)) == ["self_adversarial"]
