"""Baselines of captions equal plain loops and scikit-learn, and choose on validation alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from sklearn import linear_model

from mmkrl.data.splits.names import TEST, TRAIN, VALIDATION
from mmkrl.data.views.words import WordVectors
from mmkrl.evaluate.baselines.captions import CAPTION_BASELINES
from mmkrl.evaluate.config import EvaluateConfig
from mmkrl.evaluate.tasks.caption_retrieval import IMAGE_TEXT, TEXT_IMAGE, caption_tasks, recall_sum
from tests.support.captions import THINGS, things

STRENGTHS = (0.1, 10.0, 1000.0)
WORDS = WordVectors(
    {thing: n for n, thing in enumerate(THINGS)},
    np.random.default_rng(2).normal(size=(len(THINGS), 6)).astype(np.float32),
)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture(params=["words", "vectors"])
def captions(request):
    found = things()
    if request.param == "words":
        return found
    generator = np.random.default_rng(5)
    given_CF = generator.normal(size=(len(found.texts), 4)).astype(np.float32)
    return dataclasses.replace(found, text_CF=given_CF)


def ridge(captions, *strengths):
    config = EvaluateConfig(ridge_strengths=strengths)
    return CAPTION_BASELINES["ridge to texts"](captions, WORDS, config)


def texts_by_a_loop(captions):
    """Centred vectors of the captions."""
    if captions.text_CF is not None:
        rows = captions.text_CF.astype(np.float64)
    else:
        known = [
            [w for w in text.lower().strip(".").split() if w in THINGS] for text in captions.texts
        ]
        rows = np.stack(
            [np.mean([WORDS.vector_VW[THINGS.index(w)] for w in ws], 0) for ws in known]
        )
    return unit(rows - rows[captions.captions(TRAIN)].mean(axis=0))


@pytest.mark.parametrize("strength", STRENGTHS)
def test_ridge_equals_scikit_learn(captions, strength):
    found, text_CD = ridge(captions, strength), texts_by_a_loop(captions)
    np.testing.assert_allclose(found.text_CD, text_CD, atol=1e-5)
    target_ID = np.stack(
        [text_CD[captions.image_C == image].mean(axis=0) for image in range(len(captions.ids))]
    )
    features = captions.features(np.arange(len(captions.ids))).double().numpy()
    train = captions.images(TRAIN)
    deviation = features[train].std(axis=0)
    features = (features - features[train].mean(axis=0)) / np.maximum(
        deviation, 0.1 * deviation.mean()
    )
    model = linear_model.Ridge(alpha=strength, fit_intercept=False)
    model.fit(features[train], target_ID[train])
    np.testing.assert_allclose(found.image_ID, unit(model.predict(features)), atol=1e-4)


def test_the_strength_is_the_best_on_validation(captions):
    single = {strength: ridge(captions, strength) for strength in STRENGTHS}
    values = {
        strength: recall_sum(caption_tasks(one.space(VALIDATION)))
        for strength, one in single.items()
    }
    best = max(values, key=values.get)
    assert torch.equal(ridge(captions, *STRENGTHS).image_ID, single[best].image_ID)


def test_held_out_images_and_captions_do_not_change_the_map(captions):
    hidden = captions.images(TEST)
    feature_MD = captions.feature_MD.copy()
    feature_MD[captions.row_I[hidden]] *= -3
    texts = [
        "A road." if captions.split_I[image] == TEST else text
        for text, image in zip(captions.texts, captions.image_C, strict=True)
    ]
    other = dataclasses.replace(captions, feature_MD=feature_MD, texts=texts)
    left, right = ridge(captions, *STRENGTHS), ridge(other, *STRENGTHS)
    seen = captions.split_I != TEST
    assert torch.equal(left.image_ID[seen], right.image_ID[seen])
    assert not torch.equal(left.image_ID[hidden], right.image_ID[hidden])


def test_any_text_is_placed_as_a_caption_is():
    captions = things()
    found = ridge(captions, 10.0)
    torch.testing.assert_close(found.vectors_of(captions.texts[:7]), found.text_CD[:7])


def test_a_linear_map_beats_chance():
    captions, recalls = things(300), {}
    for name, make in CAPTION_BASELINES.items():
        tasks = caption_tasks(make(captions, WORDS, EvaluateConfig()).space(TEST))
        recalls[name] = [tasks[way].values["R@10"].mean() for way in (IMAGE_TEXT, TEXT_IMAGE)]
    assert min(recalls["ridge to texts"]) > 3 * max(recalls["random"])
    chance = 10 / len(captions.images(TEST))
    assert recalls["random"][1] == pytest.approx(chance, abs=4 * (chance / 180) ** 0.5)


@pytest.mark.parametrize("name", CAPTION_BASELINES)
def test_every_baseline_gives_unit_vectors_and_repeats_itself(captions, name):
    one, two = (CAPTION_BASELINES[name](captions, WORDS, EvaluateConfig(seed=3)) for _ in range(2))
    for left, right in ((one.text_CD, two.text_CD), (one.image_ID, two.image_ID)):
        assert torch.equal(left, right)
        torch.testing.assert_close(left.norm(dim=1), torch.ones(len(left)))
