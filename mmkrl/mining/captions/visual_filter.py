"""Which images show the relationships that their texts state: noisy pairs removed, by partition."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.sparse import csr_array

from mmkrl.arrays import Float32Array, IntArray, UInt64Array
from mmkrl.data.dataset import Dataset, write_unit
from mmkrl.data.manifest import UnitRecord
from mmkrl.data.schemas import DROPPED, EVIDENCE
from mmkrl.data.views.config import Backbones
from mmkrl.data.views.mapped_features import map_features
from mmkrl.errors import UserError
from mmkrl.io.storage import Location
from mmkrl.mining.captions.agreement import FOLDS, Agreement, part_columns, slot_names
from mmkrl.mining.captions.statement_counts import TRIPLE
from mmkrl.mining.config import MineConfig
from mmkrl.mining.dedupe.hash_table import load, save
from mmkrl.mining.miner import TrainedSpace

DISAGREES, _NOT_VISUAL, _TOO_FEW = "low_agreement", "not_visual", "too_few_images_left"
JUDGED = ("", DISAGREES, _NOT_VISUAL, _TOO_FEW)  # the reasons of images that have a score
_DECIMALS = 3  # of a score: more would differ from one processor to another


@dataclass(frozen=True)
class CountedStatements:
    """What the counting step left.

    Attributes:
        folder: Where.
        units: Its units, one a partition.
    """

    folder: Location
    units: Sequence[UnitRecord]

    def partition(self, number: int, table: str) -> pa.Table:
        """A table of one partition."""
        schema = {"evidence": EVIDENCE, "dropped": DROPPED}[table].arrow
        files = [file for file in self.units[number].files if file.table == table]
        tables = [pq.read_table((self.folder / file.path).open_input()) for file in files]
        return pa.concat_tables([schema.empty_table(), *tables])

    def evidence(self) -> Iterator[pd.DataFrame]:
        """The images of each partition that are not duplicates of others."""
        for number in range(len(self.units)):
            frame = self.partition(number, "evidence").to_pandas()
            yield frame[frame["reason"] == ""]


@dataclass(frozen=True)
class Features:
    """Feature vectors that are found by an image's id.

    Attributes:
        key_M: Sorted hashes of the ids, 8 bytes an image.
        row_M: Rows of the vectors.
        feature_MD: The vectors, mapped from disk.
    """

    key_M: UInt64Array
    row_M: IntArray
    feature_MD: npt.NDArray[np.float16]

    @classmethod
    def of(cls, extracted: Dataset, cache: Path, backbones: Backbones) -> Features:
        """Those of some backbones; see :func:`~mmkrl.data.views.mapped_features.map_features`."""
        ids, feature_MD = map_features(extracted, cache, backbones)
        key_M, row_M = np.unique(keys(pd.Series(ids, dtype=object)), return_index=True)
        return cls(key_M, row_M, feature_MD)

    def rows(self, key_N: UInt64Array) -> IntArray:
        """Where the vectors of images are; -1 for those that have none."""
        index_N = np.searchsorted(self.key_M, key_N).clip(max=len(self.key_M) - 1)
        return np.where(self.key_M[index_N] == key_N, self.row_M[index_N], -1)

    def take(self, row_N: IntArray) -> Float32Array:
        """Vectors by their rows."""
        return self.feature_MD[row_N].astype(np.float32)


def keys(ids: pd.Series) -> UInt64Array:
    """A number for each image id, in which ids are in random order."""
    return np.asarray(pd.util.hash_pandas_object(ids, index=False), np.uint64)


def fit_maps(
    folder: Location, counted: CountedStatements, features: Features, config: MineConfig
) -> None:
    """Fit what judges images, and leave it for :func:`judge_partition`.

    Args:
        folder: Where to leave it.
        counted: Relationships and images to learn from.
        features: Their vectors.
        config: How many of them, and the penalty.

    Raises:
        UserError: there are hardly any images with features.
    """
    section = config.captions
    key_N = np.empty(0, np.uint64)
    for frame in counted.evidence():
        found = np.unique(keys(frame["image_id"]))
        found = found[features.rows(found) >= 0]
        # The smallest hashes of all images: a random sample that does not depend on how images are
        # spread over partitions, and is never larger than what is kept of it.
        key_N = np.union1d(key_N, found)[: section.fit_images]
    if len(key_N) < FOLDS:
        raise UserError(
            f"{len(key_N)} images with features are left to judge relationships by: lower "
            "mine.min_images, or check that mine and extract read the same corpus"
        )
    parts, shows_NP = _incidence(counted, key_N, section.fit_parts)
    feature_NF = features.take(features.rows(key_N))
    maps = Agreement.fit(feature_NF, shows_NP, _folds(key_N), section.ridge)
    names = np.array(sorted(parts, key=parts.__getitem__), np.str_)
    save(folder, 0, {"parts": names, **vars(maps)})


def _incidence(
    counted: CountedStatements, key_N: UInt64Array, most: int
) -> tuple[dict[str, int], csr_array]:
    """The most frequent parts by their column, and which images are said to show them."""
    pairs: set[tuple[str, int]] = set()
    for frame in counted.evidence():
        image_N = np.searchsorted(key_N, keys(frame["image_id"])).clip(max=len(key_N) - 1)
        known_N = key_N[image_N] == keys(frame["image_id"])
        triples = zip(*(frame[slot] for slot in TRIPLE), strict=True)
        for named, image, known in zip(triples, image_N.tolist(), known_N.tolist(), strict=True):
            if known:
                pairs.update((name, image) for name in slot_names(named))
    counts = Counter(name for name, _ in pairs)
    frequent = sorted(counts, key=lambda name: (-counts[name], name))[:most]
    parts = {name: column for column, name in enumerate(frequent)}
    cells = sorted((image, parts[name]) for name, image in pairs if name in parts)
    row, column = np.array(cells, np.int64).reshape(-1, 2).T
    one = np.ones(len(cells), np.float32)
    return parts, csr_array((one, (row, column)), shape=(len(key_N), len(parts)))


def _folds(key_N: UInt64Array) -> IntArray:
    # By the id's hash: an image has the same fold here and in judge_partition, which sees one
    # partition, so the map that judges it was fitted without it.
    return (key_N % np.uint64(FOLDS)).astype(np.int64)


@dataclass(frozen=True)
class Judges:
    """What tells images that show a relationship from others.

    Attributes:
        maps: Where :func:`fit_maps` left its result.
        features: Vectors of the images.
        space: What a former round has learned, if there was one.
    """

    maps: Location
    features: Features
    space: TrainedSpace | None = None


class _Learned:
    """A trained space beside the reference images, which it sees once."""

    def __init__(self, space: TrainedSpace, reference_VF: Float32Array) -> None:
        self._space = space
        self._reference_VD = space.images(reference_VF)

    def cosines(
        self, named: tuple[str, str, str], feature_NF: Float32Array
    ) -> tuple[Float32Array, Float32Array] | None:
        """Those of images and references with a relationship; None if it is not known."""
        text_D = self._space.text(named)
        if text_D is None:
            return None
        return self._space.images(feature_NF) @ text_D, self._reference_VD @ text_D


def judge_partition(
    location: Location, number: int, judges: Judges, counted: CountedStatements, config: MineConfig
) -> UnitRecord:
    """Publish the evidence of one partition with scores, and what it dropped.

    Args:
        location: The dataset: tables ``evidence`` and ``dropped``.
        number: Number of the partition.
        judges: What judges the images.
        counted: The partitions.
        config: The thresholds.
    """
    features = judges.features
    fitted = dict(load(judges.maps, 0))
    parts = {str(name): column for column, name in enumerate(fitted.pop("parts"))}
    agreement = Agreement(**fitted)
    learned = _Learned(judges.space, agreement.references) if judges.space else None
    frame = counted.partition(number, "evidence").to_pandas()
    key_N = keys(frame["image_id"])
    row_N = features.rows(key_N)
    frame.loc[(row_N < 0) & (frame["reason"] == ""), "reason"] = "no_features"
    dropped = [counted.partition(number, "dropped")]
    for _, group in frame.groupby("relationship_id"):
        index = group.index[group["reason"] == ""].to_numpy()
        subject, predicate, object_ = group.iloc[0][TRIPLE]
        named = (subject, predicate, object_)
        if len(index):
            column = part_columns(parts, named)
            fold_N = _folds(key_N[index])
            feature_NF = features.take(row_N[index])
            cosines = learned.cosines(named, feature_NF) if learned else None
            score_N = agreement.score(feature_NF, fold_N, column, cosines)
            frame.loc[index, "score"] = score_N.round(_DECIMALS)
        reason = _verdict(frame, index, config)
        if reason:
            dropped.append(_dropped(group, reason))
    evidence = pa.Table.from_pandas(
        frame[EVIDENCE.arrow.names], EVIDENCE.arrow, preserve_index=False
    )
    tables = {"evidence": evidence, "dropped": pa.concat_tables(dropped)}
    return write_unit(location, number, tables, rows_in=len(frame), rows_out=len(frame))


def _verdict(frame: pd.DataFrame, index: IntArray, config: MineConfig) -> str:
    """Set aside a relationship's images that do not show it; why it is dropped itself, if it is."""
    score_N = frame.loc[index, "score"]
    far = index[(score_N < config.captions.least_score).to_numpy()]
    frame.loc[far, "reason"] = DISAGREES
    if not len(index) or score_N.mean() < config.captions.least_visual:
        reason = _NOT_VISUAL
    elif len(index) - len(far) < config.min_images:
        reason = _TOO_FEW
    else:
        return ""
    left = index[(frame.loc[index, "reason"] == "").to_numpy()]
    frame.loc[left, "reason"] = reason
    return reason


def _dropped(group: pd.DataFrame, reason: str) -> pa.Table:
    row = {
        **group.iloc[0][TRIPLE],
        "reason": reason,
        "images": len(group),
        "sentences": int(group["sentences"].sum()),
        "sources": group["source"].nunique(),
    }
    return pa.Table.from_pylist([row], DROPPED.arrow)
