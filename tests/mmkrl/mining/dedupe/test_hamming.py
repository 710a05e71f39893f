"""Links between near hashes, against comparing all with all."""

from __future__ import annotations

import numpy as np
import pytest

from mmkrl.mining.dedupe.hamming import BITS, distances, join, search, tables


def random_hashes(rows, seed=0):
    return np.random.default_rng(seed).integers(0, 1 << 64, (rows, 4), np.uint64)


def flipped(hash_NW, counts, seed=0, places=BITS):
    """Each hash with so many of its first bits flipped."""
    source = np.random.default_rng(seed)
    bits = np.zeros((len(hash_NW), BITS), np.uint8)
    for row, count in enumerate(counts):
        bits[row, source.choice(places, count, replace=False)] = 1
    return hash_NW ^ np.packbits(bits, axis=1).view(np.uint64)


def different(*parts):
    return np.unique(np.concatenate(parts), axis=0)


def all_with_all(hash_NW, distance):
    """Every pair within the distance: the plain way."""
    apart_NN = distances(hash_NW[:, None], hash_NW[None])
    return np.argwhere(np.triu(apart_NN <= distance, 1))


def assert_exact(hash_NW, distance, found):
    links = np.concatenate([np.empty((0, 2), np.int64), *found.links])
    assert (distances(hash_NW[links[:, 0]], hash_NW[links[:, 1]]) <= distance).all()
    np.testing.assert_array_equal(join([links]), join([all_with_all(hash_NW, distance)]))
    assert found.unsearched == 0


@pytest.mark.parametrize("distance", [1, 4, 12, 20])
def test_planted_neighbours_are_found_up_to_the_distance_and_no_further(distance):
    base = random_hashes(1200)
    counts = [n % (2 * distance + 1) for n in range(400)]
    hash_NW = different(base, flipped(base[:400], counts))
    for rows in (len(hash_NW), 10**8):  # the tables for few rows, and those for many
        found = search(hash_NW, tables(rows, distance), distance)
        assert_exact(hash_NW, distance, found)
    assert len(join(found.links)) == sum(0 < count <= distance for count in counts)


def test_more_rows_are_searched_in_more_tables_with_fewer_meetings():
    few, many = tables(10_000, 12), tables(10**8, 12)
    assert (len(few), len(many)) == (13, 91)
    assert np.bitwise_count(few).sum(axis=1).min() >= BITS // 13
    assert np.bitwise_count(many).sum(axis=1).min() >= 2 * (BITS // 14)
    assert len(tables(10_000, 0)) == 0


def crowd(rows, varying, places=BITS):
    """Hashes that are the same in all but some bits: blank pictures, pages of one layout."""
    source = np.random.default_rng(1)
    bits = np.zeros((rows, BITS), np.uint8)
    bits[:, source.choice(places, varying, replace=False)] = source.integers(0, 2, (rows, varying))
    return np.packbits(bits, axis=1).view(np.uint64)


IN_HALF_OF_THE_TABLES = [bit for bit in range(BITS) if bit % 13 < 6]


@pytest.mark.parametrize(
    ("varying", "places"),
    [(12, BITS), (16, BITS), (40, BITS), (90, BITS), (100, IN_HALF_OF_THE_TABLES)],
)
def test_crowds_that_agree_in_most_bits_are_searched_exactly(varying, places):
    base = crowd(1200, varying, places)
    near = flipped(base[:300], [n % 25 for n in range(300)])
    hash_NW = different(base, near, random_hashes(300))
    found = search(hash_NW, tables(len(hash_NW), 12), 12)
    assert_exact(hash_NW, 12, found)
    assert found.compared < len(hash_NW) ** 2


def test_a_dense_crowd_costs_far_less_than_its_square():
    counts = np.random.default_rng(0).integers(1, 7, 20_000)
    hash_NW = different(flipped(np.tile(random_hashes(1), (20_000, 1)), counts, places=60))
    masks = tables(len(hash_NW), 12)
    found = search(hash_NW, masks, 12)
    assert len(join(found.links)) == len(hash_NW) - 1
    assert found.compared < len(hash_NW) ** 2 / 10


def test_a_crowd_that_costs_too_much_is_told():
    hash_NW = different(crowd(1500, 30))
    masks = tables(len(hash_NW), 8)
    whole = search(hash_NW, masks, 8)
    assert_exact(hash_NW, 8, whole)
    cut_off = search(hash_NW, masks, 8, crowd_comparisons=5000)
    assert cut_off.unsearched > 0
    assert cut_off.compared < whole.compared


def test_joining_in_parts_is_joining_at_once():
    link_E2 = np.random.default_rng(0).integers(0, 300, (200, 2))
    at_once = join([link_E2])
    np.testing.assert_array_equal(join([join([link_E2[:70]]), link_E2[70:]]), at_once)
    smallest = list(range(300))
    for _ in range(300):  # a plain relaxation
        for left, right in link_E2.tolist():
            smallest[left] = smallest[right] = min(smallest[left], smallest[right])
    expected = [[node, root] for node, root in enumerate(smallest) if node != root]
    assert at_once.tolist() == expected


def test_nothing_joins_to_nothing():
    assert join([]).shape == (0, 2)
    assert join([np.empty((0, 2), np.int64)]).shape == (0, 2)
