"""A zero-shot split where an image shows several relationships.

Relationships are held out, and every image of one leaves training with all else that it shows. A
held-out relationship's subject, predicate and object each occur in relationships that are still
trained on, but never together. How many images are taken is limited: with ten relationships an
image, an eighth of the relationships would otherwise take nearly all.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mmkrl.arrays import IntArray, StringArray
from mmkrl.data.splits.names import TEST, TRAIN, VALIDATION
from mmkrl.data.splits.zero_shot import SplitConfig, Triple, parts_of
from mmkrl.errors import UserError

SEEN = "_seen"  # test_seen: a training relationship on an image that is held out for test
LARGEST = 0.25  # of the images that a split may take, at most, may show one relationship


@dataclass(frozen=True)
class SharedSplit:
    """The split of R relationships and E (relationship, image) pairs.

    Attributes:
        split_R: train, validation or test; empty for a relationship that is left out.
        split_E: The same, and ``test_seen`` and ``validation_seen`` for what held-out images show
            of training relationships; empty for a pair that is left out.
        reason_E: Why a pair is left out.
    """

    split_R: StringArray
    split_E: StringArray
    reason_E: StringArray


def split_shared(
    triples: Sequence[Triple],
    pair_E2: IntArray,
    config: SplitConfig,
    share: Mapping[str, float],
) -> SharedSplit:
    """Draw the held-out relationships.

    Args:
        triples: The relationships, in the order of their ids.
        pair_E2: Relationship and image of each pair.
        config: Shares of relationships, and the seed.
        share: The most images, as a share, that ``test`` and ``validation`` may take.

    Raises:
        UserError: no relationship can be held out.
    """
    split_R = _drawn(triples, pair_E2, config, share)
    # A held-out image leaves training with all that it shows, which may leave a part of a held-out
    # relationship untrained. That relationship is left out; training gets its images back, so the
    # others lose nothing by it.
    while True:
        image_split = _images(split_R, pair_E2)
        own_E = split_R[pair_E2[:, 0]]
        trained = np.zeros(len(triples), bool)
        trained[pair_E2[(own_E == TRAIN) & (image_split[pair_E2[:, 1]] == TRAIN), 0]] = True
        seen = {part for r in np.flatnonzero(trained).tolist() for part in parts_of(triples[r])}
        held = np.flatnonzero(np.isin(split_R, [TEST, VALIDATION])).tolist()
        unseen = [r for r in held if not seen.issuperset(parts_of(triples[r]))]
        if not unseen:
            break
        split_R[unseen] = ""
    left_R = np.where((split_R == TRAIN) & ~trained, "", split_R)
    for name in (TEST, VALIDATION):
        if name not in left_R:
            raise UserError(
                f"no relationship can be held out for {name}: their parts occur nowhere else, or "
                "their images are too many; mine more relationships, or raise "
                f"mine.captions.{name}_images"
            )
    return _pairs(split_R, left_R, image_split, pair_E2)


def _drawn(
    triples: Sequence[Triple],
    pair_E2: IntArray,
    config: SplitConfig,
    share: Mapping[str, float],
) -> StringArray:
    """Relationships in random order, as long as images and parts are left."""
    images: list[set[int]] = [set() for _ in triples]
    for relationship, image in pair_E2.tolist():
        images[relationship].add(image)
    total = len(set(pair_E2[:, 1].tolist()))
    left = Counter(part for triple in triples for part in parts_of(triple))
    order = [r for r, triple in enumerate(triples) if triple.predicate not in config.train_only]
    random.Random(config.seed).shuffle(order)  # noqa: S311 - a split, not a secret
    split_R = np.full(len(triples), TRAIN, "<U16")
    for name, wanted in ((TEST, config.test), (VALIDATION, config.validation)):
        room, taken, count = share[name] * total, set[int](), 0
        for r in order:
            if split_R[r] != TRAIN or count >= wanted * len(order):
                continue
            fits = len(images[r]) <= max(1, LARGEST * room) and len(taken | images[r]) <= room
            if fits and all(left[part] > 1 for part in parts_of(triples[r])):
                left.subtract(parts_of(triples[r]))
                split_R[r] = name
                taken |= images[r]
                count += 1
    return split_R


def _images(split_R: StringArray, pair_E2: IntArray) -> StringArray:
    """The split of every image: test before validation before training."""
    image_split = np.full(int(pair_E2[:, 1].max()) + 1, TRAIN, "<U16")
    for name in (VALIDATION, TEST):
        image_split[pair_E2[split_R[pair_E2[:, 0]] == name, 1]] = name
    return image_split


def _pairs(
    split_R: StringArray, left_R: StringArray, image_split: StringArray, pair_E2: IntArray
) -> SharedSplit:
    own_E, at_E = left_R[pair_E2[:, 0]], image_split[pair_E2[:, 1]]
    split_E = np.where(own_E == at_E, own_E, "").astype("<U16")
    reason_E = np.full(len(pair_E2), "", "<U32")
    seen_E = (own_E == TRAIN) & (at_E != TRAIN)
    split_E[seen_E] = np.char.add(at_E[seen_E], SEEN)
    reason_E[(split_E == "") & (own_E != "")] = "image_of_test"
    gone_E = own_E == ""
    split_E[gone_E] = ""
    unseen_E = gone_E & (split_R[pair_E2[:, 0]] == "")
    reason_E[unseen_E] = "part_unseen"
    reason_E[gone_E & ~unseen_E] = "no_training_image"
    return SharedSplit(left_R, split_E, reason_E)
