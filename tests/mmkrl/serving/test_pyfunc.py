"""A served model answers each row by its task, in their order, or says what is missing."""

import io
import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from mlflow.exceptions import MlflowException
from PIL import Image

from mmkrl.data.views.words import WordVectors
from mmkrl.encoders.config import ExtractConfig
from mmkrl.models.bcdnn.config import BCDNNConfig
from mmkrl.models.bcdnn.model import BCDNN
from mmkrl.models.bcdnn.space import KnowledgeSpace
from mmkrl.models.triples.base import make_model
from mmkrl.models.triples.config import TripleConfig
from mmkrl.models.triples.space import TripleSpace
from mmkrl.serving.pyfunc import AnsweringModel
from mmkrl.spaces.space import load_space
from tests.support.graphs import row_graph

RELATIONSHIPS = [("man", "rides", "horse"), ("cat", "eats", "fish"), ("man", "eats", "fish")]


def small_space():
    """Random weights over a handful of words."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    words = sorted({word for triple in RELATIONSHIPS for word in triple})
    vectors = np.random.default_rng(0).normal(size=(len(words), 50)).astype(np.float32)
    vectors = WordVectors({word: row for row, word in enumerate(words)}, vectors)
    model = BCDNN(50, 1280, len(RELATIONSHIPS), BCDNNConfig(dimension=8, hidden=8))
    slots = [[vectors.phrase(part) for part in triple] for triple in RELATIONSHIPS]
    model.text.fit_whitening(torch.from_numpy(np.array(slots)))
    model.image.fit_scale(torch.rand(1280), torch.rand(1280) + 0.5)
    gallery = ["i0", "i1", "i2"], torch.nn.functional.normalize(torch.randn(3, 8))
    return KnowledgeSpace(model, vectors, RELATIONSHIPS, gallery, ExtractConfig(image_size=64))


def small_triples():
    torch.manual_seed(0)
    graph = row_graph()
    model = make_model(graph, TripleConfig(model="distmult", dimension=4), None, None)
    return TripleSpace.of(model, graph)


def served(space, folder):
    """The model as MLflow loads it."""
    space.save(folder)
    model = AnsweringModel()
    model.load_context(SimpleNamespace(artifacts={"space": str(folder)}))
    return model


@pytest.fixture(scope="module")
def spaces(tmp_path_factory):
    space, triples = small_space(), small_triples()
    folder = tmp_path_factory.mktemp("served")
    return {
        "bcdnn": (space, served(space, folder / "bcdnn")),
        "triples": (triples, served(triples, folder / "triples")),
    }


def picture():
    file = io.BytesIO()
    Image.radial_gradient("L").convert("RGB").save(file, "PNG")
    return file.getvalue()


def ask(model, rows, **params):
    return model.predict(None, pd.DataFrame(rows), params or None).to_dict("records")


def test_rows_of_all_tasks_are_answered_in_their_order(spaces):
    space, model = spaces["bcdnn"]
    text, image = "cat | eats | fish", picture()
    rows = [
        {"task": "recognise", "image": image},
        {"task": "embed_text", "text": text},
        {"task": "retrieve", "text": text},
        {"task": "embed_image", "image": image},
        {"task": "embed_text", "text": "man | rides | horse"},
    ]
    found = ask(model, rows, count=2)
    image_1D, text_1D = space.embed_images([image]), space.embed_texts([text])
    assert found[1]["vector"] == pytest.approx(text_1D[0].tolist())
    assert found[2]["names"] == [answer.name for answer in space.retrieve(text_1D, 2)[0]]
    assert found[0]["names"] == [answer.name for answer in space.recognise(image_1D, 2)[0]]
    assert found[3]["vector"] == pytest.approx(image_1D[0].tolist())
    assert found[4]["vector"] != found[1]["vector"]
    assert [len(row["names"]) for row in found] == [2, 0, 2, 0, 0]


def test_triples_are_scored_and_completed_by_name(spaces):
    space, model = spaces["triples"]
    rows = [
        {"task": "predict_tails", "head": "e03", "relation": "next"},
        {"task": "score_triples", "head": "e03", "relation": "next", "tail": "e04"},
        {"task": "predict_heads", "relation": "next", "tail": "e04"},
        {"task": "score_triples", "head": "e05", "relation": "skip", "tail": "e07"},
    ]
    found = ask(model, rows, count=3, new=True)
    assert found[0]["names"] == [a.name for a in space.tails("e03", "next", 3, new=True)]
    assert "e04" not in found[0]["names"]
    assert found[2]["names"] == [a.name for a in space.heads("next", "e04", 3, new=True)]
    assert found[1]["scores"] == space.score([("e03", "next", "e04")])
    assert found[1]["names"] == []
    assert found[3]["scores"] == space.score([("e05", "skip", "e07")])
    assert [row["vector"] for row in found] == [[]] * 4


@pytest.mark.parametrize("kind", ["bcdnn", "triples"])
def test_the_example_of_each_kind_can_be_answered(spaces, kind, tmp_path):
    space, model = spaces[kind]
    space.save(tmp_path)
    asked = load_space(tmp_path)
    assert asked.kind == kind
    (found,) = ask(model, [asked.example], count=2)
    assert len(found["names"]) == len(found["scores"]) == 2
    json.dumps(found)
    for task in asked.tasks.values():
        assert set(task.columns) <= asked.columns.keys()


@pytest.mark.parametrize(
    ("kind", "row", "says"),
    [
        ("bcdnn", {"task": "score_triples"}, "kind 'bcdnn' can be asked one of embed_text, "),
        ("triples", {"task": "retrieve"}, "can be asked one of score_triples, predict_tails"),
        ("bcdnn", {"task": "retrieve", "image": b""}, "'retrieve' needs the column 'text'"),
        ("bcdnn", {"task": "retrieve", "text": float("nan")}, "needs the column 'text'"),
        ("triples", {"task": "predict_heads", "tail": "e01"}, "needs the column 'relation'"),
        ("bcdnn", {"task": "recognise", "image": b"no"}, "cannot be used: not_an_image"),
        ("triples", {"task": "predict_heads", "relation": "x", "tail": "e01"}, "called 'x'"),
    ],
)
def test_a_question_without_sense_is_told_in_one_line(spaces, kind, row, says):
    with pytest.raises(MlflowException, match=says):
        ask(spaces[kind][1], [row])
