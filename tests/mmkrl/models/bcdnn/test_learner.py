"""What BC-DNN's learner teaches, draws and measures, against plain loops over the small world."""

import numpy as np
import pytest
import torch

from mmkrl.data.splits.names import TRAIN, VALIDATION
from mmkrl.train.learner import Phase
from tests.support.batches import check_batches

TEXT_0, TEXT_1 = Phase("text_0", 5, 1e-3, "text"), Phase("text_1", 5, 1e-3, "text")
IMAGE = Phase("image_1", 5, 1e-3, "image")


def unit(vector_D):
    return vector_D / vector_D.norm()


def prototypes(learner, knowledge):
    """The direction of each relationship's training images; zero where there are none."""
    images, rows = knowledge.images, []
    for relationship in range(len(knowledge.relationships.ids)):
        total_D = torch.zeros(16)
        for image in range(len(images.ids)):
            if images.label_N[image] == relationship and images.split[image] == TRAIN:
                feature_1F = images.features(np.array([image]))
                total_D += unit(learner.module.image(feature_1F)[0].detach())
        rows.append(unit(total_D) if total_D.any() else total_D)
    return torch.stack(rows)


def test_images_are_taught_the_text_vectors(make_learner, knowledge):
    learner = make_learner()
    learner.begin(IMAGE)
    expected_RD = learner.module.eval().text(knowledge.relationships.word_R3W)
    torch.testing.assert_close(learner.module.taught, expected_RD)
    assert not learner.module.seen.any()


def test_text_is_taught_its_former_vectors_and_what_images_look_like(make_learner, knowledge):
    learner = make_learner()
    learner.begin(TEXT_0)
    assert not learner.module.taught.any()  # nothing to teach yet
    learner.begin(TEXT_1)
    expected_RD = learner.module.text(knowledge.relationships.word_R3W)
    torch.testing.assert_close(learner.module.taught, expected_RD)
    torch.testing.assert_close(learner.module.seen, prototypes(learner, knowledge))
    held_out = knowledge.relationships.split != TRAIN
    assert not learner.module.seen[torch.from_numpy(held_out)].any()


def test_features_are_scaled_by_training_images_alone(make_learner, knowledge):
    image = make_learner().module.image
    rows = knowledge.images.row_N[knowledge.images.split == TRAIN]
    feature_NF = knowledge.images.feature_MD[rows].astype(np.float64)
    np.testing.assert_allclose(image.feature_mean, feature_NF.mean(axis=0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(image.feature_deviation, feature_NF.std(axis=0), rtol=1e-4)


@pytest.mark.parametrize("phase", [TEXT_0, TEXT_1, IMAGE])
def test_batches_depend_on_the_seed_alone(make_learner, phase):
    one, two = make_learner(), make_learner(seed=5)
    one.batch(phase, 0, 99)  # what was drawn before must not matter
    left, right, other = one.batch(phase, 3, 7), two.batch(phase, 3, 7), one.batch(phase, 3, 8)
    for name in left.rows:
        assert torch.equal(left.rows[name], right.rows[name])
    assert not torch.equal(left.rows["label"], other.rows["label"])


def test_image_batches_pair_training_images_with_what_they_show(make_learner, knowledge):
    batch, images = make_learner(batch_size=64).batch(IMAGE, 0, 1), knowledge.images
    known = {
        tuple(images.features(np.array([i]))[0].tolist()): images.label_N[i]
        for i in images.index(TRAIN)
    }
    for feature_F, label in zip(batch.rows["feature"], batch.rows["label"], strict=True):
        assert known[tuple(feature_F.tolist())] == int(label)


def test_text_batches_hold_training_relationships_and_their_corruptions(make_learner, knowledge):
    batch = make_learner(batch_size=64).batch(TEXT_1, 0, 1)
    relationships = knowledge.relationships
    train = set(relationships.index(TRAIN).tolist())
    assert set(batch.rows["label"].tolist()) | set(batch.shared["pool"].tolist()) <= train
    assert torch.equal(batch.rows["anchor"], relationships.word_R3W[batch.rows["label"]])
    assert torch.equal(batch.shared["pool_words"], relationships.word_R3W[batch.shared["pool"]])
    for name, shared in (("shares_two", 2), ("shares_one", 1)):
        same_B3 = (batch.rows[name] == batch.rows["anchor"]).all(dim=2)
        assert (same_B3.sum(dim=1) == shared).all()


def test_validation_is_text_to_image_retrieval_over_unseen_relationships(make_learner, knowledge):
    learner, images = make_learner(), knowledge.images
    index, relationships = images.index(VALIDATION), knowledge.relationships.index(VALIDATION)
    assert len(relationships) >= 4
    text_RD, image_ND = learner.text_vectors(), learner.image_vectors(index)
    precisions = []
    for relationship in relationships:
        order = torch.argsort(image_ND @ text_RD[relationship], descending=True)
        hits = [images.label_N[index[i]] == relationship for i in order]
        ranks = [rank for rank, hit in enumerate(hits, start=1) if hit]
        precisions.append(np.mean([n / rank for n, rank in enumerate(ranks, start=1)]))
    candidates_KD = text_RD[torch.from_numpy(relationships)]
    chosen = relationships[(image_ND @ candidates_KD.T).argmax(dim=1)]
    metrics = learner.validate()
    assert next(iter(metrics)) == "text_to_image_map"
    assert metrics["text_to_image_map"] == pytest.approx(np.mean(precisions), abs=1e-6)
    assert metrics["recognition_top_1"] == pytest.approx(np.mean(chosen == images.label_N[index]))


def test_batches_are_functions_of_their_arguments(make_learner):
    check_batches(make_learner(), differ="bi_enhanced")
