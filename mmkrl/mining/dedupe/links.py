"""Near-duplicate images by perceptual hash, grouped in steps that each fit into a task.

1. :func:`collapse`: each task takes the hashes of one partition and keeps the different ones, so
   that a million copies of one picture are one hash from here on.
2. :func:`find_links`: each task searches a few tables of :mod:`mmkrl.mining.dedupe.hamming` for
   hashes within the distance. It reads 32 bytes a hash.
3. :func:`form_groups`: links become groups, on the driver, which holds nothing but links.
4. :func:`mmkrl.mining.dedupe.representatives.name_duplicates`: each task names the kept image of
   its groups, and links the others to it.

Groups are closed transitively (single linkage): where A looks like B and B like C, all three are
one group, though A and C may differ in more bits than the distance. The table says how far each is
from the kept one, and the statistics how many groups are wide.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mmkrl.arrays import IntArray, UInt64Array
from mmkrl.data.dataset import write_unit
from mmkrl.data.manifest import UnitRecord
from mmkrl.io.storage import Location
from mmkrl.mining.dedupe.hamming import WORDS, join, keys, search, tables
from mmkrl.mining.dedupe.hash_table import HashTable, load, partitions, save, words

_TABLES_A_TASK = 32
_EVERY_BIT = np.full(WORDS, ~np.uint64(0))


@dataclass(frozen=True)
class DistinctHashes:
    """The different hashes of a corpus, numbered from 0 through the partitions.

    Attributes:
        folder: Where :func:`collapse` left them.
        sizes: How many there are in each partition.
    """

    folder: Location
    sizes: tuple[int, ...]

    @classmethod
    def of(cls, folder: Location, collapsed: Sequence[UnitRecord]) -> DistinctHashes:
        """What these units left."""
        return cls(folder, tuple(unit.rows_out for unit in collapsed))

    @property
    def rows(self) -> int:
        """How many there are."""
        return sum(self.sizes)

    def read(self, name: str) -> Iterator[tuple[int, UInt64Array]]:
        """An array (``hash`` or ``images``) of each partition, after its first row's number."""
        first = 0
        for number, size in enumerate(self.sizes):
            yield first, load(self.folder, number)[name]
            first += size

    def take(self, number_M: IntArray) -> UInt64Array:
        """Hashes by their sorted numbers."""
        taken = [np.empty((0, WORDS), np.uint64)]
        for first, hash_NW in self.read("hash"):
            start, stop = np.searchsorted(number_M, [first, first + len(hash_NW)])
            taken.append(hash_NW[number_M[start:stop] - first])
        return np.concatenate(taken)


@dataclass(frozen=True)
class Search:
    """A unit of the search: a few tables, over one partition of what can meet in them.

    Attributes:
        masks: Shape (tables, WORDS).
        partition: Number of the partition.
        partitions: Of how many; if it is not the only one, there is a single table.
    """

    masks: UInt64Array
    partition: int
    partitions: int


def collapse(folder: Location, number: int, table: HashTable) -> UnitRecord:
    """Keep the different hashes of one partition, in order, and how many images have each."""
    parts = [(np.empty((0, WORDS), np.uint64), np.empty(0, np.int64))]
    for rows in table.read(["hash"]):
        hash_NW = words(rows["hash"])
        mine_N = keys(hash_NW, _EVERY_BIT) % np.uint64(table.partitions) == number
        hash_NW = hash_NW[mine_N]
        parts.append(_different(hash_NW, np.ones(len(hash_NW), np.int64)))
    hashes, images = zip(*parts, strict=True)
    hash_NW, images_N = _different(np.concatenate(hashes), np.concatenate(images))
    save(folder, number, {"hash": hash_NW, "images": images_N})
    return write_unit(folder, number, {}, rows_in=len(hash_NW), rows_out=len(hash_NW))


def _different(hash_NW: UInt64Array, images_N: IntArray) -> tuple[UInt64Array, IntArray]:
    """Each hash once, with the sum of its images."""
    order_N = np.lexsort(hash_NW.T)
    sorted_NW = hash_NW.take(order_N, axis=0)
    change_N = np.ones(len(hash_NW), bool)
    change_N[1:] = (sorted_NW[1:] != sorted_NW[:-1]).any(axis=1)
    total_N = np.cumsum(images_N[order_N])
    # A run ends where the next one begins; after the last row that is the first, which always does.
    # Differences of the running totals at the ends are the totals of the runs.
    last_U = np.flatnonzero(np.roll(change_N, -1))
    return sorted_NW[change_N], np.diff(total_N[last_U], prepend=0)


def plan_search(rows: int, distance: int, unit_rows: int) -> list[Search]:
    """The units of the search among so many different hashes.

    Args:
        rows: How many there are.
        distance: Bits in which near duplicates may differ.
        unit_rows: Rows a task may hold.
    """
    masks = tables(rows, distance)
    count = partitions(rows, unit_rows)
    step = 1 if count > 1 else min(_TABLES_A_TASK, max(1, unit_rows // max(1, rows)))
    return [
        Search(masks[start : start + step], number, count)
        for start in range(0, len(masks), step)
        for number in range(count)
    ]


def find_links(
    folder: Location, number: int, unit: Search, distinct: DistinctHashes, distance: int
) -> UnitRecord:
    """Link hashes that are within the distance, as far as this unit of the search finds them."""
    number_N, hash_NW = _meeting(unit, distinct)
    found = search(hash_NW, unit.masks, distance)
    save(folder, number, {"links": join([number_N[link_E2] for link_E2 in found.links])})
    rows = len(hash_NW)
    stats = {"compared": found.compared, "unsearched": found.unsearched}
    return write_unit(folder, number, {}, rows_in=rows, rows_out=rows, stats=stats)


def _meeting(unit: Search, distinct: DistinctHashes) -> tuple[IntArray, UInt64Array]:
    """The hashes of this unit's partition with their numbers."""
    numbers, hashes = [np.empty(0, np.int64)], [np.empty((0, WORDS), np.uint64)]
    for first, hash_NW in distinct.read("hash"):
        mine_N = np.ones(len(hash_NW), bool)
        # Hashes that meet in a table have the same key there, and so are in the same partition:
        # none of their pairs is lost. Another table would need other partitions.
        if unit.partitions > 1:
            (mask_W,) = unit.masks
            mine_N = keys(hash_NW, mask_W) % np.uint64(unit.partitions) == unit.partition
        numbers.append(first + np.flatnonzero(mine_N))
        hashes.append(hash_NW[mine_N])
    return np.concatenate(numbers), np.concatenate(hashes)


def form_groups(
    folder: Location, links: Location, linked: Sequence[UnitRecord], distinct: DistinctHashes
) -> None:
    """Connect the links, and leave for every hash that is not alone the smallest of its group.

    A hash that several images share is a group too.

    Args:
        folder: Where the groups go.
        links: Where :func:`find_links` left its links.
        linked: Its units.
        distinct: The different hashes.
    """
    link_E2 = np.empty((0, 2), np.int64)
    for unit in linked:  # never more than the groups found so far and one task's
        link_E2 = join([link_E2, load(links, unit.unit)["links"]])
    shared = [first + np.flatnonzero(images_N > 1) for first, images_N in distinct.read("images")]
    first_G = np.setdiff1d(np.concatenate([*shared, link_E2[:, 1]]), link_E2[:, 0])
    member_M2 = np.concatenate([link_E2, np.stack([first_G, first_G], axis=1)])
    member_M2 = member_M2[np.argsort(member_M2[:, 0])]
    save(folder, 0, {"member": member_M2[:, 0], "group": member_M2[:, 1]})
