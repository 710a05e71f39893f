"""A search over a real Ray equals that of one process, however the gallery is cut."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cluster.searching import best_items_by_shards
from mmkrl.errors import UserError
from mmkrl.evaluate.exact.exact_search import nearest_neighbours

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300), pytest.mark.usefixtures("one_ray")]


@pytest.mark.parametrize("shards", [None, 3, 50])
def test_neighbours_in_shards(shards):
    """Whole numbers: with ties across shards, and shards with fewer items than are wanted."""
    generator = torch.Generator().manual_seed(0)
    vector_ND = torch.randint(-1, 2, (300, 5), generator=generator).float()
    expected = nearest_neighbours(vector_ND, 12)
    found = best_items_by_shards(vector_ND, vector_ND, 12, left_out_Q=np.arange(300), shards=shards)
    np.testing.assert_array_equal(found.item_QK, expected.item_QK)
    np.testing.assert_array_equal(found.score_QK, expected.score_QK)


def test_a_users_error_comes_back_in_one_line():
    with pytest.raises(UserError, match="queries have 3 dimensions, items 4"):
        best_items_by_shards(torch.ones(2, 3), torch.ones(9, 4), 2)
