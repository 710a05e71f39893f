"""Whatever is registered by name is named in a test."""

import importlib
import inspect
import pkgutil
import re
from typing import get_args

import pytest

import mmkrl.losses
from mmkrl.encoders.config import ENCODERS
from mmkrl.evaluate.exact.scores import GRAPH_SCORES
from mmkrl.evaluate.metrics.registry import METRICS
from mmkrl.evaluate.tasks import caption_retrieval, class_retrieval, link_prediction, zero_shot
from mmkrl.losses.config import CONTRASTIVE_LOSSES
from mmkrl.mining.config import MINERS
from mmkrl.models.bcdnn.config import BCDNNConfig
from mmkrl.models.config import FAMILIES
from mmkrl.models.triples.registry import GRAPH_MODELS


def public_functions(package):
    """Names of the functions that a package's modules define for others."""
    names = []
    for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        module = importlib.import_module(found.name)
        names += [
            name
            for name, value in inspect.getmembers(module, inspect.isfunction)
            if value.__module__ == found.name and not name.startswith("_")
        ]
    return names


VARIANTS = get_args(BCDNNConfig.model_fields["variant"].annotation)
LOSSES = public_functions(mmkrl.losses)
MEASURED = {
    *caption_retrieval.METRICS,
    *class_retrieval.METRICS,
    *link_prediction.METRICS,
    *zero_shot.RETRIEVAL,
    *zero_shot.RECOGNITION,
    zero_shot.GRADED,
    "R@5",  # of arithmetic
    "P@5",
}


@pytest.fixture(scope="module")
def tests_text(root):
    """The source of all tests but these guards."""
    paths = [p for p in (root / "tests").rglob("test_*.py") if p.parent.name != "sanity"]
    return "\n".join(path.read_text() for path in paths)


def test_registries_hold_something():
    assert len(ENCODERS.names()) >= 2
    assert len(MINERS.names()) >= 1
    assert len(VARIANTS) == 4
    assert len(GRAPH_MODELS.names()) >= 6
    assert len(GRAPH_SCORES.names()) >= 5
    assert len(LOSSES) >= 6
    assert len(METRICS.names()) >= 14


NAMES = [
    *CONTRASTIVE_LOSSES.names(),
    *ENCODERS.names(),
    *FAMILIES.names(),
    *MINERS.names(),
    *VARIANTS,
    *GRAPH_MODELS.names(),
    *GRAPH_SCORES.names(),
]


@pytest.mark.parametrize("name", NAMES)
def test_every_registered_name_is_in_a_test(tests_text, name):
    named = re.search(rf"[\"']{re.escape(name)}[\"']", tests_text) is not None
    assert named, f"no test names {name!r}"


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_in_a_test(tests_text, name):
    called = re.search(rf"\b{name}\(|\b{name}\]|\b{name},", tests_text) is not None
    assert called, f"no test calls {name}"


@pytest.mark.parametrize("name", [*METRICS.names(), *sorted(MEASURED)])
def test_every_metric_is_in_a_test(tests_text, name):
    pattern = re.escape(name)
    if name.endswith(("@k", "-k")):  # a family: any of its members
        pattern = rf"{re.escape(name[:-1])}(\d+|\{{k\}})"
    assert re.search(rf"[\"']{pattern}[\"']", tests_text), f"no test names {name!r}"
