"""Whatever is registered by name is named in a test."""

import importlib
import inspect
import pkgutil
import re

import pytest

import mmkrl.losses
from mmkrl.encoders.backbones import BACKBONES
from mmkrl.evaluate.exact.scores import GRAPH_SCORES
from mmkrl.mining.registry import MINERS
from mmkrl.models.bcdnn.model import VARIANTS
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


LOSSES = public_functions(mmkrl.losses)


@pytest.fixture(scope="module")
def tests_text(root):
    """The source of all tests but these guards."""
    paths = [p for p in (root / "tests").rglob("test_*.py") if p.parent.name != "sanity"]
    return "\n".join(path.read_text() for path in paths)


def test_registries_hold_something():
    assert len(BACKBONES) >= 2
    assert len(MINERS) >= 1
    assert len(VARIANTS) == 4
    assert len(GRAPH_MODELS.names()) >= 6
    assert len(GRAPH_SCORES.names()) >= 5
    assert len(LOSSES) >= 6


@pytest.mark.parametrize(
    "name", [*BACKBONES, *MINERS, *VARIANTS, *GRAPH_MODELS.names(), *GRAPH_SCORES.names()]
)
def test_every_registered_name_is_in_a_test(tests_text, name):
    named = re.search(rf"[\"']{re.escape(name)}[\"']", tests_text) is not None
    assert named, f"no test names {name!r}"


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_in_a_test(tests_text, name):
    called = re.search(rf"\b{name}\(|\b{name}\]|\b{name},", tests_text) is not None
    assert called, f"no test calls {name}"
