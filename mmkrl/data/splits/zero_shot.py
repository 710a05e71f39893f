"""Zero-shot splits over relationships, and the checks that they leak nothing.

A test relationship's subject, predicate and object each occur in training, but the pair of its
parts never does, in any relation. Pairs are held out whole because relationships that differ
only in an attribute (a skin tone) are near-duplicates of each other.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pydantic import Field

from mmkrl.config import Section
from mmkrl.data.splits.names import TEST, TRAIN, UNSEEN_SOURCE, VALIDATION
from mmkrl.errors import UserError


class Triple(NamedTuple):
    """A relationship and the pair it is held out with."""

    subject: str
    predicate: str
    object: str
    pair: str


class SplitConfig(Section):
    """How relationships are divided."""

    test: float = Field(default=0.2, gt=0, lt=0.5)
    """Share of pairs held out for the final numbers."""
    validation: float = Field(default=0.12, gt=0, lt=0.5)
    """Share of the pairs left after the test pairs, held out for all tuning."""
    train_only: tuple[str, ...] = ()
    """Predicates never held out (attributes whose variants look alike)."""
    unseen_source: str | None = None
    """A web source no image of which is trained on."""
    near_duplicate_bits: int = Field(default=12, ge=0, le=256)
    """Held-out images within this Hamming distance (of 256 bits) of a training image are set
    aside; 0 sets aside identical hashes only."""
    seed: int = 0
    """Seed of the choice of pairs."""


def split_pairs(triples: Sequence[Triple], config: SplitConfig) -> dict[str, str]:
    """The split of every pair.

    Pairs are drawn in random order; one is held out only if every part and predicate of its
    relationships still occurs in training.

    Args:
        triples: All relationships.
        config: Shares and seed.

    Raises:
        UserError: no pair can be held out.
    """
    members: dict[str, list[Triple]] = defaultdict(list)
    for triple in triples:
        members[triple.pair].append(triple)
    left = Counter(part for triple in triples for part in parts_of(triple))
    movable = sorted(
        pair
        for pair, group in members.items()
        if not any(triple.predicate in config.train_only for triple in group)
    )
    if not movable:
        raise UserError(
            f"no pair can be held out: each of the {len(members)} pairs has a relationship whose "
            "predicate is in split.train_only"
        )
    random.Random(config.seed).shuffle(movable)  # noqa: S311 - a split, not a secret
    split = dict.fromkeys(members, TRAIN)
    for name, share in ((TEST, config.test), (VALIDATION, config.validation)):
        wanted = max(1, round(share * len(movable)))
        chosen = _take(movable, members, left, wanted)
        if not chosen:
            raise UserError(
                f"no pair can be held out for {name}: every one of the {len(movable)} pairs has a "
                "part that occurs nowhere else; mine more relationships"
            )
        split |= dict.fromkeys(chosen, name)
        movable = [pair for pair in movable if pair not in split or split[pair] == TRAIN]
    return split


def _take(
    pairs: Iterable[str], members: Mapping[str, list[Triple]], left: Counter[str], wanted: int
) -> list[str]:
    """Pairs that can leave the training set without taking a part's last occurrence along."""
    chosen: list[str] = []
    for pair in pairs:
        if len(chosen) == wanted:
            break
        leaving = Counter(part for triple in members[pair] for part in parts_of(triple))
        # Strictly more than leave: a part that is held out must still occur in training.
        if all(left[part] > count for part, count in leaving.items()):
            left.subtract(leaving)
            chosen.append(pair)
    return chosen


def parts_of(triple: Triple) -> tuple[str, str, str]:
    """The parts that must be seen; entities count in either slot."""
    return f"e:{triple.subject}", f"p:{triple.predicate}", f"e:{triple.object}"


def _shared(
    left: Iterable[Triple], right: Iterable[Triple], key: Callable[[Triple], object]
) -> int:
    """How many distinct keys occur on both sides."""
    return len({key(triple) for triple in left} & {key(triple) for triple in right})


@dataclass(frozen=True)
class LeakCheck:
    """One property the split must have, with the number of violations."""

    name: str
    violations: int


def leak_checks(
    triples: Mapping[str, Triple],
    split: Mapping[str, str],
    images: Mapping[str, set[str]],
    trained_sources: set[str],
    unseen_source: str | None,
) -> list[LeakCheck]:
    """What must hold between the splits.

    Args:
        triples: Relationship by id.
        split: Split by relationship id.
        images: Image ids by split (train, validation, test, unseen_source).
        trained_sources: Web sources of the training images.
        unseen_source: The source that must not be among them.
    """
    by_split: dict[str, list[Triple]] = defaultdict(list)
    for key, triple in triples.items():
        by_split[split[key]].append(triple)
    train, validation, test = (by_split[name] for name in (TRAIN, VALIDATION, TEST))
    seen = {part for triple in train for part in parts_of(triple)}
    held = [*validation, *test]
    return [
        LeakCheck("held-out triple also in training", _shared(held, train, lambda t: t[:3])),
        LeakCheck("held-out pair also in training", _shared(held, train, lambda t: t.pair)),
        LeakCheck("pair in both validation and test", _shared(validation, test, lambda t: t.pair)),
        LeakCheck(
            "held-out part or predicate unseen in training",
            sum(part not in seen for triple in held for part in parts_of(triple)),
        ),
        LeakCheck(
            "image in two splits",
            sum(
                len(images.get(a, set()) & images.get(b, set()))
                for a, b in (
                    (TRAIN, VALIDATION),
                    (TRAIN, TEST),
                    (TRAIN, UNSEEN_SOURCE),
                    (VALIDATION, TEST),
                )
            ),
        ),
        LeakCheck("training image of the unseen source", int(unseen_source in trained_sources)),
    ]
