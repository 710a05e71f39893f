"""Which version is the champion: decided on validation, by more than the interval, and once."""

import re

import numpy as np
import pandas as pd
import pytest

from mmkrl.errors import UserError
from mmkrl.evaluate.config import EvaluateConfig
from mmkrl.serving.config import RegistryConfig
from mmkrl.serving.log import log_model
from mmkrl.serving.registry import (
    VALIDATION_FILE,
    Registry,
    Validated,
    Verdict,
    as_text,
    logged_model,
    verdict,
)
from mmkrl.tracking.runs import run
from tests.mmkrl.serving.test_pyfunc import small_triples
from tests.support.tracking import local_store

mlflow = pytest.importorskip("mlflow")

CONFIG = EvaluateConfig(resamples=200)
BASE = np.random.default_rng(0).uniform(0.3, 0.7, 40)
SPREAD = np.random.default_rng(1).uniform(-0.05, 0.05, 40)


def validated(values, **changed):
    fields = {
        "data": {"mine": "a" * 64},
        "task": "text-image",
        "metric": "mAP",
        "queries": [f"q{n}" for n in range(40)],
        "groups": list(range(40)),
        "values": list(values),
    }
    return Validated(**fields | changed)


@pytest.mark.parametrize(
    ("gain", "wins", "says"),
    [
        (0.1, True, "ahead of the champion on validation by text-image mAP"),
        (-0.1, False, "behind the champion on validation: text-image mAP -0."),
        (0.0, False, "not ahead of the champion by more than the interval"),
    ],
)
def test_only_more_than_the_interval_makes_a_champion(gain, wins, says):
    found = verdict(validated(BASE + SPREAD + gain), validated(BASE), CONFIG)
    assert found.wins == wins
    assert found.why.startswith(says)
    assert found.ahead.mean == pytest.approx(float((SPREAD + gain).mean()))
    assert (found.ahead.low > 0) == wins


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"data": {"mine": "b" * 64}}, r"other data \(mine aaaaaaaaaaaa here, bbbbbbbbbbbb there"),
        ({"data": {"graph": "b" * 64}}, "graph none here, bbbbbbbbbbbb there; mine aaaa"),
        ({"metric": "R@1"}, "measured by text-image R@1, this one by text-image mAP"),
        ({"queries": [f"x{n}" for n in range(40)]}, "other validation queries"),
        ({"groups": [0] * 40}, "other validation queries"),
    ],
)
def test_what_cannot_be_compared_leaves_the_champion(changed, says):
    found = verdict(validated(BASE + 1), validated(BASE, **changed), CONFIG)
    assert (found.wins, found.ahead) == (False, None)
    assert "not compared with the champion, which stays" in found.why
    assert re.search(says, found.why)


def test_a_champion_without_a_record_stays():
    assert "no record of its validation" in verdict(validated(BASE), None, CONFIG).why


def test_two_aliases_must_differ_and_be_names():
    with pytest.raises(ValueError, match="name two aliases"):
        RegistryConfig(champion="best", candidate="best")
    with pytest.raises(ValueError, match="pattern"):
        RegistryConfig(champion="a/b")


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    """A store with a model that a run logged; how runs are opened, and the model's URI."""
    folder = tmp_path_factory.mktemp("registry")
    small_triples().save(folder / "space")
    with local_store(folder) as config:
        with run(config, "train", identity={"job": "train", "key": "k"}, params={}) as tracked:
            made = log_model(folder / "space", tracked.id, {"graph": "g" * 64})
        yield config, tracked.id, made


def register(config, uri, trained, record):
    """What ``jobs.register`` does of a training."""
    with run(config, "register", identity={"key": trained}, params={}) as tracked:
        registry = Registry("small model", RegistryConfig())
        version = registry.find(trained)
        if version is None:
            version = registry.create(uri, {"trained": trained, "run": tracked.id})
        if registry.settled(version):
            return registry, version
        tracked.text(as_text(record), VALIDATION_FILE)
        champion = registry.champion()
        first = Verdict(True, "the first")
        found = verdict(record, registry.validated(champion), CONFIG) if champion else first
        registry.settle(version, found, f"# card of {trained}\n" + "line\n" * 2000)
    return registry, version


def test_aliases_follow_what_was_measured(logged):
    config, run_id, uri = logged
    assert logged_model(run_id) == uri
    assert logged_model("0" * 32) is None
    client = mlflow.MlflowClient()

    def aliases():
        found = client.get_registered_model("small model").aliases
        return {alias: int(number) for alias, number in found.items()}

    register(config, uri, "one", validated(BASE))
    assert aliases() == {"champion": 1}
    register(config, uri, "two", validated(BASE - 0.2))
    assert aliases() == {"champion": 1, "candidate": 2}
    registry, three = register(config, uri, "three", validated(BASE + SPREAD + 0.2))
    assert aliases() == {"champion": 3, "candidate": 2}
    _, again = register(config, uri, "three", validated(BASE * 0))
    assert (again.version, aliases()) == (three.version, {"champion": 3, "candidate": 2})
    assert len(client.search_model_versions("name = 'small model'")) == 3
    assert registry.champion().version == three.version
    kept = registry.validated(registry.champion())
    assert kept.values == pytest.approx(list(BASE + SPREAD + 0.2))


def test_a_version_carries_its_card_as_long_as_the_store_takes_it(logged):
    config, _, uri = logged
    registry, version = register(config, uri, "four", validated(BASE))
    described = mlflow.MlflowClient().get_model_version("small model", version.version)
    assert described.description.startswith("# card of four\n")
    assert len(described.description) <= 5000
    assert described.description.endswith(
        "card.md of the run " + described.tags["mmkrl.run"] + ".)"
    )
    assert registry.settled(described)


def test_the_model_is_loaded_by_alias_with_its_signature(logged):
    config, _, uri = logged
    register(config, uri, "one", validated(BASE))
    model = mlflow.pyfunc.load_model("models:/small model@champion")
    given = [column.name for column in model.metadata.get_input_schema()]
    assert given == ["task", "head", "relation", "tail"]
    rows = [{"task": "predict_tails", "head": "e01", "relation": "next"}]
    found = model.predict(pd.DataFrame(rows), {"count": 2})
    assert len(found["names"][0]) == 2
    info = mlflow.models.get_model_info(uri)
    assert "score_triples" in info.metadata["tasks"]
    assert info.metadata["graph"] == "g" * 64


def test_a_name_that_mlflow_does_not_take_is_told():
    with pytest.raises(UserError, match=r"registry\.name = 'a/b'"):
        Registry("a/b", RegistryConfig())
