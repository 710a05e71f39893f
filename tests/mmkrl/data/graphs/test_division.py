"""A seeded split holds out pairs whole and leaves every part in training."""

from __future__ import annotations

import numpy as np
import pytest

from mmkrl.data.graphs.config import GraphSplit
from mmkrl.data.graphs.division import divide
from mmkrl.errors import UserError


def random_triples(seed: int) -> list[tuple[str, str, str]]:
    generator = np.random.default_rng(seed)
    drawn = generator.integers(0, (30, 4, 30), (600, 3)).tolist()
    return sorted({(f"e{h}", f"r{r}", f"e{t}") for h, r, t in drawn})


@pytest.mark.parametrize("seed", range(4))
def test_pairs_stay_whole_and_parts_stay_known(seed):
    triples = random_triples(seed)
    split = divide(triples, GraphSplit(seed=seed))
    assert divide(triples, GraphSplit(seed=seed)) == split
    assert divide(triples, GraphSplit(seed=seed + 9)) != split
    by_pair: dict[frozenset, set] = {}
    known = set()
    for (head, relation, tail), name in zip(triples, split, strict=True):
        by_pair.setdefault(frozenset((head, tail)), set()).add(name)
        if name == "train":
            known |= {head, relation, tail}
    assert all(len(names) == 1 for names in by_pair.values())
    assert {part for triple in triples for part in triple} <= known
    for name in ("validation", "test"):
        pairs = sum(names == {name} for names in by_pair.values())
        assert abs(pairs / len(by_pair) - 0.1) < 0.01


def test_groups_stay_whole():
    triples = random_triples(7)
    groups = [f"{head} and few {len(tail)}" for head, _, tail in triples]
    split = divide(triples, GraphSplit(test=0.2), groups)
    assert len(set(zip(groups, split, strict=True))) == len(set(groups)) > 30
    assert set(split) == {"train", "validation", "test"}


def test_what_occurs_once_cannot_be_held_out():
    with pytest.raises(UserError, match="no pair can be held out"):
        divide([("a", "r", "b"), ("c", "r", "d")], GraphSplit())
