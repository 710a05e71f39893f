"""Ranks of many triples, or among many entities, over the cluster.

Ranks come from counts, so those of batches of triples are joined and those of batches of entities
added; either way the result is that of :func:`mmkrl.evaluate.exact.triple_ranks.triple_ranks`.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from torch import Tensor

from cluster.parallel import parallel
from cluster.session import cores
from mmkrl.arrays import IntArray
from mmkrl.evaluate.exact.scorer import Scorer
from mmkrl.evaluate.exact.triple_counts import Search, count_candidates
from mmkrl.evaluate.exact.triple_filter import KnownTriples
from mmkrl.evaluate.exact.triple_ranks import (
    Ranks,
    checked_candidates,
    rank_counts,
    searches,
    triple_ranks,
)

_FEWEST_TRIPLES = 2048
"""A task with fewer triples would mostly be starting up."""


def ranks_by_triples(
    scorer: Scorer, triple_N3: IntArray, *, known: KnownTriples | None, batches: int | None = None
) -> Ranks:
    """Cut the triples into batches; each task holds all entities.

    Args:
        scorer: The model; it is sent to every task.
        triple_N3: Triples whose head and tail are looked for.
        known: The filter.
        batches: How many; by default as many as there are cores, if there are triples enough.

    Raises:
        UserError: as for :func:`~mmkrl.evaluate.exact.triple_ranks.triple_ranks`.
    """
    count = batches or min(cores(), len(triple_N3) // _FEWEST_TRIPLES)
    if count < 2:
        return triple_ranks(scorer, triple_N3, known=known)
    calls = {str(n): (batch_N3,) for n, batch_N3 in enumerate(np.array_split(triple_N3, count))}
    counts = parallel(partial(rank_counts, scorer, known=known), calls, label="rank")
    return Ranks.of(np.concatenate(list(counts.values()), axis=1))


def ranks_by_entities(
    scorer: Scorer, triple_N3: IntArray, *, known: KnownTriples | None, batches: int | None = None
) -> Ranks:
    """Cut the entities into batches; each task holds its own and all queries.

    Args:
        scorer: The model; it stays here.
        triple_N3: Triples whose head and tail are looked for.
        known: The filter.
        batches: How many; by default as many as there are cores.

    Raises:
        UserError: as for :func:`~mmkrl.evaluate.exact.triple_ranks.triple_ranks`.
    """
    candidate_ED = checked_candidates(scorer, triple_N3)
    asked = list(searches(scorer, candidate_ED, triple_N3, known))
    calls, first = {}, 0
    for batch_ED in candidate_ED.tensor_split(batches or cores()):
        calls[str(first)] = (batch_ED.clone(), first)  # a view would take the whole table along
        first += len(batch_ED)
    count = partial(_count_batch, asked, len(triple_N3))
    return Ranks.of(np.sum(list(parallel(count, calls, label="rank").values()), axis=0))


def _count_batch(
    asked: list[tuple[int, IntArray, Search]], triples: int, batch_ED: Tensor, first: int
) -> IntArray:
    """The counts of one batch of entities, shape (2, N, 4)."""
    count_2N4 = np.zeros((2, triples, 4), np.int64)
    for side, triple_Q, search in asked:
        count_2N4[side, triple_Q] = count_candidates(search, batch_ED, first=first)
    return count_2N4
