"""Texts of entities as vectors: what agrees is near, what is missing is zero, nothing is random."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from mmkrl.data.dataset import Origin, open_dataset, publish, write_unit
from mmkrl.data.views.entity_texts import VIEWS, entity_texts, genus, heads
from mmkrl.data.views.graph import Graph
from mmkrl.data.views.words import WordVectors
from mmkrl.errors import UserError
from mmkrl.io.storage import locate

TEXTS = {
    "judas": {"name": "Judas tree, love tree", "gloss": "small tree of the Mediterranean"},
    "tree": {"name": "tree", "gloss": "a tall plant (perennial) having a trunk"},
    "plant": {"name": "plant, flora", "gloss": "a living organism without locomotion"},
    "bare": {},
}
WORDS = WordVectors(
    {word: i for i, word in enumerate(("tree", "plant", "small", "tall", "organism"))},
    np.eye(5, 6, dtype=np.float32),
)
GRAPH = Graph(sorted(TEXTS), ["kind of"], {})


def written(folder, texts):
    """A published dataset with these texts."""
    rows = [
        {"entity": entity, "kind": kind, "text": text}
        for entity, own in texts.items()
        for kind, text in own.items()
    ]
    schema = pa.schema([(name, pa.string()) for name in ("entity", "kind", "text")])
    tables = {"entity_texts": pa.Table.from_pylist(rows, schema)}
    place = locate(folder)
    unit = write_unit(place, 0, tables, rows_in=len(rows), rows_out=len(rows))
    publish(place, Origin("graph", "key", {}, {}, ""), [unit])
    return open_dataset(place)


@pytest.fixture
def texts(tmp_path):
    return entity_texts(GRAPH, written(tmp_path, TEXTS), WORDS, 256)


def product(texts, space, left, right):
    """The product of two (entity, view)."""
    vectors = getattr(texts, space)
    at = [(GRAPH.entities.index(entity), VIEWS.index(view)) for entity, view in (left, right)]
    return float(vectors[at[0]] @ vectors[at[1]])


@pytest.mark.parametrize("space", ["lexical_EVD", "semantic_EVW"])
def test_every_text_is_a_unit_vector_or_zero_where_there_is_none(texts, space):
    length_EV = getattr(texts, space).norm(dim=2)
    bare = GRAPH.entities.index("bare")
    assert (length_EV[bare] == 0).all()
    described = np.delete(length_EV.numpy(), bare, axis=0)
    assert np.logical_or(np.isclose(described, 1, atol=1e-5), described == 0).all()
    assert described[:, VIEWS.index("names")] == pytest.approx(1, abs=1e-5)


def test_a_definition_agrees_with_the_name_of_its_kind(texts):
    own = product(texts, "lexical_EVD", ("judas", "kinds"), ("tree", "names"))
    assert own == pytest.approx(1, abs=1e-5)  # both are the word "tree" alone
    other = product(texts, "lexical_EVD", ("judas", "kinds"), ("plant", "names"))
    assert abs(other) < 0.4
    assert product(texts, "lexical_EVD", ("judas", "heads"), ("tree", "heads")) > 0.99


def test_the_projection_keeps_the_products_of_tfidf(tmp_path):
    from sklearn.feature_extraction.text import TfidfVectorizer

    wide = entity_texts(GRAPH, written(tmp_path, TEXTS), WORDS, 8192)
    rows = [" ".join(TEXTS[entity].values()).lower() for entity in GRAPH.entities]
    weighting = TfidfVectorizer(token_pattern=r"[a-z]+", stop_words="english", sublinear_tf=True)
    weighting.fit(rows)
    names = [TEXTS[entity].get("name", "").lower() for entity in GRAPH.entities]
    exact = weighting.transform(names).toarray()
    found = wide.lexical_EVD[:, VIEWS.index("names")].numpy()
    assert found @ found.T == pytest.approx(exact @ exact.T, abs=0.1)


def test_the_same_texts_give_the_same_vectors(texts, tmp_path):
    again = entity_texts(GRAPH, written(tmp_path / "again", TEXTS), WORDS, 256)
    assert (again.lexical_EVD == texts.lexical_EVD).all()
    assert (again.semantic_EVW == texts.semantic_EVW).all()


@pytest.mark.parametrize(
    ("gloss", "expected"),
    [
        ("small tree of the Mediterranean", "tree"),
        ("a tall plant (perennial) having a trunk", "plant"),
        ("tree; also a shrub", "tree"),
        ("", ""),
        ("of unknown origin", ""),
    ],
)
def test_genus(gloss, expected):
    assert genus(gloss) == expected


def test_heads():
    assert heads("judas tree, love tree, circis siliquastrum") == "tree tree siliquastrum"
    assert heads("") == heads(" , ") == ""


def test_a_graph_without_texts_is_told_in_one_line(tmp_path):
    with pytest.raises(UserError, match="has no texts of entities: name their columns"):
        entity_texts(GRAPH, written(tmp_path, {}), WORDS, 64)
    with pytest.raises(UserError, match="no words to compare"):
        entity_texts(GRAPH, written(tmp_path / "b", {"tree": {"name": "7 -"}}), WORDS, 64)
