"""Hashes that are grouped in a folder of the test's."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mmkrl.data.dataset import Dataset, Origin, open_dataset, publish
from mmkrl.io.storage import locate
from mmkrl.mining.dedupe.config import DedupeConfig
from mmkrl.mining.dedupe.workflow import group
from tests.mmkrl.mining.hash_rows import run_here, write_hashes


@pytest.fixture
def grouped(tmp_path) -> Callable[..., tuple[Dataset, dict[str, float]]]:
    """Groups hashes in a folder of the test's; gives the dataset and the figures."""

    def make(rows, folder="grouped", **config):
        location = locate(tmp_path / folder)
        hashed = write_hashes(location, rows)
        units, figures = group(location, hashed, DedupeConfig(**config), run_here)
        publish(location, Origin("dedupe", "key", {}, {}, ""), units)
        return open_dataset(location), figures

    return make
