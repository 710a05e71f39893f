"""ComplEx beside texts and images: scores and losses against loops; views; what is missing."""

import math

import numpy as np
import pytest
import torch

from mmkrl.data.views.entity_texts import EntityTexts
from mmkrl.errors import UserError
from mmkrl.evaluate.exact.triple_ranks import triple_scores
from mmkrl.models.triples.base import make_model
from mmkrl.models.triples.complex_text import AGREEMENT_WEIGHTS, mean_images
from mmkrl.models.triples.config import TripleConfig
from mmkrl.models.triples.learner import TripleLearner
from mmkrl.train.config import LoopConfig
from mmkrl.train.context import LocalContext
from mmkrl.train.learner import Batch
from mmkrl.train.loop import fit
from tests.support.graphs import ENTITIES, RELATIONS

TRIPLES = np.array([[0, 0, 1], [5, 2, 3], [3, 1, 2], [13, 2, 13]])


@pytest.fixture(scope="module")
def texts():
    """Two views in a lexical space of 5, and in a semantic space of 3; entity 13 has no texts."""
    generator = torch.Generator().manual_seed(0)
    spaces = [torch.randn(ENTITIES, 2, length, generator=generator) for length in (5, 3)]
    for space_EVD in spaces:
        space_EVD[13] = 0
    return EntityTexts(*(torch.nn.functional.normalize(space, dim=2) for space in spaces))


def config_of(**fields):
    own = {"dropout": 0.0} | fields.pop("complex_text", {})
    return TripleConfig(
        model="complex_text", dimension=6, loss="one_vs_all", complex_text=own, **fields
    )


@pytest.fixture
def make(graph, images, texts):
    def build(**fields):
        torch.manual_seed(0)
        model = make_model(graph, config_of(**fields), images, texts)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.6)
        return model

    return build


def structure_loop(model, head, relation, tail):
    """Re(sum of h * r * conj(t))."""
    h, t = (model.entity.weight[e].tolist() for e in (head, tail))
    r = model.relation.weight[relation].tolist()
    return sum(
        (complex(h[d], h[d + 3]) * complex(r[d], r[d + 3]) * complex(t[d], -t[d + 3])).real
        for d in range(3)
    )


def agreement_loop(model, spaces, head, relation, tail):
    """The sum over spaces and pairs of views of weight times product."""
    weights = iter(model.agreement.weight[relation].tolist())
    total = 0.0
    for space_EVD in spaces:
        for v in range(space_EVD.shape[1]):
            for u in range(space_EVD.shape[1]):
                products = zip(space_EVD[head, v], space_EVD[tail, u], strict=True)
                total += next(weights) * sum(float(x) * float(y) for x, y in products)
    assert next(weights, None) is None
    return total


def spaces_of(texts, images=None):
    spaces = [texts.lexical_EVD, texts.semantic_EVW]
    return spaces if images is None else [*spaces, mean_images(images)[:, None]]


@pytest.mark.parametrize("pictured", [False, True])
def test_scores_are_those_of_the_definition(make, texts, images, pictured):
    model = make(complex_text={"images": pictured})
    model.weight.fill_(2.5)
    spaces = spaces_of(texts, images if pictured else None)
    expected = []
    for h, r, t in TRIPLES.tolist():
        asked = [(h, r, t), (t, r + RELATIONS, h)]  # for the tail, and back for the head
        scores = [
            structure_loop(model, *one) + 2.5 * agreement_loop(model, spaces, *one) for one in asked
        ]
        expected.append(sum(scores) / 2)
    assert triple_scores(model.scorer(), TRIPLES) == pytest.approx(expected, abs=1e-4)


def test_views_weigh_both_parts(make, texts):
    model = make()
    for weights in ((1.0, 0.0), (0.0, 1.0), (0.5, 3.0)):
        scorer = model.weighted(*weights)
        for h, r, t in TRIPLES.tolist():
            query_1D = scorer.tail_query(torch.tensor([h]), torch.tensor([r]))
            expected = weights[0] * structure_loop(model, h, r, t)
            expected += weights[1] * agreement_loop(model, spaces_of(texts), h, r, t)
            assert float(query_1D @ scorer.candidate_ED[t]) == pytest.approx(expected, abs=1e-4)


def test_the_losses_are_cross_entropies_of_the_sum_and_of_each_part(make, texts):
    model = make(n3=0.1)
    losses = model("", Batch({"triple": torch.from_numpy(TRIPLES)}))
    asked = [(h, r, t) for h, r, t in TRIPLES.tolist()]
    asked += [(t, r + RELATIONS, h) for h, r, t in TRIPLES.tolist()]
    costs = {"one_vs_all": [], "structure": [], "agreement": []}
    for known, relation, answer in asked:
        structure = [structure_loop(model, known, relation, e) for e in range(ENTITIES)]
        agreement = [
            agreement_loop(model, spaces_of(texts), known, relation, e) for e in range(ENTITIES)
        ]
        both = [a + b for a, b in zip(structure, agreement, strict=True)]
        for name, scores in zip(costs, (both, structure, agreement), strict=True):
            costs[name].append(math.log(sum(map(math.exp, scores))) - scores[answer])
    for name, cost in costs.items():
        assert float(losses[name].detach()) == pytest.approx(sum(cost) / len(cost), rel=1e-4)
    assert losses.keys() == {*costs, "n3"}


def test_dropout_depends_on_the_place_in_the_batch_alone(make):
    model = make(complex_text={"dropout": 0.5})
    triple_B3 = torch.from_numpy(TRIPLES)
    whole = model("", Batch({"triple": triple_B3}, seed=3, start=0, total=4))
    halves = [
        model("", Batch({"triple": triple_B3[at : at + 2]}, seed=3, start=at, total=4))
        for at in (0, 2)
    ]
    for name in ("one_vs_all", "structure"):
        mean = sum(half[name] for half in halves) / 2
        torch.testing.assert_close(whole[name], mean)
    other = model("", Batch({"triple": triple_B3}, seed=4, start=0, total=4))
    assert other["structure"] != whole["structure"]


def test_texts_and_images_stay_as_they_are_and_out_of_checkpoints(make):
    model = make(complex_text={"images": True})
    assert "frozen_EK" not in model.state_dict()
    assert "weight" in model.state_dict()
    assert not model.frozen_EK.requires_grad


def test_mean_images_against_a_plain_loop(images):
    feature_IF = images.feature_MD[images.row_I].astype(np.float64)
    centred = feature_IF - feature_IF.mean(axis=0)
    found_EF = mean_images(images)
    for entity in range(ENTITIES):
        own = centred[images.start_E1[entity] : images.start_E1[entity + 1]]
        if not len(own):
            assert not found_EF[entity].any()
            continue
        total = sum(row / math.sqrt(sum(x * x for x in row)) for row in own)
        assert found_EF[entity].numpy() == pytest.approx(
            total / math.sqrt(sum(x * x for x in total)), abs=1e-3
        )


def test_learning_chooses_the_weight_on_validation_and_beats_structure(graph, tmp_path):
    steps = torch.eye(ENTITIES)  # the name of an entity's successor is its gloss
    glosses = torch.roll(steps, -1, dims=0)
    texts = EntityTexts(torch.stack([steps, glosses], dim=1), torch.zeros(ENTITIES, 2, 1))
    config = config_of(
        epochs=40, batch_size=10, learning_rate=0.1, validations=4, complex_text={"dropout": 0.2}
    )
    torch.manual_seed(0)
    learner = TripleLearner(graph, config, texts=texts, seed=0)
    _, best = fit(learner, LoopConfig(), LocalContext(tmp_path), seed=0)
    learner.module.load_state_dict(best)
    assert float(learner.module.weight) in AGREEMENT_WEIGHTS
    assert learner.validate()["mrr"] > 0.9
    forwards = graph.triples["train"][graph.triples["train"][:, 1] == 0]
    scores = triple_scores(learner.scorer("agreement"), forwards)
    assert (scores > triple_scores(learner.scorer("agreement"), forwards[:, [2, 1, 0]])).all()
    assert learner.scorer("structure") is not None


def test_validation_keeps_the_weight_that_is_best_there(graph, texts):
    torch.manual_seed(0)
    learner = TripleLearner(graph, config_of(), texts=texts, seed=0)
    for parameter in learner.module.parameters():
        torch.nn.init.normal_(parameter, std=0.6)
    found = {}
    for weight in AGREEMENT_WEIGHTS:
        learner.module.weight.fill_(weight)
        found[weight] = learner._measure(learner.scorer())["mrr"]
    assert len(set(found.values())) > 1
    learner.module.weight.fill_(0.0)
    metrics = learner.validate()
    assert metrics["mrr"] == max(found.values())
    assert found[float(learner.module.weight)] == metrics["mrr"]


def test_it_needs_texts_and_if_asked_images(graph, images, texts):
    with pytest.raises(UserError, match="learns from texts"):
        make_model(graph, config_of(), images, None)
    with pytest.raises(UserError, match="learns from images"):
        make_model(graph, config_of(complex_text={"images": True}), None, texts)
