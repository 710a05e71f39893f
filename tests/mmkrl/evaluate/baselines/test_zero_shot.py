"""Baselines equal plain loops and scikit-learn, and choose on validation relationships alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from mmkrl.data.splits.names import TEST, TRAIN, UNSEEN_SOURCE, VALIDATION
from mmkrl.data.views.knowledge import Knowledge
from mmkrl.errors import UsageError
from mmkrl.evaluate.baselines.zero_shot import (
    BASELINES,
    centred_texts,
    random_space,
    ridge_images,
    ridge_mean_space,
    ridge_slots_space,
    word_mean_space,
)
from mmkrl.evaluate.config import EvaluateConfig
from mmkrl.evaluate.tasks.zero_shot import zero_shot_tasks

STRENGTHS = (0.1, 3.0, 1000.0)


def unit(array):
    return array / np.linalg.norm(array, axis=-1, keepdims=True)


def standardised(knowledge):
    """Features by the training images' mean and deviation, small deviations raised."""
    images = knowledge.images
    everything = images.features(np.arange(len(images.ids))).double().numpy()
    train = everything[images.index(TRAIN)]
    deviation = train.std(axis=0)
    return (everything - train.mean(axis=0)) / np.maximum(deviation, 0.1 * deviation.mean())


def validation_map(knowledge, text_RD, image_ND):
    """Mean average precision of validation texts over validation images, the long way."""
    images = knowledge.images
    pool, precisions = images.index(VALIDATION), []
    for label in knowledge.relationships.index(VALIDATION):
        order = sorted(pool, key=lambda i: -float(text_RD[label] @ image_ND[i]))
        right = [n for n, i in enumerate(order, start=1) if images.label_N[i] == label]
        precisions.append(np.mean([(k + 1) / n for k, n in enumerate(right)]))
    return np.mean(precisions)


@pytest.mark.parametrize("slots", [False, True])
@pytest.mark.parametrize("strength", STRENGTHS)
def test_ridge_equals_scikit_learn(knowledge, slots, strength):
    text_RD = centred_texts(knowledge, slots=slots)
    found = ridge_images(knowledge, text_RD, [strength])
    features, images = standardised(knowledge), knowledge.images
    train = images.index(TRAIN)
    model = Ridge(alpha=strength, fit_intercept=False)
    model.fit(features[train], text_RD.double().numpy()[images.label_N[train]])
    np.testing.assert_allclose(found, unit(model.predict(features)), rtol=1e-3, atol=1e-4)


def test_ridge_in_pieces_equals_ridge_at_once(knowledge, monkeypatch):
    text_RD = centred_texts(knowledge, slots=True)
    whole = ridge_images(knowledge, text_RD, STRENGTHS)
    monkeypatch.setattr("mmkrl.data.views.knowledge._CHUNK", 7)
    torch.testing.assert_close(ridge_images(knowledge, text_RD, STRENGTHS), whole)


def test_the_strength_is_the_best_on_validation(knowledge):
    text_RD = centred_texts(knowledge, slots=True)
    single = {s: ridge_images(knowledge, text_RD, [s]) for s in (1.0, 0.1, 3.0)}
    scores = {s: validation_map(knowledge, text_RD, image_ND) for s, image_ND in single.items()}
    best = max(scores, key=scores.get)
    assert sorted(scores.values())[-1] > sorted(scores.values())[-2] + 0.001
    for order in (list(single), list(single)[::-1]):
        assert torch.equal(ridge_images(knowledge, text_RD, order), single[best])


def test_held_out_images_do_not_change_the_map(knowledge):
    """Neither labels nor features of test images, nor of the unseen source, have any influence."""
    images = knowledge.images
    hidden = np.isin(images.split, [TEST, UNSEEN_SOURCE])
    feature_MD, label_N = images.feature_MD.copy(), images.label_N.copy()
    feature_MD[images.row_N[hidden]] *= -3
    label_N[hidden] = label_N[hidden][::-1]
    other = Knowledge(
        knowledge.relationships, replace(images, feature_MD=feature_MD, label_N=label_N)
    )
    text_RD = centred_texts(knowledge, slots=False)
    left, right = (ridge_images(k, text_RD, STRENGTHS) for k in (knowledge, other))
    assert torch.equal(left[~hidden], right[~hidden])
    assert not torch.equal(left[hidden], right[hidden])


@pytest.mark.parametrize(
    ("slots", "baseline"), [(False, ridge_mean_space), (True, ridge_slots_space)]
)
def test_ridge_baselines_regress_to_their_own_texts(knowledge, slots, baseline):
    config = EvaluateConfig(ridge_strengths=STRENGTHS)
    space = baseline(knowledge, config)
    assert torch.equal(space.text_RD, centred_texts(knowledge, slots=slots))
    assert torch.equal(space.image_ND, ridge_images(knowledge, space.text_RD, STRENGTHS))


@pytest.mark.parametrize("slots", [False, True])
def test_texts_are_centred_on_training_relationships(knowledge, slots):
    word_R3W = knowledge.relationships.word_R3W.double().numpy()
    rows = [np.concatenate(words) if slots else words.mean(axis=0) for words in word_R3W]
    centre = np.mean([rows[i] for i in knowledge.relationships.index(TRAIN)], axis=0)
    expected = [unit(row - centre) for row in rows]
    np.testing.assert_allclose(centred_texts(knowledge, slots=slots), expected, atol=1e-6)


def test_word_mean_equals_a_loop(knowledge, monkeypatch):
    monkeypatch.setattr("mmkrl.data.views.knowledge._CHUNK", 10)
    space, images = word_mean_space(knowledge, EvaluateConfig()), knowledge.images
    features = images.features(np.arange(len(images.ids))).double().numpy()
    for i in range(len(images.ids)):
        nearest, best = -1, -np.inf
        for j in images.index(TRAIN):
            cosine = unit(features[i]) @ unit(features[j])
            if cosine > best:
                nearest, best = j, cosine
        assert torch.equal(space.image_ND[i], space.text_RD[images.label_N[nearest]])


def test_random_is_at_the_level_of_chance(knowledge):
    hits = []
    for seed in range(150):
        space = random_space(knowledge, EvaluateConfig(seed=seed))
        tasks = zero_shot_tasks(knowledge, space)
        hits.append([tasks[n].values["top-1"].mean() for n in ("recognition", "generalised, seen")])
    chance = np.array([1 / 3, 1 / 12])
    error = np.std(hits, axis=0) / np.sqrt(len(hits))
    assert (np.abs(np.mean(hits, axis=0) - chance) < 4 * error).all()


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_gives_unit_vectors_and_repeats_itself(knowledge, name):
    one, two = (BASELINES[name](knowledge, EvaluateConfig(seed=3)) for _ in range(2))
    for left, right in ((one.text_RD, two.text_RD), (one.image_ND, two.image_ND)):
        assert torch.equal(left, right)
        torch.testing.assert_close(left.norm(dim=1), torch.ones(len(left)))
    assert len(one.text_RD) == len(knowledge.relationships.ids)
    assert len(one.image_ND) == len(knowledge.images.ids)


def test_random_baselines_of_other_seeds_differ(knowledge):
    one, two = (random_space(knowledge, EvaluateConfig(seed=seed)) for seed in (0, 1))
    assert not torch.equal(one.text_RD, two.text_RD)


@pytest.mark.parametrize("strengths", ["[]", "[1.0, 0]", "[-1]"])
def test_strengths_must_be_positive_and_there(tmp_path, strengths):
    from mmkrl.config import load

    (tmp_path / "c.yaml").write_text(f"ridge_strengths: {strengths}")
    with pytest.raises(UsageError, match="ridge_strengths"):
        load(str(tmp_path / "c.yaml"), [], EvaluateConfig)
