"""Evaluations are found by run or folder, and told apart by what they were made of."""

from __future__ import annotations

import numpy as np
import pytest

from jobs._compare import comparison_context, differing, sides
from jobs.config import PipelineConfig
from mmkrl.errors import UserError
from mmkrl.evaluate.report.compare import compare
from mmkrl.tracking.runs import run
from tests.support.evaluations import CONFIG, QUERIES, evaluation
from tests.support.tracking import local_store

VALUES = np.linspace(0.2, 0.6, len(QUERIES))[None]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A configuration, two evaluations of different trainings, and the runs that recorded them."""
    folder = tmp_path_factory.mktemp("sides")
    made = {
        "one": evaluation(folder, "one", {"ours": VALUES, "chance": VALUES / 2}, train={"m": 0.1}),
        "two": evaluation(folder, "two", {"ours": VALUES + 0.1}, train={"m": 0.2}),
    }
    with local_store(folder) as tracking:
        with run(tracking, "evaluate", identity={"key": "one"}, params={}) as tracked:
            tracked.dataset("mine", made["two"], "input")
            tracked.dataset("evaluate", made["one"], "output")
        with run(tracking, "train", identity={"key": "two"}, params={}) as other:
            other.dataset("train", made["two"], "output")
        yield PipelineConfig(workspace=str(folder), tracking=tracking), made, tracked.id, other.id


def test_a_run_a_folder_and_a_method_name_the_sides(place):
    config, made, run_id, _ = place
    folder = str(made["two"].location)
    found = sides(config, [run_id, folder, f"{run_id}#chance"])
    assert [(side.name, side.method) for side in found] == [
        ("A", "ours"),
        ("B", "ours"),
        ("C", "chance"),
    ]
    digests = [side.evaluation.dataset.digest for side in found]
    assert digests == [made[name].digest for name in ("one", "two", "one")]


@pytest.mark.parametrize(
    ("named", "says"),
    [
        (["{run}"], "1 evaluations are named: give 2 to 26"),
        (["{run}", "{other}"], "published no output of 'evaluate'"),
        (["{run}", "0" * 32], "cannot be read"),
        (["{run}", "nowhere"], "is not a dataset"),
        (["{run}", "{run}#mine"], "has no method 'mine'; it measured: ours, chance"),
    ],
)
def test_what_is_not_there_is_one_line(place, named, says):
    config, _, run_id, other = place
    with pytest.raises(UserError, match=says) as caught:
        sides(config, [one.format(run=run_id, other=other) for one in named])
    assert "\n" not in str(caught.value)


def test_the_page_tells_origins_and_the_settings_that_differ(place):
    config, made, run_id, _ = place
    compared = compare(sides(config, [run_id, str(made["two"].location)]), CONFIG)
    facts = comparison_context(compared)
    assert [(one.key, one.values) for one in facts.settings] == [("train.m", ["0.1", "0.2"])]
    assert [(source.run, source.seeds) for source in facts.sources] == [
        ("run-of-one", 1),
        ("run-of-two", 1),
    ]
    assert facts.sources[0].data == facts.sources[1].data
    assert facts.shelves == {}  # there is no corpus with pictures


def test_a_key_that_one_configuration_lacks_differs():
    rows = differing([{"a": "1", "b": "2"}, {"a": "1"}, {"a": "1", "b": "3"}])
    assert [(row.key, row.values) for row in rows] == [("b", ["2", None, "3"])]
