"""Agreement of clusters and classes: scikit-learn's numbers, brute force, and honest intervals."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_mutual_info_score, normalized_mutual_info_score
from torch.nn.functional import normalize

from mmkrl.errors import UserError
from mmkrl.evaluate.tasks.caption_retrieval import CaptionSpace
from mmkrl.evaluate.tasks.clustering import agreement, clustering_tasks

REFERENCES = {"AMI": adjusted_mutual_info_score, "NMI": normalized_mutual_info_score}


def partitions(seed, *, items=60, groups=4, noise=0.5):
    generator = np.random.default_rng(seed)
    class_N = generator.integers(0, groups, items)
    random_N = generator.integers(0, groups, items)
    return np.where(generator.random(items) < noise, random_N, class_N), class_N


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("noise", [0.0, 0.5, 1.0])
def test_means_are_the_statistics(seed, noise):
    cluster_N, class_N = partitions(seed, noise=noise)
    values = agreement(cluster_N, class_N)
    for name, reference in REFERENCES.items():
        assert values[name].mean() == pytest.approx(reference(class_N, cluster_N), abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_values_of_an_item_come_from_leaving_it_out(seed):
    cluster_N, class_N = partitions(seed, items=25)
    values = agreement(cluster_N, class_N)
    for name, reference in REFERENCES.items():
        whole = reference(class_N, cluster_N)
        without = [reference(np.delete(class_N, n), np.delete(cluster_N, n)) for n in range(25)]
        expected = whole + 24 * (np.mean(without) - without)
        np.testing.assert_allclose(values[name], expected, atol=1e-10)


@pytest.mark.parametrize("seed", range(5))
def test_accuracy_is_that_of_the_best_assignment(seed):
    cluster_N, class_N = partitions(seed)
    best = max(
        np.mean(np.array(order)[cluster_N] == class_N) for order in itertools.permutations(range(4))
    )
    assert agreement(cluster_N, class_N)["accuracy"].mean() == pytest.approx(best)


def test_names_of_clusters_do_not_matter_and_one_cluster_is_worth_nothing():
    class_N = np.repeat([7, 3, 9], 10)
    right = agreement(np.repeat([0, 5, 2], 10), class_N)
    assert [values.mean() for values in right.values()] == pytest.approx([1, 1, 1])
    single = agreement(np.zeros(30, np.int64), class_N)
    assert [values.mean() for values in single.values()] == pytest.approx([0, 0, 1 / 3])


@pytest.mark.parametrize("noise", [0.3, 0.7])
def test_the_spread_of_values_is_that_of_fresh_samples(noise):
    """The standard error of one sample against the deviation over many."""
    drawn = [agreement(*partitions(seed, items=200, noise=noise))["AMI"] for seed in range(120)]
    deviation = np.std([values.mean() for values in drawn])
    errors = [values.std() / np.sqrt(200) for values in drawn]
    assert np.mean(errors) == pytest.approx(deviation, rel=0.25)


def spaces(spread):
    generator = torch.Generator().manual_seed(0)
    class_I = np.arange(60) % 3
    centre_3D = torch.eye(3, 8)
    image_ID = centre_3D[class_I] + spread * torch.randn(60, 8, generator=generator)
    image_C = np.repeat(np.arange(1, 60), 2)  # the first image has no caption
    text_CD = centre_3D[class_I[image_C]] + 5 * torch.randn(118, 8, generator=generator)
    return CaptionSpace(normalize(image_ID), normalize(text_CD), image_C), class_I


def test_images_texts_and_both():
    space, class_I = spaces(0.05)
    tasks = clustering_tasks(space, class_I, seeds=2, restarts=3)
    assert list(tasks) == [f"clustering of {name}" for name in ("images", "texts", "both")]
    images, texts, both = (task.values["AMI"].mean() for task in tasks.values())
    assert images == pytest.approx(1)
    assert texts < 0.3 < both
    task = tasks["clustering of images"]
    assert (task.queries, len(task.groups), task.gallery) == (60, 59, 3)
    assert task.groups.tolist() == list(range(1, 60))


def test_classes_must_be_given_and_differ():
    space, class_I = spaces(0.05)
    with pytest.raises(UserError, match=r"60 images, classes of shape \(59,\)"):
        clustering_tasks(space, class_I[1:])
    with pytest.raises(UserError, match="1 classes among 59 images"):
        clustering_tasks(space, 0 * class_I)
