"""A space of triples answers as the model's evaluation would, by name, and the same once loaded."""

import json

import numpy as np
import pytest
import torch

from mmkrl.data.views.entity_texts import EntityTexts
from mmkrl.errors import UserError
from mmkrl.evaluate.exact.triple_ranks import triple_ranks, triple_scores
from mmkrl.models.triples.base import make_model
from mmkrl.models.triples.complex_text import ComplExText
from mmkrl.models.triples.config import TripleConfig
from mmkrl.models.triples.registry import GRAPH_MODELS
from mmkrl.models.triples.space import TripleSpace
from tests.support.graphs import ENTITIES, row_graph, some_images

CASES = {
    "transe": {"score": "l1"},
    "transe, L2": {"score": "l2"},
    "distmult": {},
    "complex": {},
    "complex, reciprocal": {"loss": "one_vs_all"},
    "rotate": {},
    "ikrl": {},
    "ikrl, centred": {"ikrl": {"energies": ("ss", "ii"), "centred": True}},
    "complex_text": {"loss": "one_vs_all"},
    "complex_text, with images": {"loss": "one_vs_all", "complex_text": {"images": True}},
}
GRAPH = row_graph()


def made(case):
    """A model with weights of a usual size."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = TripleConfig(model=case.partition(",")[0], dimension=6, **CASES[case])
    texts = EntityTexts(torch.randn(ENTITIES, 2, 5), torch.randn(ENTITIES, 2, 3))
    model = make_model(GRAPH, config, some_images(), texts)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.6)
    if isinstance(model, ComplExText):
        model.weight.fill_(1.5)
    return model


@pytest.fixture(scope="module", params=CASES)
def pair(request, tmp_path_factory):
    """A model, and its space after it was written and read."""
    model = made(request.param)
    folder = tmp_path_factory.mktemp("space") / "new"
    TripleSpace.of(model, GRAPH).save(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["space.json", "tables.safetensors"]
    return model, TripleSpace.load(folder)


def named(triple_N3):
    return [
        (GRAPH.entities[h], GRAPH.relations[r], GRAPH.entities[t]) for h, r, t in triple_N3.tolist()
    ]


def test_every_model_is_tested_here():
    assert {case.partition(",")[0] for case in CASES} == set(GRAPH_MODELS.names())


def test_scores_are_those_of_the_evaluation(pair):
    model, space = pair
    triple_N3 = GRAPH.triples["test"]
    expected = triple_scores(model.eval().scorer(), triple_N3)
    assert space.score(named(triple_N3)) == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_answers_are_in_the_order_of_the_evaluation_s_ranks(pair):
    model, space = pair
    triple_N3 = GRAPH.triples["test"][:6]
    ranks = triple_ranks(model.eval().scorer(), triple_N3, known=None)
    for n, (head, relation, tail) in enumerate(named(triple_N3)):
        tails = [answer.name for answer in space.tails(head, relation, ENTITIES)]
        heads = [answer.name for answer in space.heads(relation, tail, ENTITIES)]
        assert sorted(tails) == sorted(heads) == GRAPH.entities
        assert tails.index(tail) + 1 == pytest.approx(ranks.tail.raw_N[n], abs=0.5)
        assert heads.index(head) + 1 == pytest.approx(ranks.head.raw_N[n], abs=0.5)


def test_answers_that_the_graph_states_can_be_left_out(pair):
    _, space = pair
    facts = {tuple(row) for split in ("train", "validation") for row in named(GRAPH.triples[split])}
    for head, relation, _ in sorted(facts)[:8]:
        every = space.tails(head, relation, ENTITIES)
        new = space.tails(head, relation, ENTITIES, new=True)
        assert new == [one for one in every if (head, relation, one.name) not in facts]
        assert 0 < len(new) < len(every)
        assert space.tails(head, relation, 2) == every[:2]
        assert [one.score for one in every] == sorted((one.score for one in every), reverse=True)


def test_the_example_is_a_fact(pair):
    _, space = pair
    asked = space.example
    assert asked["task"] == "predict_tails"
    facts = {(head, relation) for head, relation, _ in named(GRAPH.triples["train"])}
    assert (asked["head"], asked["relation"]) in facts


def test_an_unknown_name_is_told_with_the_nearest():
    space = TripleSpace.of(made("transe"), GRAPH)
    with pytest.raises(UserError, match=r"no relation called 'nexd'; did you mean 'next'\?"):
        space.tails("e01", "nexd", 3)
    with pytest.raises(UserError, match=r"no entity called '--'$"):
        space.score([("--", "next", "e02")])


def test_nothing_of_the_images_is_kept(tmp_path):
    """Only one row an entity and one a relation: the pictures' features stay where they are."""
    space = TripleSpace.of(made("ikrl"), GRAPH)
    space.save(tmp_path)
    sizes = {name: tuple(table.shape) for name, table in space._tables.items()}
    known = len(np.concatenate([GRAPH.triples["train"], GRAPH.triples["validation"]]))
    assert sizes["row"] == (ENTITIES, 12)
    assert sizes["relation"] == (3, 6)
    assert sizes["known"] == (known, 3)
    assert json.loads((tmp_path / "space.json").read_text())["entity"] == GRAPH.entities
