"""All steps from statements to split relationships with images, with whatever runs units of work.

1. :func:`~mmkrl.mining.captions.statement_counts.count_partition`: thresholds on what the texts
   state, by partitions.
2. :func:`~mmkrl.mining.captions.visual_filter.fit_maps`: one task fits what judges images.
3. :func:`~mmkrl.mining.captions.visual_filter.judge_partition`: images that do not show what is
   stated are set aside.
4. :func:`~mmkrl.mining.captions.split.divide`: splits, on the driver, the pairs that are left.
"""

from __future__ import annotations

from typing import ClassVar

import pandas as pd

from mmkrl.data.dataset import read_table, write_unit
from mmkrl.data.manifest import UnitRecord
from mmkrl.errors import UserError
from mmkrl.io.storage import Location
from mmkrl.mining.captions.config import CaptionMining
from mmkrl.mining.captions.noise_injection import found_share
from mmkrl.mining.captions.split import divide
from mmkrl.mining.captions.statement_counts import TRIPLE, count_partition, partitions_of
from mmkrl.mining.captions.synonyms import Names, noun_synonyms
from mmkrl.mining.captions.visual_filter import (
    DISAGREES,
    JUDGED,
    CountedStatements,
    Features,
    Judges,
    fit_maps,
    judge_partition,
)
from mmkrl.mining.config import MineConfig
from mmkrl.mining.miner import InputKind, MinedDataset, Miner, MiningInputs
from mmkrl.mining.units import RunUnits

_PAIR = ["relationship_id", *TRIPLE, "image_id", "source", "uri", "score", "reason", "exchanged"]


class CaptionMiner(Miner):
    """Mines images that show several relationships each, from what sentences state of them."""

    needs: ClassVar[tuple[InputKind, ...]] = ("corpus", "duplicates", "statements", "features")

    @classmethod
    def mine(
        cls, location: Location, inputs: MiningInputs, config: MineConfig, run_units: RunUnits
    ) -> MinedDataset:
        """Write tables relationships, instances, evidence, dropped and dead_letters.

        Args:
            location: The dataset.
            inputs: What to mine.
            config: Thresholds and split.
            run_units: What runs the work.

        Raises:
            UserError: nothing passes the thresholds, or the split is empty or leaks.
        """
        statements, deduped = inputs.datasets["statements"], inputs.datasets["duplicates"]
        counts_at, maps_at = location / "_counted", location / "_maps"
        names = names_of(config.captions)
        partitions = range(partitions_of(statements, config.captions.unit_rows))

        def counting(number: int, _: int) -> UnitRecord:
            return count_partition(counts_at, number, statements, deduped, config, names=names)

        counted = CountedStatements(
            counts_at, run_units(counts_at, partitions, counting, label="count")
        )

        def fitting(number: int, _: int) -> UnitRecord:
            fit_maps(maps_at, counted, _features(inputs), config)
            return write_unit(maps_at, number, {}, rows_in=0, rows_out=0)

        run_units(maps_at, [0], fitting, label="fit")

        def judging(number: int, _: int) -> UnitRecord:
            judges = Judges(maps_at, _features(inputs), inputs.space)
            return judge_partition(location, number, judges, counted, config)

        judged = run_units(location, partitions, judging, label="judge")
        rows = _evidence(location, judged, _kept(config.captions))
        pairs = rows[rows["reason"] == ""]
        if pairs.empty:
            raise UserError(
                "no relationship passes the thresholds: lower mine.min_images, "
                "mine.captions.least_visual or mine.captions.least_score"
            )
        doubtful = rows[(rows["reason"] == DISAGREES) & config.captions.keep_disagreeing]
        last, leaks, found = divide(
            location, len(judged), pairs, deduped, config, doubtful=doubtful
        )
        totals = {
            name: sum(unit.stats[name] for unit in counted.units) for name in counted.units[0].stats
        }
        return MinedDataset([*judged, last], leaks, totals | found | _exchanged(rows))


def names_of(config: CaptionMining) -> Names:
    """What entities and predicates are called."""
    return Names(config.same, noun_synonyms(config.wordnet) if config.wordnet else {})


def _features(inputs: MiningInputs) -> Features:
    return Features.of(inputs.datasets["features"], inputs.cache, None)


def _kept(config: CaptionMining) -> tuple[str, ...]:
    """The reasons of the evidence that is needed after judging; without one, it shows."""
    if config.wrong_images:
        return JUDGED
    return ("", DISAGREES) if config.keep_disagreeing else ("",)


def _evidence(
    location: Location, judged: list[UnitRecord], reasons: tuple[str, ...]
) -> pd.DataFrame:
    """Images that were judged, as far as they have one of the reasons, sorted."""
    files = [file for unit in judged for file in unit.files if file.table == "evidence"]
    frames = [read_table(location, file, _PAIR).to_pandas() for file in files]
    frames = [frame[frame["reason"].isin(reasons)] for frame in frames]
    rows = pd.concat(frames) if frames else pd.DataFrame(columns=_PAIR)
    return rows.sort_values(["relationship_id", "image_id"], ignore_index=True)


def _exchanged(rows: pd.DataFrame) -> dict[str, float]:
    """How well the images that were exchanged are found, if any were."""
    if not rows["exchanged"].any():
        return {}
    return {"wrong_images_auc": found_share(rows["score"], rows["exchanged"])}
