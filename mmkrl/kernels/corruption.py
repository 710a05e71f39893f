"""Corrupting true triples (negative sampling), as a function of seed and position in the batch.

What replaces a part depends on the seed, the row and the column alone (a counter passed through
splitmix64; Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", 2014), so the
same corruptions are drawn whoever draws them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mmkrl.arrays import IntArray
from mmkrl.kernels.columns import HEAD, RELATION, TAIL
from mmkrl.kernels.compiled import in_order, inlined

_DRAWS = 20
_EMPTY = -1


class Known(NamedTuple):
    """A set of true triples that can be asked quickly: a hash table of their codes.

    Attributes:
        code_T: ``(head * relations + relation) * entities + tail`` at its position or the next free
            one; -1 at free positions. The length is a power of two.
        hint_W: A Bloom filter with one hash function, 64 bits to a number, eight bits for each
            position of ``code_T``. It is an eighth of its size, so that it stays in the cache, and
            settles most questions.
        entities: Number of entities.
        relations: Number of relations.
    """

    code_T: IntArray
    hint_W: IntArray
    entities: int
    relations: int


@in_order
def known_triples(triple_N3: IntArray, entities: int, relations: int) -> Known:
    """Put triples into a set.

    Args:
        triple_N3: Any number of triples; one may occur more than once.
        entities: Number of entities; its square times ``relations`` must fit into 63 bits.
        relations: Number of relations.
    """
    length = 2  # at most half of the table is used, so that linear probing ends soon
    while length < 2 * len(triple_N3):
        length *= 2
    code_T = np.full(length, _EMPTY, np.int64)
    hint_W = np.zeros(max(1, length // 8), np.int64)
    for head, relation, tail in triple_N3:
        code = (head * relations + relation) * entities + tail
        word, bit = _hint(hint_W, code)
        hint_W[word] |= bit
        code_T[_position(code_T, code)] = code
    return Known(code_T, hint_W, entities, relations)


@in_order
def corrupt(
    triple_B3: IntArray,
    known: Known,
    head_share_R: npt.NDArray[np.float64],
    counts: tuple[int, int],
    seed: int,
) -> tuple[IntArray, npt.NDArray[np.int8]]:
    """Draw corruptions that are not known to be true.

    A corruption that is known is drawn again, up to 20 times: where every replacement is true, a
    true one stays.

    Args:
        triple_B3: True triples.
        known: What must not be drawn.
        head_share_R: By relation, the probability that an entity replaces the head.
        counts: How many corruptions of each triple replace an entity, and how many the relation;
            these come last.
        seed: Decides everything.

    Returns:
        What replaces a part, and which part, both of shape (B, sum of counts).
    """
    size, count = len(triple_B3), counts[0] + counts[1]
    other_BK, slot_BK = np.empty((size, count), np.int64), np.empty((size, count), np.int8)
    for b in range(size):
        head, relation, tail = triple_B3[b]
        for k in range(count):
            # Every corruption has a range of counters of its own: what it draws does not depend on
            # how often others were drawn again.
            counter = (b * count + k) * (_DRAWS + 1)
            slot = RELATION
            if k < counts[0]:
                share = _fraction(_random(seed, counter))
                slot = HEAD if share < head_share_R[relation] else TAIL
            choices = known.relations if slot == RELATION else known.entities
            other = np.int64(0)
            for draw in range(1, _DRAWS + 1):
                other = np.int64(_fraction(_random(seed, counter + draw)) * choices)
                h = other if slot == HEAD else head
                r = other if slot == RELATION else relation
                t = other if slot == TAIL else tail
                if not _holds(known, h, r, t):
                    break
            other_BK[b, k], slot_BK[b, k] = other, slot
    return other_BK, slot_BK


@in_order
def draw_entities(shape: tuple[int, int, int], entities: int, seed: int) -> IntArray:
    """Entities drawn uniformly, with replacement."""
    drawn = np.empty(shape, np.int64)
    flat = drawn.reshape(-1)
    for n in range(len(flat)):
        flat[n] = np.int64(_fraction(_random(seed, n)) * entities)
    return drawn


@in_order
def known_answers(triple_B3: IntArray, pool_C2K: IntArray, known: Known) -> npt.NDArray[np.bool_]:
    """Which entities of a pool would make a known triple of a true one.

    Args:
        triple_B3: True triples, as many side by side for each of the C pools.
        pool_C2K: Entities that replace the heads, and those that replace the tails.
        known: The known triples.

    Returns:
        Shape (B, 2, K): by triple, for its head and its tail.
    """
    size, (pools, _, count) = len(triple_B3), pool_C2K.shape
    true_B2K = np.empty((size, 2, count), np.bool_)
    for b in range(size):
        head, relation, tail = triple_B3[b]
        pool = b * pools // size
        for k in range(count):
            true_B2K[b, 0, k] = _holds(known, pool_C2K[pool, 0, k], relation, tail)
            true_B2K[b, 1, k] = _holds(known, head, relation, pool_C2K[pool, 1, k])
    return true_B2K


@inlined
def _holds(known: Known, head: np.int64, relation: np.int64, tail: np.int64) -> np.bool_:
    code = (head * known.relations + relation) * known.entities + tail
    word, bit = _hint(known.hint_W, code)
    found: np.bool_ = known.hint_W[word] & bit != 0
    if found:
        found = known.code_T[_position(known.code_T, code)] == code
    return found


@inlined
def _hint(hint_W: IntArray, code: np.int64) -> tuple[np.int64, np.int64]:
    """The word and the bit of a code."""
    mixed = _random(code, 1)
    word = np.int64(mixed >> np.uint64(6)) & (len(hint_W) - 1)
    return word, np.int64(1) << np.int64(mixed & np.uint64(63))


@inlined
def _position(code_T: IntArray, code: np.int64) -> np.int64:
    """Where a code is, or would be put."""
    mask = len(code_T) - 1
    position = np.int64(_random(code, 0) & np.uint64(mask))
    while code_T[position] != _EMPTY and code_T[position] != code:
        position = (position + 1) & mask
    return position


@in_order
def _random(seed: int | np.int64, counter: int) -> np.uint64:
    """The counter-th number of a sequence of 64-bit numbers."""
    mixed = np.uint64(seed) + np.uint64(counter + 1) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


@in_order
def _fraction(number: np.uint64) -> np.float64:
    """A 64-bit number as one in [0, 1)."""
    return np.float64(number >> np.uint64(11)) * 2.0**-53
