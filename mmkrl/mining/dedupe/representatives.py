"""Which image of a group stands for it, and how far the others are from it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mmkrl.arrays import IntArray, UInt64Array
from mmkrl.data.dataset import write_unit
from mmkrl.data.manifest import UnitRecord
from mmkrl.data.schemas import DUPLICATES, HASHES
from mmkrl.io.storage import Location
from mmkrl.mining.dedupe.hamming import distances
from mmkrl.mining.dedupe.hash_table import HashTable, column, load, words
from mmkrl.mining.dedupe.links import DistinctHashes

_COLUMNS = ["image_id", "uri", "pixels", "hash"]
_KEPT_FIRST = {"group": True, "pixels": False, "image_id": True, "uri": True}  # ascending?


def name_duplicates(
    number: int,
    partition: int,
    table: HashTable,
    distinct: DistinctHashes,
    groups: Location,
    distance: int,
) -> UnitRecord:
    """Publish, for the groups of one partition, which image is kept and who is its duplicate.

    Kept is the largest picture, of these the one with the smallest id, then the smallest uri.

    Args:
        number: Number of the unit to publish beside the table of hashes.
        partition: Number of the partition.
        table: The hashes of the images.
        distinct: The different hashes.
        groups: Where :func:`mmkrl.mining.dedupe.links.form_groups` left the groups.
        distance: Bits in which near duplicates may differ.
    """
    left = load(groups, 0)
    mine_M = left["group"] % table.partitions == partition
    rows = _images_of(table, distinct.take(left["member"][mine_M]), left["group"][mine_M])
    frame = rows.drop_columns("hash").to_pandas()
    frame = frame.sort_values(list(_KEPT_FIRST), ascending=list(_KEPT_FIRST.values()))
    hash_NW = words(rows["hash"]).take(frame.index.to_numpy(), axis=0)
    start_G = np.flatnonzero(frame["group"].diff().ne(0))
    size_G = np.diff(start_G, append=len(frame))
    kept_N = np.repeat(start_G, size_G)
    distance_N = distances(hash_NW, hash_NW.take(kept_N, axis=0))
    duplicate_N = kept_N != np.arange(len(frame))
    named = _named(frame.reset_index(drop=True), kept_N, distance_N)[duplicate_N]
    stats = {
        "exact": int((named["kind"] == "exact").sum()),
        "near": int((named["kind"] == "near").sum()),
        "groups": len(start_G),
        "largest": int(size_G.max(initial=0)),
        "wide": int((_widths(hash_NW, distance_N, start_G, size_G) > 2 * distance).sum()),
    }
    published = pa.Table.from_pandas(
        named[DUPLICATES.arrow.names], DUPLICATES.arrow, preserve_index=False
    )
    tables = {"duplicates": published}
    return write_unit(table.location, number, tables, rows_in=0, rows_out=0, stats=stats)


def _images_of(table: HashTable, hash_MW: UInt64Array, group_M: IntArray) -> pa.Table:
    """The images with one of these hashes, with column ``group``."""
    wanted = column(hash_MW)
    found = [_nothing()]
    for batch in table.read(_COLUMNS):
        index_N = pc.index_in(batch["hash"], value_set=wanted)
        group_F = group_M[index_N.drop_null().to_numpy()]
        found.append(batch.filter(index_N.is_valid()).append_column("group", [group_F]))
    return pa.concat_tables(found)


def _nothing() -> pa.Table:
    fields = [HASHES.arrow.field(name) for name in _COLUMNS]
    return pa.schema([*fields, pa.field("group", pa.int64())]).empty_table()


def _named(frame: pd.DataFrame, kept_N: IntArray, distance_N: IntArray) -> pd.DataFrame:
    """The columns of table ``duplicates`` for every row, the kept ones as well."""
    kept = frame.loc[kept_N, ["image_id", "uri"]].reset_index(drop=True)
    same = frame["image_id"] == kept["image_id"]
    return frame.assign(
        kept_id=kept["image_id"],
        kept_uri=kept["uri"],
        kind=np.where(same, "exact", "near"),
        distance=distance_N,
    )


def _widths(
    hash_NW: UInt64Array, distance_N: IntArray, start_G: IntArray, size_G: IntArray
) -> IntArray:
    """How far apart members of each group are, at least.

    It is the largest distance to the member that is farthest from the kept one, and costs one
    comparison a member.
    """
    if not start_G.size:
        return size_G
    group_N = np.repeat(np.arange(len(start_G)), size_G)
    farthest_G = np.lexsort((-distance_N, group_N))[start_G]
    apart_N = distances(hash_NW, hash_NW.take(np.repeat(farthest_G, size_G), axis=0))
    return np.maximum.reduceat(apart_N, start_G)
