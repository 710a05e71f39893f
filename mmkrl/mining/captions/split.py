"""Relationships and their images as a zero-shot split, checked and published.

The driver holds the (relationship, image) pairs that passed the thresholds and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mmkrl.data.dataset import Dataset, write_unit
from mmkrl.data.dead_letters import dead_letter
from mmkrl.data.manifest import UnitRecord
from mmkrl.data.schemas import DEAD_LETTERS, INSTANCES, RELATIONSHIPS
from mmkrl.data.splits.names import TEST, TRAIN, VALIDATION
from mmkrl.data.splits.shared_images import SEEN, split_shared
from mmkrl.data.splits.zero_shot import LeakCheck, Triple, leak_checks
from mmkrl.errors import UserError
from mmkrl.io.storage import Location
from mmkrl.mining.captions.statement_counts import TRIPLE
from mmkrl.mining.config import MineConfig
from mmkrl.mining.dedupe.hamming import WORDS
from mmkrl.mining.relationships import nearest_distances

_DETAILS = {
    "image_of_test": "the image is held out for a test relationship",
    "part_unseen": "its subject, predicate or object is in no relationship that is trained on",
    "no_training_image": "all images of the relationship are held out for others",
    "exchanged": "put there to measure how well wrong images are found",
    "near_duplicate": "nearly repeats a training image",
}


def divide(
    location: Location, number: int, pairs: pd.DataFrame, deduped: Dataset, config: MineConfig,
    *, doubtful: pd.DataFrame,
) -> tuple[UnitRecord, list[LeakCheck], dict[str, int]]:  # fmt: skip
    """Split relationships and images zero-shot, check it, and publish both.

    Args:
        location: The dataset.
        number: Number of the unit to publish.
        pairs: One row a relationship and image, sorted.
        deduped: Hashes of the images.
        config: The split.
        doubtful: Further rows, which join training as far as it knows their relationships and
            images already.

    Raises:
        UserError: the split is empty or leaks.
    """
    named = pairs.drop_duplicates("relationship_id")
    ids = named["relationship_id"].tolist()
    triples = [
        Triple(subject, predicate, object_, f"{subject} | {predicate} | {object_}")
        for subject, predicate, object_ in zip(*(named[slot] for slot in TRIPLE), strict=True)
    ]
    relationship_E = pairs["relationship_id"].factorize()[0]
    image_E = pairs["image_id"].factorize(sort=True)[0]
    share = {TEST: config.captions.test_images, VALIDATION: config.captions.validation_images}
    pair_E2 = np.stack([relationship_E, image_E], axis=1).astype(np.int64)
    split = split_shared(triples, pair_E2, config.split, share)
    frame = pairs.assign(split=split.split_E, reason=split.reason_E)
    # Wrong images that were put there to measure the filter must not be part of a held-out set; in
    # training they stay.
    _set_aside(frame, frame["exchanged"] & (frame["split"] != TRAIN), "exchanged")
    _drop_near(frame, deduped, config.split.near_duplicate_bits)
    frame = _joined(frame, doubtful)
    by_id = dict(zip(ids, triples, strict=True))
    split_of = dict(zip(ids, split.split_R.tolist(), strict=True))
    leaks = _leaks(frame, by_id, split_of)
    tables = _tables(frame, by_id, split_of)
    out = tables["instances"].num_rows
    unit = write_unit(location, number, tables, rows_in=len(frame), rows_out=out)
    return unit, leaks, _statistics(frame)


def _drop_near(frame: pd.DataFrame, deduped: Dataset, bits: int) -> None:
    """Set aside what held-out images show that nearly repeat a training image."""
    shown = pa.array(frame["image_id"].unique(), pa.string())
    hashes: dict[str, bytes] = {}
    for table in deduped.iterate("hashes", ["image_id", "hash"]):
        mine = table.filter(pc.is_in(table["image_id"], value_set=shown))
        hashes.update(zip(*(column.to_pylist() for column in mine.columns), strict=True))
    trained = set(frame.loc[frame["split"] == TRAIN, "image_id"]) & hashes.keys()
    held = sorted(set(frame.loc[~frame["split"].isin([TRAIN, ""]), "image_id"]) & hashes.keys())
    if not trained or not held:
        return
    query_QW, reference_RW = (
        _words([hashes[image] for image in group]) for group in (held, sorted(trained))
    )
    distance = nearest_distances(query_QW, reference_RW)
    near = {image for image, apart in zip(held, distance, strict=True) if apart <= bits}
    _set_aside(frame, frame["image_id"].isin(near), "near_duplicate")


def _set_aside(frame: pd.DataFrame, rows: pd.Series, reason: str) -> None:
    rows = rows & (frame["split"] != "")
    frame.loc[rows, "reason"] = reason
    frame.loc[rows, "split"] = ""


def _joined(frame: pd.DataFrame, doubtful: pd.DataFrame) -> pd.DataFrame:
    """With what is doubtful of the relationships and images that are trained on."""
    trained = frame[frame["split"] == TRAIN]
    known = [doubtful[column].isin(trained[column]) for column in ("relationship_id", "image_id")]
    more = doubtful[known[0] & known[1]].assign(split=TRAIN, reason="")
    whole = pd.concat([frame, more]) if len(more) else frame
    return whole.sort_values(["relationship_id", "image_id"], ignore_index=True)


def _words(hashes: list[bytes]) -> npt.NDArray[np.uint64]:
    return np.frombuffer(b"".join(hashes), np.uint64).reshape(-1, WORDS)


def _leaks(
    frame: pd.DataFrame, triples: Mapping[str, Triple], split: Mapping[str, str]
) -> list[LeakCheck]:
    """All checks of :func:`~mmkrl.data.splits.zero_shot.leak_checks`, of what is left.

    Raises:
        UserError: one fails.
    """
    shown = frame[frame["split"].isin([TRAIN, VALIDATION, TEST])]
    left = {key: triples[key] for key in shown["relationship_id"].unique()}
    images = {
        name: set(frame.loc[frame["split"].isin([name, name + SEEN]), "image_id"])
        for name in (TRAIN, VALIDATION, TEST)
    }
    trained = set(frame.loc[frame["split"] == TRAIN, "source"])
    checks = leak_checks(left, split, images, trained, None)
    broken = [check.name for check in checks if check.violations]
    if broken:
        raise UserError(f"the split leaks: {'; '.join(broken)}")
    return checks


def _tables(
    frame: pd.DataFrame, triples: Mapping[str, Triple], split: Mapping[str, str]
) -> dict[str, pa.Table]:
    instances = frame[frame["split"] != ""]
    own = instances[~instances["split"].str.endswith(SEEN)].groupby("relationship_id")
    counts = own.agg(images=("image_id", "nunique"), sources=("source", "nunique"))
    relationships = [
        {
            "relationship_id": key,
            **triples[key]._asdict(),
            "split": split[key],
            "images": images,
            "sources": sources,
        }
        for key, images, sources in counts.reset_index().itertuples(index=False, name=None)
    ]
    instances = instances[instances["relationship_id"].isin(counts.index)]
    lost = frame.drop(instances.index).replace({"reason": {"": "no_training_image"}})
    columns = ["uri", "reason", *TRIPLE]
    dead = [
        dead_letter("mine", uri, reason, f"{' '.join(named)}: {_DETAILS[reason]}")
        for uri, reason, *named in zip(*(lost[name] for name in columns), strict=True)
    ]
    return {
        "relationships": pa.Table.from_pylist(relationships, RELATIONSHIPS.arrow),
        "instances": pa.Table.from_pandas(
            instances[INSTANCES.arrow.names], INSTANCES.arrow, preserve_index=False
        ),
        "dead_letters": pa.Table.from_pylist(dead, DEAD_LETTERS.arrow),
    }


def _statistics(frame: pd.DataFrame) -> dict[str, int]:
    """Images, relationships and pairs by split, and what was left out, by reason."""
    shown = frame[frame["split"] != ""].groupby("split")
    columns = {"images": "image_id", "relationships": "relationship_id"}
    found = {
        f"{what}_{name}": int(count)
        for what, column in columns.items()
        for name, count in shown[column].nunique().items()
    }
    dropped = frame.loc[frame["split"] == "", "reason"].value_counts().sort_index()
    return found | {f"dropped_{name}": int(count) for name, count in dropped.items()}
