"""Metrics by name: families with a number, one's own beside the built-in ones, their direction."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from mmkrl.config import check
from mmkrl.errors import UsageError
from mmkrl.evaluate.config import EvaluateConfig
from mmkrl.evaluate.metrics.metric import Metric, Ranking, measure
from mmkrl.evaluate.metrics.registry import METRICS, further_metrics, metric, metrics, vocabulary
from mmkrl.evaluate.report.summary import differences, summarise, with_further
from mmkrl.evaluate.tasks.caption_retrieval import CaptionSpace, caption_tasks
from mmkrl.evaluate.tasks.class_retrieval import class_tasks, cross_modal_tasks
from mmkrl.evaluate.tasks.values import TaskValues
from mmkrl.evaluate.tasks.zero_shot import Space, zero_shot_tasks

OWN = """
from mmkrl.evaluate.metrics.metric import Metric

def beyond(ranking):
    return ranking.rank_Q > 3

BeyondThree = Metric("beyond 3", beyond, higher_is_better=False)
MedianHalf = Metric("median of halves", lambda ranking: ranking.rank_Q / 2, "median")
Number = 7
"""
OWN_NAMES = ("python:my_metrics:BeyondThree", "python:my_metrics:MedianHalf")


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A file of one's own with metrics."""
    (tmp_path / "my_metrics.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield further_metrics(OWN_NAMES)
    sys.modules.pop("my_metrics", None)
    metric.cache_clear()


def written():
    """Every registered name, with a number where it is that of a family."""
    return [f"{n[:-1]}7" if n.endswith(("@k", "-k")) else n for n in METRICS.names()]


def test_every_built_in_metric_is_called_what_it_says():
    for name in written():
        assert metric(name).name == name


def test_ranks_alone_are_measured_as_loops_do():
    rank_Q = np.array([1.0, 1.5, 4.0, 10.0, 11.0])
    found = measure(Ranking(rank_Q), metrics("MR", "MRR", "Hits@1", "Hits@10", "mean rank"))
    assert found["MR"].tolist() == found["mean rank"].tolist() == rank_Q.tolist()
    assert found["MRR"].tolist() == [1 / rank for rank in rank_Q]
    assert found["Hits@1"].tolist() == [1, 0, 0, 0, 0]
    assert found["Hits@10"].tolist() == [1, 1, 1, 1, 0]


def test_ranks_are_better_when_lower_and_nothing_else_is():
    lower = {name for name in written() if "↓" in metric(name).title}
    assert lower == {"MR", "mean rank", "median rank"}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Hit@5", "no metric is called 'Hit@5'; known: Hits@k"),
        ("Hits@k", "write a number for k, such as Hits@10"),
        ("python:my_metrics", "expected python:MODULE:NAME"),
    ],
)
def test_a_wrong_name_is_told_when_the_configuration_is_read(name, said):
    with pytest.raises(UsageError, match=r"^metrics = ") as caught:
        check({"metrics": [name]}, EvaluateConfig)
    assert said in str(caught.value)


def test_what_is_no_metric_of_ranks_is_refused(own):
    with pytest.raises(UsageError, match="'AMI' is computed by its own task"):
        further_metrics(["AMI"])
    with pytest.raises(UsageError, match="'mAP' needs where all right answers stand"):
        further_metrics(["mAP"], ranks_alone=True)
    with pytest.raises(UsageError, match=r"is a int: expected a .*Metric"):
        further_metrics(["python:my_metrics:Number"])


def test_names_alone_import_neither_torch_nor_any_metric():
    code = (
        "import sys; from mmkrl.evaluate.metrics.registry import check_metric;"
        "check_metric('Hits@50'); check_metric('python:my:Own');"
        "assert not {'torch', 'mmkrl.evaluate.metrics.builtin'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def all_tasks(knowledge, further):
    """The tasks of every family that rank, by what they are called."""
    generator = torch.Generator().manual_seed(3)

    def drawn(count):
        return torch.nn.functional.normalize(torch.randn(count, 4, generator=generator))

    relationships, images = len(knowledge.relationships.ids), len(knowledge.images.ids)
    tasks = zero_shot_tasks(knowledge, Space(drawn(relationships), drawn(images)), further=further)
    space = CaptionSpace(drawn(20), drawn(40), np.repeat(np.arange(20), 2))
    class_I, vectors = np.arange(20) % 4, {"word_CD": drawn(4), "raw_NF": drawn(20)}
    captions = caption_tasks(space, further=further)
    captions |= cross_modal_tasks(space, class_I, further)
    captions |= class_tasks(space.image_ID, class_I, **vectors, further=further)
    return tasks | {f"captions, {name}": task for name, task in captions.items()}


def test_further_metrics_are_measured_by_every_task_that_ranks_and_change_no_other(knowledge, own):
    without = all_tasks(knowledge, ())
    found = all_tasks(knowledge, (*own, metric("mean rank")))
    assert len(found) == len(without) >= 15
    for name, task in found.items():
        rank_Q = task.values["mean rank"]
        assert task.values["beyond 3"].tolist() == (rank_Q > 3).tolist()
        assert task.values["median of halves"].tolist() == (rank_Q / 2).tolist()
        for one, value_Q in without[name].values.items():
            np.testing.assert_array_equal(task.values[one], value_Q)


def test_the_statistic_of_a_metric_makes_its_interval_and_its_differences(own):
    config = EvaluateConfig(resamples=200, metrics=OWN_NAMES)
    ranks = np.array([1.0, 2.0, 3.0, 4.0, 1000.0])

    def tasks(rank_Q):
        return {
            "text-image": TaskValues(measure(Ranking(rank_Q), own), np.arange(5), "right", 5, 9)
        }

    values = {"ours": [tasks(ranks)], "other": [tasks(ranks * 2)]}
    results = summarise(values, config)
    found = results["ours"]["text-image"].metrics
    assert found["beyond 3"].mean == pytest.approx(0.4)
    assert found["median of halves"].mean == 1.5
    pairs = with_further([("text-image", "beyond 3")], results["ours"], own)
    assert pairs == [("text-image", "beyond 3"), ("text-image", "median of halves")]
    ahead = differences(values, pairs, "ours", config)["other"]
    assert ahead.keys() == {"text-image beyond 3"}  # medians have no paired difference
    assert ahead["text-image beyond 3"].mean == pytest.approx(0.4 - 0.8)


def test_further_columns_stand_beside_those_of_their_task(own):
    config = EvaluateConfig(resamples=200, metrics=OWN_NAMES)
    plain = TaskValues({"accuracy": np.ones(3)}, np.arange(3), "right", 3, 9)
    ranked = TaskValues(measure(Ranking(np.ones(3)), own), np.arange(3), "right", 3, 9)
    tasks = summarise({"ours": [{"a": ranked, "b": plain}]}, config)["ours"]
    pairs = with_further([("a", "beyond 3"), ("b", "accuracy")], tasks, own)
    assert pairs == [("a", "beyond 3"), ("a", "median of halves"), ("b", "accuracy")]


def test_ones_own_metric_goes_before_a_built_in_one_of_its_name(own):
    named = vocabulary(OWN_NAMES)
    assert named("beyond 3") is own[0]
    assert named("mAP") is metric("mAP")
    assert Metric.from_json("beyond 3", own[0].to_json()).title == "beyond 3 ↓"
