"""Near duplicates among perceptual hashes: all pairs within a Hamming distance, exactly.

Hashes have 256 bits. A *table* is a choice of bits; two hashes meet in it if they agree on all of
them, and only hashes that meet are compared. Cut the bits into ``distance + a`` blocks: hashes
within the distance differ in at most ``distance`` blocks, so they agree on some ``a`` of them. One
table for every choice of ``a`` blocks therefore finds every pair (Manku et al. 2007, section 3).
Larger ``a`` means more tables with fewer hashes that meet by chance; :func:`tables` takes the
cheapest.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from mmkrl.arrays import IntArray, UInt64Array

BITS, WORDS = 256, 4

_MOST_BLOCKS_AGREEING = 4
_COMPARISONS_A_ROW = 1.0  # a row in one more table costs about as much as a comparison
_CROWD = 256  # hashes that meet in one bucket before more than plain comparing is tried
_CROWD_COMPARISONS = 1 << 31  # what one crowd may cost, about half a minute
_KEY_ROWS = 1 << 15  # rows whose keys are made at a time, so that they stay in the cache
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


@dataclass
class SearchResult:
    """What a search found, and what it cost.

    Attributes:
        links: Arrays of shape (E, 2): rows within the distance of each other. Rows are connected
            by these links if and only if they are connected by all pairs within the distance.
        compared: Pairs that were compared.
        unsearched: Rows whose neighbours were not all looked for, because a crowd cost too much.
    """

    links: list[IntArray] = field(default_factory=list)
    compared: int = 0
    unsearched: int = 0


def tables(rows: int, distance: int) -> UInt64Array:
    """The tables that find all pairs within a distance most cheaply.

    Bits are dealt to the blocks in turn, so that each block has coarse and fine ones.

    Args:
        rows: How many hashes there are.
        distance: Bits in which a pair may differ.

    Returns:
        Masks of shape (tables, WORDS); no table for distance 0, as equal hashes need no search.
    """
    if distance == 0:
        return np.empty((0, WORDS), np.uint64)
    agreeing = min(
        range(1, _MOST_BLOCKS_AGREEING + 1), key=lambda count: _cost(rows, distance, count)
    )
    return _cut(np.arange(BITS), distance + agreeing, agreeing)


def _cost(rows: int, distance: int, agreeing: int) -> float:
    """Comparisons, if the bits were random."""
    blocks = distance + agreeing
    by_chance = rows / 2 / 2 ** (BITS * agreeing // blocks)
    return float(math.comb(blocks, agreeing) * rows * (_COMPARISONS_A_ROW + by_chance))


def _cut(positions: IntArray, blocks: int, agreeing: int) -> UInt64Array:
    """Masks for every choice of ``agreeing`` of the blocks that these positions are dealt to."""
    masks = []
    for chosen in itertools.combinations(range(blocks), agreeing):
        bits = np.zeros(BITS, bool)
        for block in chosen:
            bits[positions[block::blocks]] = True
        masks.append(np.packbits(bits).view(np.uint64))
    return np.array(masks)


def keys(hash_NW: UInt64Array, mask_W: UInt64Array) -> UInt64Array:
    """The masked bits of each hash, mixed into 64: equal for hashes that meet in the table."""
    key_N = np.zeros(len(hash_NW), np.uint64)
    # Different bits may give equal keys: hashes then meet that need not, which costs a comparison
    # and never a link, as every pair that meets is compared bit by bit.
    for start in range(0, len(hash_NW), _KEY_ROWS):
        rows = slice(start, start + _KEY_ROWS)
        for word in np.flatnonzero(mask_W):
            key_N[rows] ^= hash_NW[rows, word] & mask_W[word]
            key_N[rows] *= _MULTIPLIER
            key_N[rows] ^= key_N[rows] >> np.uint64(32)
    return key_N


def distances(left_NW: UInt64Array, right_NW: UInt64Array) -> IntArray:
    """Bits in which hashes differ, row by row; a single hash is compared with all."""
    count_NW = np.bitwise_count(left_NW ^ right_NW)
    apart_N: IntArray = count_NW[..., 0].astype(np.int64)
    for word in range(1, WORDS):  # several times as fast as a sum over so short an axis
        apart_N += count_NW[..., word]
    return apart_N


def search(
    hash_NW: UInt64Array,
    masks: UInt64Array,
    distance: int,
    *,
    crowd_comparisons: int = _CROWD_COMPARISONS,
) -> SearchResult:
    """Links between hashes that meet in one of the tables and are within the distance.

    Args:
        hash_NW: Different hashes.
        masks: Tables, shape (tables, WORDS).
        distance: Bits in which a pair may differ.
        crowd_comparisons: What a crowd may cost that nothing thins out; see :func:`_reach`.
    """
    found = SearchResult()
    rows_N = np.arange(len(hash_NW))
    for mask_W in masks:
        _search_table(hash_NW, rows_N, mask_W, distance, crowd_comparisons, found)
    return found


def _search_table(
    hash_NW: UInt64Array,
    rows_M: IntArray,
    mask_W: UInt64Array,
    distance: int,
    budget: int,
    found: SearchResult,
) -> None:
    """Search the given rows in one table."""
    key_M, order_M = _sorted_keys(hash_NW.take(rows_M, axis=0), mask_W)
    start_R, size_R = _runs(key_M)
    rows_M = rows_M.take(order_M)
    crowded_R = size_R > _CROWD
    for start, size in zip(start_R[crowded_R], size_R[crowded_R], strict=True):
        _search_crowd(hash_NW, rows_M[start : start + size], distance, budget, found)
    rows_M = rows_M[np.repeat(~crowded_R, size_R)]
    # Step s compares every row with the s-th after it in its run, in all runs at once: array
    # operations, and as few as the longest run has rows.
    left_Q, end_Q = _not_alone(size_R[~crowded_R])
    for step in range(1, _CROWD):
        inside_Q = left_Q + step < end_Q
        left_Q, end_Q = left_Q[inside_Q], end_Q[inside_Q]
        if not left_Q.size:
            break
        pair_Q2 = np.stack([rows_M.take(left_Q), rows_M.take(left_Q + step)], axis=1)
        left_QW, right_QW = (hash_NW.take(side_Q, axis=0) for side_Q in pair_Q2.T)
        apart_Q = distances(left_QW, right_QW)
        found.links.append(pair_Q2[apart_Q <= distance])
        found.compared += len(pair_Q2)


def _sorted_keys(hash_MW: UInt64Array, mask_W: UInt64Array) -> tuple[UInt64Array, IntArray]:
    """Keys in order, and the order. Sorting key and index as one number is fastest.

    The index takes the key's last bits; a key that loses them can only meet more.
    """
    index_bits = np.uint64(len(hash_MW).bit_length())
    index_M = np.arange(len(hash_MW), dtype=np.uint64)
    both_M = keys(hash_MW, mask_W) >> index_bits << index_bits | index_M
    both_M.sort()
    key_M = both_M >> index_bits
    return key_M, (both_M ^ key_M << index_bits).astype(np.int64)


def _runs(key_M: UInt64Array) -> tuple[IntArray, IntArray]:
    """Start and size of every run of equal keys."""
    change_M = np.ones(len(key_M), bool)
    change_M[1:] = key_M[1:] != key_M[:-1]
    start_R = np.flatnonzero(change_M)
    return start_R, np.diff(start_R, append=len(key_M))


def _not_alone(size_R: IntArray) -> tuple[IntArray, IntArray]:
    """Every row that is not alone in its run, and where the run ends."""
    end_M = np.repeat(np.cumsum(size_R), size_R)
    shared_Q = np.flatnonzero(np.repeat(size_R > 1, size_R))
    return shared_Q, end_M[shared_Q]


def _search_crowd(
    hash_NW: UInt64Array, rows_M: IntArray, distance: int, budget: int, found: SearchResult
) -> None:
    """Search many rows that meet: by more tables over the bits they differ in, where that pays."""
    hash_MW = hash_NW[rows_M]
    varying = _varying(hash_MW)
    if len(varying) <= distance:  # any two of them are near
        found.links.append(_star(rows_M[0], rows_M[1:]))
        return
    # Over the bits that differ at all: cut into distance + 1 blocks, near hashes agree on one of
    # them. That pays where it leaves less than half of the comparisons of all with all.
    masks = _cut(varying, distance + 1, 1)
    if _meetings(hash_MW, masks) < math.comb(len(rows_M), 2) // 2:
        for mask_W in masks:
            _search_table(hash_NW, rows_M, mask_W, distance, budget, found)
    else:
        _reach(hash_MW, rows_M, distance, budget, found)


def _varying(hash_MW: UInt64Array) -> IntArray:
    """The positions of the bits that are not the same in all hashes."""
    differing_W = np.bitwise_or.reduce(hash_MW ^ hash_MW[0], axis=0)
    return np.flatnonzero(np.unpackbits(differing_W.view(np.uint8)))


def _meetings(hash_MW: UInt64Array, masks: UInt64Array) -> int:
    """How many pairs meet in these tables."""
    total = 0
    for mask_W in masks:
        size_R = _runs(_sorted_keys(hash_MW, mask_W)[0])[1]
        total += int((size_R * (size_R - 1) // 2).sum())
    return total


def _reach(
    hash_MW: UInt64Array, rows_M: IntArray, distance: int, budget: int, found: SearchResult
) -> None:
    """Search rows breadth first, each against those not yet reached from another.

    What no table thins out differs in few bits and is dense, so nearly all is reached from the
    first rows and the cost is linear. The budget is for the rest: what is left when it is spent
    counts as unsearched.
    """
    left_L = np.arange(len(rows_M))
    queue: list[int] = []
    spent = 0
    while left_L.size and spent < budget:
        if not queue:
            queue.append(int(left_L[0]))
            left_L = left_L[1:]
        one = queue.pop()
        near_L = distances(hash_MW[left_L], hash_MW[one]) <= distance
        spent += left_L.size
        reached = left_L[near_L]
        found.links.append(_star(rows_M[one], rows_M[reached]))
        queue.extend(reached.tolist())
        left_L = left_L[~near_L]
    found.compared += spent
    found.unsearched += left_L.size


def _star(centre: np.int64, others: IntArray) -> IntArray:
    return np.stack([np.full_like(others, centre), others], axis=1)


def join(links: Sequence[IntArray]) -> IntArray:
    """Connected components as few links: from each member of a group to its smallest.

    Joining what was joined before, with more, gives what joining all at once gives.

    Args:
        links: Arrays of shape (E, 2).

    Returns:
        Array of shape (members without the smallest of each group, 2): member, smallest; sorted.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pair_E2 = np.concatenate([np.empty((0, 2), np.int64), *links])
    node_V, index_E2 = np.unique(pair_E2, return_inverse=True)
    index_E2 = index_E2.reshape(pair_E2.shape)
    ones = np.ones(len(pair_E2), bool)
    graph = coo_array((ones, (index_E2[:, 0], index_E2[:, 1])), shape=(len(node_V),) * 2)
    label_V = connected_components(graph, directed=False)[1]
    # Nodes ascend, so a component's first node is its smallest.
    smallest_C = node_V[np.unique(label_V, return_index=True)[1]]
    root_V = smallest_C[label_V]
    joined_V2: IntArray = np.stack([node_V, root_V], axis=1)
    return joined_V2.compress(node_V != root_V, axis=0)
