"""The Python door: a model is loaded from a folder or from MLflow, and answers in tables."""

import mlflow
import numpy as np
import pytest

import mmkrl
from mmkrl.errors import UserError
from mmkrl.serving.log import log_model
from tests.mmkrl.serving.test_pyfunc import picture, small_space, small_triples


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("loaded")
    small_space().save(folder / "bcdnn")
    small_triples().save(folder / "training" / "space")
    return folder


def test_texts_find_images_and_pictures_are_recognised(folders, tmp_path):
    space, model = small_space(), mmkrl.load(folders / "bcdnn")
    (tmp_path / "one.png").write_bytes(picture())
    found = model.retrieve(["cat | eats | fish", "man | rides | horse"], count=2)
    assert list(found.columns) == ["query", "rank", "name", "score"]
    assert found["query"].tolist() == ["cat | eats | fish"] * 2 + ["man | rides | horse"] * 2
    vectors = space.embed_texts(["cat | eats | fish"])
    assert found["name"].tolist()[:2] == [a.name for a in space.retrieve(vectors, 2)[0]]
    seen = model.recognise(tmp_path / "one.png", count=1)
    assert seen["query"].tolist() == [str(tmp_path / "one.png")]
    assert seen["name"].tolist() == model.recognise(picture(), count=1)["name"].tolist()
    np.testing.assert_allclose(model.embed_text("cat | eats | fish"), vectors, atol=1e-6)
    assert model.embed_image([picture(), picture()]).shape == (2, 8)


def test_triples_are_scored_and_completed(folders):
    space, model = small_triples(), mmkrl.load(folders / "training")
    scored = model.score_triples([("e03", "next", "e04"), ("e05", "skip", "e07")])
    assert scored.columns.tolist() == ["head", "relation", "tail", "score"]
    assert scored["score"].tolist() == space.score([("e03", "next", "e04"), ("e05", "skip", "e07")])
    tails = model.predict_tails("e03", "next", count=3, new=True)
    assert tails["name"].tolist() == [a.name for a in space.tails("e03", "next", 3, new=True)]
    heads = model.predict_heads("next", "e04", count=3)
    assert heads["query"].tolist() == ["next | e04"] * 3
    assert "predict_tails" in model._repr_html_()


def test_a_model_of_mlflow_answers_the_same(folders, tmp_path):
    store = f"sqlite:///{tmp_path}/mlflow.db"
    mlflow.set_tracking_uri(store)
    mlflow.create_experiment("doors", artifact_location=(tmp_path / "artifacts").as_uri())
    mlflow.set_experiment("doors")
    with mlflow.start_run() as run:
        uri = log_model(folders / "bcdnn", run.info.run_id, {})
    model = mmkrl.load(uri, tracking=store)
    text = "cat | eats | fish"
    assert model.retrieve(text).equals(mmkrl.load(folders / "bcdnn").retrieve(text))
    with pytest.raises(UserError, match=r"models:/nobody@champion: .*not found"):
        mmkrl.load("models:/nobody@champion", tracking=store)


def test_what_cannot_be_asked_or_loaded_is_one_line(folders, tmp_path):
    model = mmkrl.load(folders / "bcdnn")
    with pytest.raises(UserError, match="'predict_tails': a space of kind 'bcdnn' can be asked"):
        model.predict_tails("cat", "eats")
    with pytest.raises(UserError, match="neither the folder of a space nor that of a training"):
        mmkrl.load(tmp_path)
