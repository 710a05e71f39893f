"""The dual encoder's schedule, batches and validation; it learns a small world by heart."""

import dataclasses
import logging

import numpy as np
import pytest
import torch

from mmkrl.data.views.vocabulary import build_vocabulary
from mmkrl.data.views.words import WordVectors
from mmkrl.errors import UserError
from mmkrl.models.captions.config import CaptionConfig
from mmkrl.models.captions.learner import CaptionLearner
from mmkrl.train.config import LoopConfig
from mmkrl.train.context import LocalContext
from mmkrl.train.loop import fit
from tests.support.batches import check_batches
from tests.support.captions import THINGS, things

SMALL = {"dimension": 32, "word_dimension": 12, "batch_size": 12, "learning_rate": 0.01}
LOOP = LoopConfig(clip_norm=1.0, checkpoint_steps=1000)


@pytest.fixture(scope="module")
def captions():
    return things()


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch):
    monkeypatch.setattr(LocalContext, "device", torch.device("cpu"))


def learner(captions, *, seed=0, given=None, **fields):
    torch.manual_seed(seed)
    return CaptionLearner(captions, CaptionConfig(**(SMALL | fields)), words=given, seed=seed)


def test_phases(captions):
    (only,) = learner(captions, epochs=4, validations=8).phases()
    assert (only.name, only.steps, only.validate_steps, only.branch) == ("train", 36, 5, "")
    warm, main = learner(captions, loss={"mining": "max"}, warmup_epochs=0.5, epochs=2).phases()
    assert (warm.name, warm.steps, warm.final) == ("warm", 5, 1.0)
    assert (main.name, main.steps) == ("train", 18)


def test_the_warm_up_sums_all_negatives(captions):
    one = learner(captions, loss={"mining": "max"}, warmup_epochs=1)
    drawn = [one.batch(phase, 0, 0) for phase in one.phases()]
    assert [batch.settings for batch in drawn] == [{"warmup": True}, {"warmup": False}]
    same = [dataclasses.replace(drawn[0], settings=batch.settings, total=12) for batch in drawn]
    summed, hardest = (float(one.module("", batch)["ranking"].detach()) for batch in same)
    assert summed > hardest  # the loss has read it


def test_batches_are_functions_of_their_arguments(captions):
    check_batches(learner(captions, loss={"mining": "max"}, warmup_epochs=1), differ="warmup")


def test_batches_are_training_captions_with_their_images(captions):
    one = learner(captions)
    (phase,) = one.phases()
    drawn = [one.batch(phase, step, step) for step in range(9)]  # an epoch of 108 captions
    texts = sorted(
        " ".join(one.vocabulary.words[w] for w in words[:length])
        for batch in drawn
        for words, length in zip(batch.rows["word"], batch.rows["length"], strict=True)
    )
    spoken = [captions.texts[c].lower().rstrip(".") for c in captions.captions("train")]
    assert texts == sorted(spoken)
    for batch in drawn:
        expected_BF = captions.features(batch.rows["image"].numpy())
        assert torch.equal(batch.rows["feature"], expected_BF)
    again = learner(captions).batch(phase, 4, 4)
    assert all(torch.equal(again.rows[k], v) for k, v in drawn[4].rows.items())


def test_the_vocabulary_knows_training_captions_alone(captions):
    texts = [
        "zebra" if captions.split_I[image] != "train" else text
        for text, image in zip(captions.texts, captions.image_C, strict=True)
    ]
    one = learner(dataclasses.replace(captions, texts=texts))
    assert "zebra" not in one.vocabulary.words
    assert one.vocabulary == build_vocabulary(texts[c] for c in captions.captions("train"))


@pytest.mark.parametrize(
    "fields",
    [
        {"text": "mean"},
        {"text": "gru", "loss": {"mining": "max"}, "warmup_epochs": 4},
        {"text": "mean", "loss": "infonce"},
        {"text": "mean", "loss": {"name": "siglip", "bias": -3.0}},
        {"text": "mean", "loss": "python:tests.support.outside_lab.outside_lab.loss:SquaresConfig"},
        {"text": "bigru", "measure": "order", "loss": {"margin": 0.05, "mining": "semi_hard"}},
        {
            "text": "mean",
            "image": "mlp",
            "loss": {"mining": "top_k"},
            "scale": "standard",
            "words": "tuned",
        },
    ],
    ids=str,
)
def test_a_small_world_is_learned(captions, fields, tmp_path):
    vector_VW = np.eye(len(THINGS), dtype=np.float32)
    given = WordVectors({thing: i for i, thing in enumerate(THINGS)}, vector_VW)
    one = learner(captions, given=given, epochs=12, validations=2, **fields)
    before = one.validate()["rsum"]
    state, best = fit(one, LOOP, LocalContext(tmp_path), seed=0)
    assert state.best_metric > before + 100
    one.module.load_state_dict(best)
    assert one.validate()["rsum"] == pytest.approx(state.best_metric)
    assert list(one.validate()) == ["rsum", "annotation_r1", "search_r1"]


def test_validation_by_a_loop(captions):
    one = learner(captions)
    images, texts = captions.images("validation"), captions.captions("validation")
    score_IC = (one.image_vectors(images) @ one.text_vectors(texts).T).numpy()
    recalls = []
    for k in (1, 5, 10):
        own_IC = captions.image_C[texts][None, :] == images[:, None]
        best_I = np.where(own_IC, score_IC, -9).max(axis=1)
        recalls.append(
            np.mean([(row > best).sum() < k for row, best in zip(score_IC, best_I, strict=True)])
        )
        right_C = score_IC[own_IC.argmax(axis=0), np.arange(len(texts))]
        recalls.append(
            np.mean(
                [
                    (column > right).sum() < k
                    for column, right in zip(score_IC.T, right_C, strict=True)
                ]
            )
        )
    assert one.validate()["rsum"] == pytest.approx(100 * sum(recalls))


def test_vectors_do_not_depend_on_what_is_encoded_beside_them(captions):
    one = learner(captions, precision="float32")
    index = np.array([7, 3, 100, 3])
    vector_ND = one.text_vectors(index)
    for n, caption in enumerate(index):
        torch.testing.assert_close(one.text_vectors(np.array([caption]))[0], vector_ND[n])
    torch.testing.assert_close(one.vectors_of([captions.texts[i] for i in index]), vector_ND)
    assert one.vectors_of(["dog", "never heard"]).shape == (2, 32)


def test_given_text_features(captions, tmp_path):
    generator = np.random.default_rng(0)
    feature_IF = captions.features(np.arange(60)).numpy()
    noise_CF = generator.normal(size=(180, 24)).astype(np.float32)
    given = dataclasses.replace(captions, text_CF=feature_IF[captions.image_C] + 0.1 * noise_CF)
    one = learner(given, text="features", image="mlp", hidden=32, epochs=12, validations=1)
    before = one.validate()["rsum"]
    assert fit(one, LOOP, LocalContext(tmp_path), seed=0)[0].best_metric > before + 100
    with pytest.raises(UserError, match="needs captions that come as vectors"):
        learner(captions, text="features")


def test_what_is_not_read_is_told(captions, caplog):
    with caplog.at_level(logging.INFO):
        learner(dataclasses.replace(captions, texts=["dog " * 300, *captions.texts[1:]]))
    assert "1 captions cut at 100 words" in caplog.text
