"""IKRL's aggregation, energies and views against plain loops; entities without images."""

import math

import numpy as np
import pytest
import torch

from mmkrl.errors import UserError
from mmkrl.evaluate.exact.triple_ranks import triple_scores
from mmkrl.models.triples.base import make_model
from mmkrl.models.triples.config import TripleConfig
from mmkrl.train.learner import Batch

AGGREGATIONS = pytest.mark.parametrize("aggregation", ["att", "max", "avg"])
EVERYONE = torch.arange(14)


def product(left, right):
    return sum(a * b for a, b in zip(left, right, strict=True))


def unit(feature):
    norm = math.sqrt(product(feature, feature))
    return [float(x) / norm for x in feature]


def image_vectors_loop(model, images):
    """e_I of every entity, by its definition."""
    structure, matrix = (model.structure.entity.weight.tolist(), model.projection.weight.tolist())
    every = [unit(images.feature_MD[row].astype(float)) for row in images.row_I]
    mean = [sum(column) / len(every) for column in zip(*every, strict=True)]
    if not model.config.ikrl.centred:
        mean = [0.0] * len(mean)
    vectors = []
    for entity, own in enumerate(structure):
        rows = images.row_I[images.start_E1[entity] : images.start_E1[entity + 1]]
        if not len(rows):
            vectors.append(own)
            continue
        projected = []
        for row in rows:
            pairs = zip(unit(images.feature_MD[row].astype(float)), mean, strict=True)
            feature = [x - average for x, average in pairs]
            projected.append([product(line, feature) for line in matrix])
        attention = [math.exp(product(p, own)) for p in projected]
        if model.config.ikrl.aggregation == "max":
            vectors.append(projected[attention.index(max(attention))])
            continue
        if model.config.ikrl.aggregation == "avg":
            attention = [1.0] * len(projected)
        weights = [a / sum(attention) for a in attention]
        columns = zip(*projected, strict=True)
        vectors.append([product(weights, column) for column in columns])
    return vectors


@AGGREGATIONS
@pytest.mark.parametrize("centred", [False, True])
def test_image_vectors_against_a_plain_loop(make, images, aggregation, centred):
    model = make("ikrl", ikrl={"aggregation": aggregation, "centred": centred})
    row_EK = model.every_row()
    assert np.allclose(row_EK[:, 6:], image_vectors_loop(model, images), atol=1e-5)
    assert torch.equal(row_EK[:, :6], model.structure.entity.weight)


@AGGREGATIONS
def test_a_vector_does_not_depend_on_who_is_asked_beside(make, aggregation):
    model = make("ikrl", ikrl={"aggregation": aggregation})
    row_EK = model.every_row()
    for some in ([3], [0, 4], [7, 7, 0, 13], [0]):
        rows_NK = model.entity_rows(torch.tensor(some)).detach()
        torch.testing.assert_close(rows_NK, row_EK[some])


def test_no_gradient_passes_through_the_attention_unless_asked(make):
    imaged = torch.tensor([2, 3, 7])
    for asked in (False, True):
        model = make("ikrl", ikrl={"attention_gradient": asked}, optimizer="adam")
        model.entity_rows(imaged)[:, 6:].square().sum().backward()
        gradient = model.structure.entity.weight.grad
        assert (gradient is not None and bool(gradient[imaged].any())) == asked
        assert model.projection.weight.grad.any()


def test_gradient_through_the_attention_is_that_of_the_definition(make, images):
    model = make("ikrl", ikrl={"attention_gradient": True}, optimizer="adam").double()
    model.features = lambda image_I: torch.nn.functional.normalize(
        torch.from_numpy(images.feature_MD[images.row_I[image_I]].astype(np.float64)), dim=1
    )
    structure_ED = model.structure.entity.weight.detach().clone().requires_grad_()
    matrix = model.projection.weight.detach().clone().requires_grad_()

    def vectors(structure_ED, matrix):
        rows = []
        for entity in range(14):
            start, stop = images.start_E1[entity : entity + 2]
            if start == stop:
                rows.append(structure_ED[entity])
                continue
            projected_ID = model.features(np.arange(start, stop)) @ matrix.T
            rows.append((projected_ID @ structure_ED[entity]).softmax(dim=0) @ projected_ID)
        return torch.stack(rows)

    weight_ED = torch.randn(14, 6, dtype=torch.float64)
    (vectors(structure_ED, matrix) * weight_ED).sum().backward()
    (model.entity_rows(EVERYONE)[:, 6:] * weight_ED).sum().backward()
    torch.testing.assert_close(model.structure.entity.weight.grad, structure_ED.grad)
    torch.testing.assert_close(model.projection.weight.grad, matrix.grad)


def test_an_entity_without_images_is_its_own_structure_with_its_gradient(make):
    model = make("ikrl", optimizer="adam")
    row_NK = model.entity_rows(torch.tensor([0, 4, 8]))
    assert torch.equal(row_NK[:, :6], row_NK[:, 6:])
    row_NK[:, 6:].sum().backward()
    assert (model.structure.entity.weight.grad[[0, 4, 8]] == 1).all()
    assert not model.projection.weight.grad.any()  # it takes part all the same


def batch(graph, count=3):
    generator = np.random.default_rng(5)
    slot_BK = generator.integers(0, 3, (12, count)).astype(np.int8)
    other_BK = generator.integers(0, np.where(slot_BK == 1, 3, 14))
    arrays = {"triple": graph.triples["train"][:12], "other": other_BK, "slot": slot_BK}
    return Batch({name: torch.from_numpy(array) for name, array in arrays.items()}, total=12)


@pytest.mark.parametrize("objective", ["summed", "each"])
def test_objectives_against_a_plain_loop(make, graph, objective):
    model = make("ikrl", margin=1.0, ikrl={"objective": objective})
    rows, relations = model.every_row().tolist(), model.structure.relation.weight.tolist()
    part = {"s": slice(0, 6), "i": slice(6, 12)}

    def energies(triple):
        h, r, t = triple
        return [
            sum(
                abs(a + b - c)
                for a, b, c in zip(rows[h][part[x]], relations[r], rows[t][part[y]], strict=True)
            )
            for x, y in model.config.ikrl.energies
        ]

    given, total = batch(graph), 0.0
    for b, triple in enumerate(given.rows["triple"].tolist()):
        for k in range(3):
            corrupt = list(triple)
            corrupt[int(given.rows["slot"][b, k])] = int(given.rows["other"][b, k])
            true, false = energies(triple), energies(corrupt)
            if objective == "summed":
                true, false = [sum(true)], [sum(false)]
            total += sum(max(0.0, 1.0 + t - f) for t, f in zip(true, false, strict=True))
    loss = model("", given)["margin"]
    assert loss.item() == pytest.approx(total / 36, rel=1e-5)


@AGGREGATIONS
def test_a_graph_without_any_image_is_transe(make, graph, no_images, aggregation):
    """The summed energy is four times TransE's, and so is the loss with a quarter of the margin."""
    given = batch(graph)
    transe = make("transe", margin=1.0)
    ikrl = make("ikrl", margin=4.0, pictures=no_images, ikrl={"aggregation": aggregation})
    ikrl.structure.load_state_dict(transe.state_dict())
    losses = [model("", given)["margin"] for model in (transe, ikrl)]
    assert losses[1].item() == pytest.approx(4 * losses[0].item(), rel=1e-5)
    for loss in losses:
        loss.backward()
    for name, parameter in transe.named_parameters():
        gradient = ikrl.structure.get_parameter(name).grad.to_dense()
        torch.testing.assert_close(gradient, 4 * parameter.grad.to_dense(), rtol=1e-4, atol=1e-5)
    found = triple_scores(ikrl.scorer(), graph.triples["train"])
    expected = triple_scores(transe.scorer(), graph.triples["train"])
    assert np.allclose(found, 4 * expected, atol=1e-4)


@pytest.mark.parametrize(("margin", "options"), [(4.0, {}), (1.0, {"objective": "each"})])
def test_the_structure_learns_alone_as_transe_does(make, graph, margin, options):
    """With its share of the margin of a sum of four energies, or with the margin of each."""
    given = batch(graph)
    transe, ikrl = make("transe", margin=1.0), make("ikrl", margin=margin, ikrl=options)
    ikrl.structure.load_state_dict(transe.state_dict())
    loss = ikrl("structure", given)["margin"]
    assert loss.item() == pytest.approx(transe("", given)["margin"].item())
    loss.backward()
    assert ikrl.projection.weight.grad is None


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_views_weigh_structure_and_images(make, graph, weight):
    model = make("ikrl")
    rows, relations = model.every_row().tolist(), model.structure.relation.weight.tolist()
    found = triple_scores(
        model.weighted({"ss": weight, "ii": 1 - weight}), graph.triples["train"]
    ).tolist()
    for (h, r, t), score in zip(graph.triples["train"].tolist(), found, strict=True):
        parts = [
            sum(
                abs(a + b - c)
                for a, b, c in zip(rows[h][part], relations[r], rows[t][part], strict=True)
            )
            for part in (slice(0, 6), slice(6, 12))
        ]
        assert score == pytest.approx(-weight * parts[0] - (1 - weight) * parts[1], rel=1e-4)


def test_ikrl_without_images_is_told(graph):
    with pytest.raises(UserError, match="model = 'ikrl' learns from images"):
        make_model(graph, TripleConfig(model="ikrl"), None, None)
