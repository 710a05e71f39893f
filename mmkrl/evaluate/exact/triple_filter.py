"""The known answers of a query, which a filtered ranking (filtered MRR, Hits@k) leaves out.

Filters have a direction: (h, r, ?) has the known tails of h and r, (?, r, t) the known heads of r
and t. (Filters that put both under one key leave out hard candidates that are not answers.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mmkrl.arrays import IntArray
from mmkrl.kernels.counting import Others


@dataclass(frozen=True)
class Answers:
    """Answers by query, ascending and each once; a query is one whole number.

    Attributes:
        query_G: Different queries, ascending.
        start_G1: Answers of query g are ``entity_K[start_G1[g]:start_G1[g + 1]]``.
        entity_K: All answers.
    """

    query_G: IntArray
    start_G1: IntArray
    entity_K: IntArray

    @staticmethod
    def of(query_N: IntArray, entity_N: IntArray) -> Answers:
        """Collect answers from pairs; a pair may occur more than once."""
        order_N = np.lexsort((entity_N, query_N))
        query_N, entity_N = query_N[order_N], entity_N[order_N]
        fresh_N = np.ones(len(query_N), bool)
        fresh_N[1:] = (query_N[1:] != query_N[:-1]) | (entity_N[1:] != entity_N[:-1])
        query_G, start_G = np.unique(query_N[fresh_N], return_index=True)
        return Answers(query_G, np.append(start_G, fresh_N.sum()), entity_N[fresh_N])

    def to(self, query_Q: IntArray) -> Others:
        """The range of answers of each query; empty for those that have none."""
        group_Q = np.searchsorted(self.query_G, query_Q)
        found_Q = group_Q < len(self.query_G)
        found_Q[found_Q] = self.query_G[group_Q[found_Q]] == query_Q[found_Q]
        start_Q = self.start_G1[group_Q]
        stop_Q = self.start_G1[group_Q + found_Q]  # the start itself if it was not found: empty
        return Others(start_Q, stop_Q, self.entity_K)

    def holds(self, query_Q: IntArray, entity_Q: IntArray) -> npt.NDArray[np.bool_]:
        """Whether each entity is an answer of its query."""
        entities = int(max(self.entity_K.max(initial=0), entity_Q.max(initial=0))) + 1
        group_K = np.repeat(np.arange(len(self.query_G)), np.diff(self.start_G1))
        group_Q = np.searchsorted(self.query_G, query_Q)
        start_Q, stop_Q, _ = self.to(query_Q)
        # Query and entity as one number, so that one set look-up serves all. A query without
        # answers has the number of the next one, hence the second condition.
        held_Q = np.isin(group_Q * entities + entity_Q, group_K * entities + self.entity_K)
        return held_Q & (stop_Q > start_Q)


@dataclass(frozen=True)
class KnownTriples:
    """Everything that is true as far as the data says, by query in either direction.

    Attributes:
        relations: One more than the largest relation; part of how queries are numbered.
        tails: Known tails of head and relation.
        heads: Known heads of relation and tail.
    """

    relations: int
    tails: Answers
    heads: Answers

    @staticmethod
    def of(triple_N3: IntArray) -> KnownTriples:
        """Build the filters once.

        Args:
            triple_N3: The triples of all splits (:meth:`mmkrl.data.views.graph.Graph.known`); a
                triple may occur more than once.
        """
        head_N, relation_N, tail_N = np.asarray(triple_N3, np.int64).T
        relations = int(relation_N.max(initial=-1)) + 1
        return KnownTriples(
            relations,
            tails=Answers.of(head_N * relations + relation_N, tail_N),
            heads=Answers.of(tail_N * relations + relation_N, head_N),
        )

    def tails_of(self, head_Q: IntArray, relation_Q: IntArray) -> Others:
        """The known tails of (head, relation, ?)."""
        return self.tails.to(self._query(head_Q, relation_Q))

    def heads_of(self, relation_Q: IntArray, tail_Q: IntArray) -> Others:
        """The known heads of (?, relation, tail)."""
        return self.heads.to(self._query(tail_Q, relation_Q))

    def hold(self, triple_N3: IntArray) -> npt.NDArray[np.bool_]:
        """Whether each triple is known, shape (N,)."""
        head_N, relation_N, tail_N = triple_N3.T
        return self.tails.holds(self._query(head_N, relation_N), tail_N)

    def _query(self, entity_Q: IntArray, relation_Q: IntArray) -> IntArray:
        """The number of each query; -1, which no query has, for relations never seen."""
        return np.where(relation_Q < self.relations, entity_Q * self.relations + relation_Q, -1)
