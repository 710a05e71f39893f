"""How often statements are made, and of how many images: by partitions that a task can hold.

A partition has all statements whose (subject, predicate, object) falls into it by a hash, so counts
are exact, and nothing grows with the corpus but the number of partitions.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pyarrow as pa

from mmkrl.data.dataset import Dataset, write_unit
from mmkrl.data.digest import fingerprint
from mmkrl.data.manifest import UnitRecord
from mmkrl.data.schemas import DROPPED, EVIDENCE, STATEMENTS
from mmkrl.data.views.duplicates import superseded
from mmkrl.io.storage import Location
from mmkrl.mining.captions.config import CaptionMining
from mmkrl.mining.captions.noise_injection import exchange
from mmkrl.mining.captions.synonyms import Names
from mmkrl.mining.config import MineConfig

TRIPLE = ["subject", "predicate", "object"]
_ID_HEX = 16
_IMAGE = ["relationship_id", "image_id"]


def partitions_of(parsed: Dataset, unit_rows: int) -> int:
    """In how many partitions statements are counted."""
    return max(1, math.ceil(parsed.rows("statements") / unit_rows))


def count_partition(
    folder: Location, number: int, parsed: Dataset, deduped: Dataset, config: MineConfig,
    *, names: Names,
) -> UnitRecord:  # fmt: skip
    """Publish the relationships of one partition that pass the thresholds, an image a row.

    Args:
        folder: Gets tables ``evidence`` and ``dropped``.
        number: Number of the partition.
        parsed: Output of parsing.
        deduped: Output of deduplication.
        config: The thresholds.
        names: What entities and predicates are called.
    """
    partitions = partitions_of(parsed, config.captions.unit_rows)
    frame = _statements(parsed, deduped, names, number, partitions)
    rows = _images(frame)
    counts = _counts(frame, rows)
    reason = _reasons(counts, config)
    dropped = counts.assign(reason=reason)[reason != ""].reset_index()
    kept = rows[rows["relationship_id"].isin(counts.index[reason == ""])]
    kept = exchange(kept, config.captions.wrong_images, number)
    tables = {"evidence": _table(kept, EVIDENCE.arrow), "dropped": _table(dropped, DROPPED.arrow)}
    stats = {
        "statements": len(frame),
        "relationships": len(counts),
        "of_two_images": int((counts["images"] >= 2).sum()),
    }
    return write_unit(folder, number, tables, rows_in=len(kept), rows_out=len(kept), stats=stats)


def _statements(
    parsed: Dataset, deduped: Dataset, names: Names, number: int, partitions: int
) -> pd.DataFrame:
    """The statements of a partition under their usual names."""
    usual = {"subject": names.entity, "predicate": names.predicate, "object": names.entity}
    parts = [STATEMENTS.arrow.empty_table().to_pandas().assign(duplicate=False)]
    for table in parsed.iterate("statements"):
        part = table.to_pandas().assign(duplicate=superseded(deduped).among(table))
        for column, name in usual.items():
            part[column] = part[column].map(name)
        # Usual names first: statements that become one by them must fall into one partition.
        key_N = pd.util.hash_pandas_object(part[TRIPLE], index=False).to_numpy(np.uint64)
        parts.append(part[key_N % np.uint64(partitions) == number])
    frame: pd.DataFrame = pd.concat(parts, ignore_index=True)
    frame["relationship_id"] = [
        fingerprint(list(row))[:_ID_HEX] for row in frame[TRIPLE].itertuples(index=False)
    ]
    return frame


def _images(frame: pd.DataFrame) -> pd.DataFrame:
    """One row a relationship and image, with the first sentence that states it."""
    order = [*_IMAGE, "uri", "sentence"]
    frame = frame.sort_values(order, ignore_index=True).drop_duplicates(order)
    # Sorted by address and sentence, so that the first one does not depend on how files were cut.
    groups = frame.groupby(_IMAGE, sort=False)
    first: pd.DataFrame = groups.first().reset_index()
    # An image counts if one of its copies is the kept one.
    duplicate = groups["duplicate"].all().to_numpy(bool)
    return first.assign(
        sentences=groups.size().to_numpy(),
        score=np.float32(0),
        reason=np.where(duplicate, "duplicate", ""),
    )


def _counts(frame: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """What there is of each relationship; copies of an image count once."""
    groups = frame.groupby("relationship_id")
    distinct = rows[rows["reason"] == ""].groupby("relationship_id")["image_id"].size()
    return (
        groups[TRIPLE]
        .first()
        .assign(
            images=distinct.reindex(list(groups.groups), fill_value=0).astype(np.int32),
            sentences=groups.size().astype(np.int32),
            sources=groups["source"].nunique().astype(np.int32),
        )
    )


def _reasons(counts: pd.DataFrame, config: MineConfig) -> pd.Series:
    """Why each relationship is dropped; empty for those that are kept."""
    captions: CaptionMining = config.captions
    entities = list(captions.stop_entities)
    reason = pd.Series("", index=counts.index)  # a later reason replaces an earlier one
    reason[counts["sources"] < captions.least_sources] = "too_few_sources"
    reason[counts["images"] < config.min_images] = "too_few_images"
    stopped = counts["subject"].isin(entities) | counts["object"].isin(entities)
    reason[stopped | (counts["subject"] == counts["object"])] = "stop_entity"
    reason[counts["predicate"].isin(list(captions.stop_predicates))] = "stop_predicate"
    return reason


def _table(frame: pd.DataFrame, schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pandas(frame[schema.names], schema, preserve_index=False)
