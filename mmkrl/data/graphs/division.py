"""A split for triples that have none: seeded, and without an easy answer in training.

Ours, not a paper's. Whole groups of triples are held out: by default all between the same two
entities, so that no held-out triple has its inverse, or another relation of its pair, in training.
Every entity and relation of a held-out triple still occurs in training.
"""

from __future__ import annotations

from collections.abc import Sequence

from mmkrl.data.graphs.config import GraphSplit
from mmkrl.data.splits.zero_shot import SplitConfig, Triple, split_pairs

NamedTriple = tuple[str, str, str]


def divide(
    triples: Sequence[NamedTriple], config: GraphSplit, groups: Sequence[str] | None = None
) -> list[str]:
    """The split of every triple.

    Args:
        triples: Head, relation and tail of each.
        config: Shares of the groups, and the seed.
        groups: What each triple is held out with; None groups by the pair of entities.

    Raises:
        UserError: nothing can be held out.
    """
    keys = groups or ["\x1f".join(sorted((head, tail))) for head, _, tail in triples]
    members = [Triple(*triple, key) for triple, key in zip(triples, keys, strict=True)]
    left = 1 - config.test  # split_pairs takes the validation share of what the test leaves
    shares = SplitConfig(test=config.test, validation=config.validation / left, seed=config.seed)
    split = split_pairs(members, shares)
    return [split[key] for key in keys]
