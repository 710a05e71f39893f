"""Second pass of mining: candidates become relationships with their images, and a split.

An image that is evidence for two different relationships (one drawing used for several emoji,
one picture under two captions) says nothing certain about either and is set aside, and so is a
held-out image that nearly repeats a training image.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from mmkrl.data.digest import fingerprint
from mmkrl.data.schemas import DEAD_LETTERS, ENTITIES, INSTANCES, RELATIONSHIPS
from mmkrl.data.splits.names import TEST, TRAIN, UNSEEN_SOURCE, VALIDATION
from mmkrl.data.splits.zero_shot import LeakCheck, SplitConfig, Triple, leak_checks, split_pairs
from mmkrl.errors import UserError
from mmkrl.mining.config import MineConfig
from mmkrl.mining.dedupe.hamming import distances

_TRIPLE = ["subject", "predicate", "object"]
_ID_HEX = 16
_HASH_CHUNK = 256  # images compared with all training images at a time


@dataclass(frozen=True)
class Mined:
    """The tables of a mined dataset and what is known of them.

    Attributes:
        tables: relationships, instances, entities, dead_letters.
        leaks: Every leak check with its number of violations.
        statistics: Counts to report.
    """

    tables: dict[str, pa.Table]
    leaks: list[LeakCheck]
    statistics: dict[str, int]


def assemble(candidates: pa.Table, config: MineConfig) -> Mined:
    """Relationships, instances and split from all candidates.

    Every candidate row becomes an instance, an entity picture or a dead letter.

    Args:
        candidates: Table ``candidates``.
        config: Thresholds and split.

    Raises:
        UserError: no relationship is left, a split is empty, or a leak check fails.
    """
    if not candidates.num_rows:
        raise UserError("no image has a text that states anything: check mine.miner and the corpus")
    frame = candidates.to_pandas().sort_values(["image_id", "uri"], ignore_index=True)
    frame["reason"] = ""
    isolated = frame["predicate"] == ""
    _drop_ambiguous(frame)
    stated = frame[~isolated & (frame["reason"] == "")]
    if stated.empty:
        raise UserError("no relationship was found in the texts: check mine.miner and the corpus")
    frame["relationship_id"] = ""
    frame.loc[stated.index, "relationship_id"] = _relationship_ids(stated)
    _drop_rare(frame, config.min_images)
    if config.split.unseen_source:
        _drop_never_trained(frame, config.split.unseen_source)
    triples = _triples(frame)
    by_pair = split_pairs(list(triples.values()), config.split)
    split = {key: by_pair[triple.pair] for key, triple in triples.items()}
    frame["split"] = [split.get(key, "") for key in frame["relationship_id"]]
    if config.split.unseen_source:
        unseen = (frame["source"] == config.split.unseen_source) & (frame["split"] != "")
        frame.loc[unseen, "split"] = UNSEEN_SOURCE
    _drop_near_duplicates(frame, config.split.near_duplicate_bits)
    leaks = _leaks(frame, triples, split, config.split)
    return Mined(_tables(frame, triples, split), leaks, _statistics(frame, split))


def _drop_ambiguous(frame: pd.DataFrame) -> None:
    statement = frame["subject"] + "\x1f" + frame["predicate"] + "\x1f" + frame["object"]
    meanings = statement.groupby(frame["image_id"]).transform("nunique")
    frame.loc[meanings > 1, "reason"] = "ambiguous"
    frame["detail"] = ""
    frame.loc[meanings > 1, "detail"] = "these bytes stand for several relationships or entities"


def _relationship_ids(stated: pd.DataFrame) -> list[str]:
    return [fingerprint(list(row))[:_ID_HEX] for row in stated[_TRIPLE].itertuples(index=False)]


def _drop_rare(frame: pd.DataFrame, least: int) -> None:
    named = frame["relationship_id"] != ""
    images = frame[named].groupby("relationship_id")["image_id"].transform("nunique")
    rare = images[images < least].index
    frame.loc[rare, "reason"] = "too_few_images"
    frame.loc[rare, "detail"] = f"fewer than {least} images show this relationship"
    frame.loc[rare, "relationship_id"] = ""


def _drop_never_trained(frame: pd.DataFrame, unseen_source: str) -> None:
    """Set aside relationships without a training image: their parts would count as trained on."""
    sources = sorted(set(frame["source"]))
    if unseen_source not in sources:
        raise UserError(
            f"split.unseen_source = {unseen_source!r}: no image comes from it; the sources are "
            f"{', '.join(sources)}"
        )
    named = frame["relationship_id"] != ""
    trained = set(frame.loc[named & (frame["source"] != unseen_source), "relationship_id"])
    alone = named & ~frame["relationship_id"].isin(trained)
    frame.loc[alone, "reason"] = "only_in_unseen_source"
    frame.loc[alone, "detail"] = f"only {unseen_source} shows this relationship"
    frame.loc[alone, "relationship_id"] = ""


def _triples(frame: pd.DataFrame) -> dict[str, Triple]:
    named = frame[frame["relationship_id"] != ""].drop_duplicates("relationship_id")
    return {
        key: Triple(*row)
        for key, row in zip(
            named["relationship_id"],
            named[[*_TRIPLE, "pair"]].itertuples(index=False),
            strict=True,
        )
    }


def _drop_near_duplicates(frame: pd.DataFrame, bits: int) -> None:
    """Set aside held-out images that nearly repeat a training image (or, in test, a validation)."""
    # Validation first: what is set aside there no longer counts against an image of the test.
    order = ((VALIDATION, [TRAIN]), (TEST, [TRAIN, VALIDATION]), (UNSEEN_SOURCE, [TRAIN]))
    for held, references in order:
        reference = _hashes(frame[frame["split"].isin(references)])
        mine = frame[frame["split"] == held]
        if mine.empty or not len(reference):
            continue
        distance = nearest_distances(_hashes(mine), reference)
        near = mine.index[distance <= bits]
        frame.loc[near, "reason"] = "near_duplicate"
        frame.loc[near, "detail"] = f"within {bits} bits of a {' or '.join(references)} image"
        frame.loc[near, ["split", "relationship_id"]] = ""
        if len(near) == len(mine):
            raise UserError(
                f"every {held} image nearly repeats a {' or '.join(references)} image: lower "
                f"split.near_duplicate_bits = {bits}, or mine more images"
            )


def _hashes(frame: pd.DataFrame) -> npt.NDArray[np.uint64]:
    return np.frombuffer(b"".join(frame["hash"]), dtype=np.uint64).reshape(len(frame), 4)


def nearest_distances(
    query_QW: npt.NDArray[np.uint64], reference_RW: npt.NDArray[np.uint64]
) -> npt.NDArray[np.int64]:
    """Hamming distance in bits from each query to its nearest reference.

    Args:
        query_QW: Hashes as rows of 64-bit words.
        reference_RW: Hashes to compare with.

    Returns:
        Array of shape (Q,).
    """
    nearest = []
    for start in range(0, len(query_QW), _HASH_CHUNK):
        chunk_C1W = query_QW[start : start + _HASH_CHUNK, None, :]
        nearest.append(distances(chunk_C1W, reference_RW[None, :, :]).min(axis=1))
    return np.concatenate(nearest)


def _leaks(
    frame: pd.DataFrame,
    triples: Mapping[str, Triple],
    split: Mapping[str, str],
    config: SplitConfig,
) -> list[LeakCheck]:
    images: dict[str, set[str]] = defaultdict(set)
    for name, group in frame[frame["split"] != ""].groupby("split"):
        images[str(name)] = set(group["image_id"])
    sources = set(frame.loc[frame["split"] == TRAIN, "source"])
    checks = leak_checks(triples, split, images, sources, config.unseen_source)
    checks.append(LeakCheck("held-out image nearly repeats a training image", _near(frame, config)))
    broken = [check.name for check in checks if check.violations]
    if broken:
        raise UserError(f"the split leaks: {'; '.join(broken)}")
    return checks


def _near(frame: pd.DataFrame, config: SplitConfig) -> int:
    train = _hashes(frame[frame["split"] == TRAIN])
    held = _hashes(frame[frame["split"].isin([VALIDATION, TEST, UNSEEN_SOURCE])])
    return int((nearest_distances(held, train) <= config.near_duplicate_bits).sum())


def _tables(
    frame: pd.DataFrame, triples: Mapping[str, Triple], split: Mapping[str, str]
) -> dict[str, pa.Table]:
    usable = frame[frame["reason"] == ""]
    instances = usable[usable["split"] != ""]
    entities = usable[usable["predicate"] == ""].rename(columns={"subject": "entity"})
    dead = frame[frame["reason"] != ""].rename(columns={"uri": "record"}).assign(stage="mine")
    return {
        "relationships": _relationship_table(instances, triples, split),
        "instances": _select(instances, INSTANCES.arrow),
        "entities": _select(entities, ENTITIES.arrow),
        "dead_letters": _select(dead, DEAD_LETTERS.arrow),
    }


def _select(frame: pd.DataFrame, schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pandas(frame[schema.names], schema=schema, preserve_index=False)


def _relationship_table(
    instances: pd.DataFrame, triples: Mapping[str, Triple], split: Mapping[str, str]
) -> pa.Table:
    """One row a relationship that still has an image."""
    groups = instances.groupby("relationship_id")
    counts = groups.agg(images=("image_id", "nunique"), sources=("source", "nunique"))
    rows = [
        {
            "relationship_id": key,
            **triples[key]._asdict(),
            "split": split[key],
            "images": images,
            "sources": sources,
        }
        for key, images, sources in zip(
            counts.index, counts["images"].tolist(), counts["sources"].tolist(), strict=True
        )
    ]
    return pa.Table.from_pylist(rows, RELATIONSHIPS.arrow)


def _statistics(frame: pd.DataFrame, split: Mapping[str, str]) -> dict[str, int]:
    shown = set(frame.loc[frame["split"] != "", "relationship_id"])
    named = _count("relationships", (split[key] for key in shown))
    images = _count("images", frame.loc[frame["split"] != "", "split"])
    dropped = _count("dropped", frame.loc[frame["reason"] != "", "reason"])
    return named | images | dropped


def _count(prefix: str, values: Iterable[str]) -> dict[str, int]:
    counts = pd.Series(list(values)).value_counts().sort_index()
    return {f"{prefix}_{name}": int(count) for name, count in counts.items()}
