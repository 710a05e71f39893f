"""Mined relationships as a graph with a split of its own.

The zero-shot split of mining holds out pairs never seen together in order to recognise them in
pictures; link prediction asks for a missing part of a triple, so its split is over triples.
"""

from __future__ import annotations

import numpy as np

from mmkrl.data.dataset import Dataset
from mmkrl.data.graphs.config import GraphSplit
from mmkrl.data.graphs.division import divide
from mmkrl.data.views.graph import SPLITS, Graph
from mmkrl.data.views.knowledge import SLOTS


def mined_graph(mined: Dataset, config: GraphSplit) -> Graph:
    """The graph of a mined dataset.

    Args:
        mined: Output of mining.
        config: How its triples are divided.

    Raises:
        UserError: nothing can be held out.
    """
    table = mined.table("relationships", ["relationship_id", *SLOTS]).sort_by("relationship_id")
    triples = list(zip(*(table[slot].to_pylist() for slot in SLOTS), strict=True))
    split = np.array(divide(triples, config))
    entities = sorted({part for head, _, tail in triples for part in (head, tail)})
    relations = sorted({relation for _, relation, _ in triples})
    entity = {name: position for position, name in enumerate(entities)}
    relation = {name: position for position, name in enumerate(relations)}
    position = np.array([(entity[h], relation[r], entity[t]) for h, r, t in triples], np.int64)
    return Graph(entities, relations, {name: position[split == name] for name in SPLITS})
