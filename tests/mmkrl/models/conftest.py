"""A tiny graph whose entities have no, one or several images."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from mmkrl.data.views.graph import EntityImages, Graph
from mmkrl.models.triples.base import TripleModel, make_model
from mmkrl.models.triples.config import TripleConfig
from tests.support.bcdnn import knowledge, loop_config, make_learner, small
from tests.support.graphs import ENTITIES, FEATURES, row_graph, some_images

__all__ = ["knowledge", "loop_config", "make_learner", "small"]


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Small tensors are faster on one thread."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def graph() -> Graph:
    return row_graph()


@pytest.fixture(scope="session")
def images() -> EntityImages:
    return some_images()


@pytest.fixture(scope="session")
def no_images() -> EntityImages:
    empty = np.zeros(0, np.int64)
    return EntityImages(np.zeros(ENTITIES + 1, np.int64), empty, np.zeros((0, FEATURES), "f2"))


@pytest.fixture(scope="session")
def make(graph, images) -> Callable[..., TripleModel]:
    """A model with weights of a usual size, the same at every call."""

    def build(model, *, pictures=images, **fields) -> TripleModel:
        torch.manual_seed(0)
        made = make_model(graph, TripleConfig(model=model, dimension=6, **fields), pictures, None)
        for parameter in made.parameters():
            torch.nn.init.normal_(parameter, std=0.6)
        return made

    return build
