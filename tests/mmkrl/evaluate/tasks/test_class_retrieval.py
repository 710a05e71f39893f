"""Retrieval and annotation by classes against plain loops, and on Corel1k's photos."""

from __future__ import annotations

import os
from pathlib import Path
from statistics import fmean

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from torch.nn.functional import normalize

from mmkrl.data.pictures import Limits, decode
from mmkrl.errors import UserError
from mmkrl.evaluate.tasks.caption_retrieval import CaptionSpace
from mmkrl.evaluate.tasks.class_retrieval import (
    class_tasks,
    cross_modal_tasks,
    image_image,
)

NAMES = ("mAP", "P@10", "P@20", "P@50", "P@100")


def plain(scores, right):
    """Average precision and precisions at the cutoffs of one query without ties."""
    ranked = sorted(scores, key=scores.get, reverse=True)
    hits = [item in right for item in ranked]
    precisions = [sum(hits[: n + 1]) / (n + 1) for n, hit in enumerate(hits) if hit]
    return [fmean(precisions), *(sum(hits[:k]) / k for k in (10, 20, 50, 100))]


def as_rows(task):
    return np.stack([task.values[name] for name in NAMES], axis=1)


def test_texts_and_images_of_a_class_find_each_other(world):
    image_ND, class_N, word_CD, _ = world
    image_T = np.sort(np.arange(120) % 90)  # a third of the images has two texts
    generator = torch.Generator().manual_seed(1)
    text_TD = normalize(word_CD[class_N[image_T]] + torch.randn(120, 6, generator=generator))
    tasks = cross_modal_tasks(CaptionSpace(image_ND, text_TD, image_T, "cosine"), class_N)
    score_NT = image_ND.double() @ text_TD.double().T
    class_T = class_N[image_T]
    for name, score_QG, asked_Q, sought_G, groups in (
        ("image-text by class", score_NT, class_N, class_T, np.arange(90)),
        ("text-image by class", score_NT.T, class_T, class_N, image_T),
    ):
        expected = [
            plain(dict(enumerate(row)), set(np.flatnonzero(sought_G == own)))
            for row, own in zip(score_QG.tolist(), asked_Q, strict=True)
        ]
        np.testing.assert_allclose(as_rows(tasks[name]), expected, rtol=1e-5)
        assert tasks[name].groups.tolist() == groups.tolist()
        assert (tasks[name].queries, tasks[name].gallery) == score_QG.shape


@pytest.fixture(scope="module")
def world():
    generator = torch.Generator().manual_seed(0)
    class_N = np.arange(90) % 4
    word_CD = normalize(torch.randn(4, 6, generator=generator))
    image_ND = normalize(word_CD[class_N] + torch.randn(90, 6, generator=generator))
    return image_ND, class_N, word_CD, torch.rand(90, 9, generator=generator)


def test_values_equal_plain_loops(world):
    image_ND, class_N, word_CD, raw_NF = world
    tasks = class_tasks(image_ND, class_N, word_CD=word_CD, raw_NF=raw_NF)
    of_class = [set(np.flatnonzero(class_N == c)) for c in range(4)]

    def neighbours(vector_ND):
        score_NN = (vector_ND.double() @ vector_ND.double().T).tolist()
        return [
            plain({i: s for i, s in enumerate(row) if i != n}, of_class[class_N[n]] - {n})
            for n, row in enumerate(score_NN)
        ]

    score_CN = (word_CD.double() @ image_ND.double().T).tolist()
    expected = {
        "class-image": [plain(dict(enumerate(row)), of_class[c]) for c, row in enumerate(score_CN)],
        "image-image": neighbours(image_ND),
        "image-image, raw features": neighbours(normalize(raw_NF, dim=1)),
    }
    for name, rows in expected.items():
        np.testing.assert_allclose(as_rows(tasks[name]), rows, rtol=1e-6)
    named = [max(range(4), key=lambda c, n=n: score_CN[c][n]) == class_N[n] for n in range(90)]
    assert tasks["annotation"].values["accuracy"].tolist() == named
    assert tasks["image-image"].groups.tolist() == list(range(90))
    assert tasks["class-image"].groups.tolist() == [0, 1, 2, 3]


def test_a_class_needs_words(world):
    image_ND, class_N, word_CD, raw_NF = world
    with pytest.raises(UserError, match=r"90 images of classes 0 to 3.*words of 3 classes"):
        class_tasks(image_ND, class_N, word_CD=word_CD[:3], raw_NF=raw_NF)


def test_corel_images_find_their_class_by_colour_alone():
    """A floor that anything learned is above: a histogram of 4 x 4 x 4 colours."""
    if not os.environ.get("MMKRL_DATA"):
        pytest.skip("MMKRL_DATA does not name the folder of the public data sets")
    path = Path(os.environ["MMKRL_DATA"]) / "corel1k" / "corel1k.parquet"
    table = pq.read_table(path).slice(0, 1000).to_pydict()
    kept = range(0, 1000, 5)
    limits = Limits(10_000_000, 10_000_000)
    histograms = []
    for i in kept:
        pixel_P3 = decode(table["jpeg"][i], limits, size=64).reshape(-1, 3) // 64
        code_P = pixel_P3 @ np.array([16, 4, 1])
        histograms.append(np.sqrt(np.bincount(code_P, minlength=64)))
    vector_ND = normalize(torch.from_numpy(np.array(histograms, np.float32)))
    task = image_image(vector_ND, np.array(table["label"])[kept].astype(np.int64))
    assert task.queries == 200
    assert 0.4 < task.values["P@10"].mean() < 0.8
    assert 0.25 < task.values["mAP"].mean() < 0.6
