"""Summaries over seeds are means, medians stay medians, and headlines say what they compare."""

import numpy as np
import pytest

from mmkrl.evaluate.config import EvaluateConfig
from mmkrl.evaluate.metrics.intervals import bootstrap_mean
from mmkrl.evaluate.report.summary import differences, headline, summarise
from mmkrl.evaluate.tasks.values import TaskValues

CONFIG = EvaluateConfig(resamples=200)
HEADLINES = (
    ("text-image", "mAP"),
    ("image-text", "mAP"),
    ("image-image", "mAP"),
    ("recognition", "top-1"),
)
GROUPS = np.array([0, 0, 1, 1, 2])


def task(groups=GROUPS, queries=None, **values) -> TaskValues:
    arrays = {name.replace("_", " "): np.array(value, float) for name, value in values.items()}
    return TaskValues(arrays, groups, "what is right", queries or len(groups), 20)


def recognised(*hits) -> TaskValues:
    return TaskValues({"top-1": np.array(hits, float)}, np.arange(len(hits)), "", len(hits), 9)


def test_two_seeds_give_the_mean_of_both():
    seeds = [[0.1, 0.2, 0.3, 0.4, 0.5], [0.3, 0.2, 0.9, 0.0, 0.7]]
    values = {"model": [{"text-image": task(mAP=seed)} for seed in seeds]}
    scores = summarise(values, CONFIG)["model"]["text-image"]
    found = scores.metrics["mAP"]
    assert found.mean == pytest.approx(np.mean(seeds))
    assert found.seed_values == pytest.approx([np.mean(seed) for seed in seeds])
    expected = bootstrap_mean(np.mean(seeds, axis=0), GROUPS, resamples=200, seed=0)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.n_groups == 3
    assert (scores.n_queries, scores.n_gallery, scores.skipped) == (5, 20, 0)
    assert (scores.task, scores.definition) == ("text-image", "what is right")


def test_median_rank_is_a_median():
    ranks = [1.0, 2.0, 3.0, 4.0, 1000.0]
    values = {"model": [{"text-image": task(median_rank=ranks, mAP=ranks)}]}
    metrics = summarise(values, CONFIG)["model"]["text-image"].metrics
    assert metrics["median rank"].mean == 3.0
    assert metrics["mAP"].mean == pytest.approx(202.0)


def test_queries_without_an_answer_are_counted_and_gaps_left_out():
    gaps = [0.5, np.nan, 1.0, 0.0, np.nan]
    own = task(queries=8, **{"NDCG@10": gaps, "mAP": [1, 1, 0, 0, 1]})
    values = {"model": [{"text-text": own}]}
    scores = summarise(values, CONFIG)["model"]["text-text"]
    assert scores.skipped == 3
    assert scores.metrics["NDCG@10"].mean == pytest.approx(0.5)
    assert (scores.metrics["NDCG@10"].n_queries, scores.metrics["NDCG@10"].n_groups) == (3, 2)
    assert scores.metrics["mAP"].mean == pytest.approx(0.6)


def test_headlines_are_the_means_by_flat_names():
    retrieval = {
        name: task(mAP=[0, 0, 1, 1, n / 2])
        for n, name in enumerate(("text-image", "image-text", "image-image"))
    }
    own = retrieval | {"recognition": recognised(1, 0, 0, 1)}
    numbers = headline(summarise({"word mean": [own]}, CONFIG), HEADLINES)
    assert numbers == pytest.approx(
        {
            "word_mean/text-image/mAP": 0.4,
            "word_mean/image-text/mAP": 0.5,
            "word_mean/image-image/mAP": 0.6,
            "word_mean/recognition/top-1": 0.5,
        }
    )


def test_differences_are_paired_over_queries_and_averaged_over_seeds():
    tasks = ("text-image", "image-text", "image-image")

    def tasks_of(value, hits):
        return {name: task(mAP=value) for name in tasks} | {"recognition": recognised(*hits)}

    noisy = np.array([0.0, 1.0, 0.0, 1.0, 0.0])  # differs much by query, never between methods
    values = {
        "ours": [tasks_of(noisy + 0.1, (1, 1)), tasks_of(noisy + 0.3, (1, 1))],
        "other": [tasks_of(noisy, (0, 1))],
    }
    ahead = differences(values, HEADLINES, "ours", CONFIG)
    assert ahead.keys() == {"other"}
    found = ahead["other"]["text-image mAP"]
    assert (found.mean, found.low, found.high) == pytest.approx((0.2, 0.2, 0.2))
    assert ahead["other"]["recognition top-1"].mean == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("seen", "unseen", "expected"),
    [((1, 1, 1, 0), (0, 0, 1, 0), 2 * 0.75 * 0.25), ((1, 1), (0, 0), 0.0), ((0, 0), (0, 0), 0.0)],
)
def test_the_generalised_headline_is_a_harmonic_mean(seen, unseen, expected):
    own = {name: task(mAP=np.ones(5)) for name in ("text-image", "image-text", "image-image")}
    own |= {
        "recognition": recognised(1, 0),
        "generalised, seen": recognised(*seen),
        "generalised, unseen": recognised(*unseen),
    }
    numbers = headline(summarise({"full": [own]}, CONFIG), HEADLINES)
    assert numbers["full/generalised/harmonic_top-1"] == pytest.approx(expected)


def test_no_generalised_task_no_headline_of_it():
    own = {name: task(mAP=np.ones(5)) for name in ("text-image", "image-text", "image-image")}
    own |= {"recognition": recognised(1, 0)}
    numbers = headline(summarise({"full": [own]}, CONFIG), HEADLINES)
    assert not any("harmonic" in name for name in numbers)
