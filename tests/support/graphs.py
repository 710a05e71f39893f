"""A tiny graph that a translation can learn, with images of some entities."""

import numpy as np

from mmkrl.data.views.graph import EntityImages, Graph

ENTITIES, RELATIONS, FEATURES = 14, 3, 9


def row_graph() -> Graph:
    """Entities in a row: relation 0 steps to the next, 1 to the previous, 2 over one."""
    facts = [(e, 0, e + 1) for e in range(ENTITIES - 1)]
    facts += [(e + 1, 1, e) for e in range(ENTITIES - 1)]
    facts += [(e, 2, e + 2) for e in range(ENTITIES - 2)]
    triple_N3 = np.random.default_rng(0).permutation(np.array(facts))
    splits = {"train": triple_N3, "validation": triple_N3[:20], "test": triple_N3[20:]}
    names = [f"e{e:02}" for e in range(ENTITIES)]
    return Graph(names, ["next", "previous", "skip"], splits)


def some_images() -> EntityImages:
    """Entity e has e % 4 images; their rows are in no order."""
    generator = np.random.default_rng(1)
    count_E = np.arange(ENTITIES) % 4
    start_E1 = np.concatenate([[0], np.cumsum(count_E)])
    row_I = generator.permutation(start_E1[-1] + 5)[: start_E1[-1]]
    feature_MD = generator.normal(size=(start_E1[-1] + 5, FEATURES)).astype(np.float16)
    return EntityImages(start_E1, row_I, feature_MD)
