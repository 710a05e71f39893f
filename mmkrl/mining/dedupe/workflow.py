"""All steps from a corpus to its duplicates, with whatever runs units of work."""

from __future__ import annotations

import time
from collections.abc import Sequence

from mmkrl.data.dataset import Dataset
from mmkrl.data.manifest import FileEntry, UnitRecord
from mmkrl.io.storage import Location
from mmkrl.mining.dedupe.config import DedupeConfig
from mmkrl.mining.dedupe.hash_table import HashTable
from mmkrl.mining.dedupe.links import (
    DistinctHashes,
    Search,
    collapse,
    find_links,
    form_groups,
    plan_search,
)
from mmkrl.mining.dedupe.phash import hash_part
from mmkrl.mining.dedupe.representatives import name_duplicates
from mmkrl.mining.units import RunUnits

_HASHED = -1  # stands for a unit that is there already


def dedupe(
    location: Location, corpus: Dataset, config: DedupeConfig, run_units: RunUnits
) -> tuple[list[UnitRecord], dict[str, float]]:
    """Hash a corpus, and find which of its images show the same picture.

    Args:
        location: The dataset to write: tables ``hashes``, ``duplicates`` and ``dead_letters``.
        corpus: The ingested corpus.
        config: What counts as the same.
        run_units: What runs the work.

    Returns:
        The units, and what was measured.
    """
    started = time.monotonic()

    def hashing(number: int, images: FileEntry) -> UnitRecord:
        return hash_part(location, number, corpus, images)

    hashed = run_units(location, corpus.files("images"), hashing, label="hash")
    hashed_s = time.monotonic() - started
    units, figures = group(location, hashed, config, run_units)
    images = sum(unit.rows_in for unit in hashed)
    group_s = time.monotonic() - started - hashed_s
    rates = {"images": float(images), "images_per_s": images / hashed_s, "group_s": group_s}
    return units, rates | figures


def group(
    location: Location, hashed: Sequence[UnitRecord], config: DedupeConfig, run_units: RunUnits
) -> tuple[list[UnitRecord], dict[str, float]]:
    """Find the duplicates among hashes that are there.

    Args:
        location: The dataset that has them and gets table ``duplicates``.
        hashed: The units that published them.
        config: What counts as the same.
        run_units: What runs the work.

    Returns:
        All units of the dataset, and what was found.
    """
    distinct_at, links_at, groups_at = (location / n for n in ("_distinct", "_links", "_groups"))
    table = HashTable.of(location, hashed, config.unit_rows)

    def collapsing(number: int, _: int) -> UnitRecord:
        return collapse(distinct_at, number, table)

    collapsed = run_units(distinct_at, range(table.partitions), collapsing, label="collapse")
    distinct = DistinctHashes.of(distinct_at, collapsed)

    def searching(number: int, unit: Search) -> UnitRecord:
        return find_links(links_at, number, unit, distinct, config.distance)

    searches = plan_search(distinct.rows, config.distance, config.unit_rows)
    linked = run_units(links_at, searches, searching, label="search")
    form_groups(groups_at, links_at, linked, distinct)

    def naming(number: int, partition: int) -> UnitRecord:
        return name_duplicates(number, partition, table, distinct, groups_at, config.distance)

    todo = [*[_HASHED] * len(hashed), *range(table.partitions)]
    units = run_units(location, todo, naming, label="name")
    return units, _figures(linked, units[len(hashed) :])


def _figures(linked: Sequence[UnitRecord], named: Sequence[UnitRecord]) -> dict[str, float]:
    def total(units: Sequence[UnitRecord], name: str) -> float:
        return float(sum(unit.stats[name] for unit in units))

    return {
        "exact_duplicates": total(named, "exact"),
        "near_duplicates": total(named, "near"),
        "groups": total(named, "groups"),
        "largest_group": max(unit.stats["largest"] for unit in named),
        "wide_groups": total(named, "wide"),
        "pairs_compared": total(linked, "compared"),
        "unsearched": total(linked, "unsearched"),
    }
