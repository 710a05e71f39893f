"""A split where images show several relationships leaks nothing, whatever is drawn."""

from __future__ import annotations

import random

import numpy as np
import pytest

from mmkrl.data.splits.shared_images import split_shared
from mmkrl.data.splits.zero_shot import SplitConfig, Triple
from mmkrl.errors import UserError

SHARE = {"test": 0.2, "validation": 0.15}


def world(seed: int):
    """60 relationships of 12 entities and 4 predicates, on 500 images, up to four each."""
    source = random.Random(seed)
    every = [(f"s{i}", f"p{k}", f"o{j}") for i in range(6) for j in range(6) for k in range(4)]
    triples = [Triple(*parts, " ".join(parts)) for parts in sorted(source.sample(every, 60))]
    triples.append(Triple("alone", "p0", "o0", "alone"))
    pairs = [
        (relationship, image)
        for image in range(500)
        for relationship in source.sample(range(len(triples)), source.randint(1, 4))
    ]
    return triples, np.array(sorted(pairs), np.int64)


@pytest.mark.parametrize("seed", range(6))
def test_held_out_relationships_are_new_and_their_parts_are_not(seed):
    triples, pair_E2 = world(seed)
    split = split_shared(triples, pair_E2, SplitConfig(seed=seed), SHARE)
    trained, at = set(), {}
    for (relationship, image), name in zip(pair_E2.tolist(), split.split_E, strict=True):
        if name == "train":
            trained.add(relationship)
        if name:
            assert at.setdefault(image, name.removesuffix("_seen")) == name.removesuffix("_seen")
            own = "train" if name.endswith("_seen") else name
            assert split.split_R[relationship] == own
    seen = {part for r in trained for part in (triples[r][0], triples[r][1], triples[r][2])}
    for relationship, name in enumerate(split.split_R):
        if name in ("test", "validation"):
            assert seen.issuperset(triples[relationship][:3])
            assert relationship not in trained
    assert split.split_R[-1] == "train"  # a part of it occurs nowhere else
    for name, most in SHARE.items():
        images = [image for image, where in at.items() if where == name]
        assert 0 < len(images) <= most * 500


@pytest.mark.parametrize("seed", range(3))
def test_every_pair_has_a_split_or_a_reason(seed):
    triples, pair_E2 = world(seed)
    split = split_shared(triples, pair_E2, SplitConfig(seed=seed), SHARE)
    assert ((split.split_E != "") != (split.reason_E != "")).all()
    reasons = set(split.reason_E.tolist()) - {""}
    assert reasons <= {"image_of_test", "part_unseen", "no_training_image"}


def test_a_seed_is_a_split():
    triples, pair_E2 = world(0)
    one, two, other = (
        split_shared(triples, pair_E2, SplitConfig(seed=seed), SHARE).split_E for seed in (3, 3, 4)
    )
    assert (one == two).all()
    assert (one != other).any()


def test_some_predicates_are_only_trained_on():
    triples, pair_E2 = world(1)
    split = split_shared(triples, pair_E2, SplitConfig(train_only=("p0", "p1")), SHARE)
    held = {triples[r].predicate for r in np.flatnonzero(np.isin(split.split_R, list(SHARE)))}
    assert held <= {"p2", "p3"}


def test_a_split_without_room_is_told():
    triples, pair_E2 = world(2)
    with pytest.raises(UserError, match="raise mine"):
        split_shared(triples, pair_E2, SplitConfig(), {"test": 0.0, "validation": 0.1})
