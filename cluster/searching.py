"""Exact search of a gallery that is cut into shards, over the cluster.

The result is that of :func:`mmkrl.evaluate.exact.exact_search.best_items`, however the gallery is
cut.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor

from cluster.parallel import parallel
from cluster.session import cores
from mmkrl.arrays import IntArray
from mmkrl.evaluate.exact.exact_search import Best, best_items, merged


def best_items_by_shards(
    query_QD: Tensor,
    item_ID: Tensor,
    k: int,
    *,
    left_out_Q: IntArray | None = None,
    shards: int | None = None,
) -> Best:
    """Cut the items into shards; each task holds its own and all queries.

    Args:
        query_QD: Vectors.
        item_ID: Vectors.
        k: How many items of each query.
        left_out_Q: Position of an item that does not count for a query, -1 for none.
        shards: How many; by default as many as there are cores.

    Raises:
        UserError: as for :func:`~mmkrl.evaluate.exact.exact_search.best_items`.
    """
    calls, first = {}, 0
    for shard_ID in item_ID.tensor_split(min(shards or cores(), max(1, len(item_ID)))):
        calls[str(first)] = (shard_ID.clone(), first)  # a view would take all items along
        first += len(shard_ID)
    search = partial(_search, query_QD, k, left_out_Q)
    return merged(list(parallel(search, calls, label="search").values()))


def _search(
    query_QD: Tensor, k: int, left_out_Q: IntArray | None, shard_ID: Tensor, first: int
) -> Best:
    return best_items(query_QD, shard_ID, k, left_out_Q=left_out_Q, first=first)
