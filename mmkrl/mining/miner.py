"""What a miner is: a class, found by its name, that turns a corpus into relationships."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Protocol, TypeAlias

from mmkrl.arrays import Float32Array
from mmkrl.data.dataset import Dataset
from mmkrl.data.manifest import UnitRecord
from mmkrl.data.splits.zero_shot import LeakCheck
from mmkrl.io.storage import Location
from mmkrl.mining.config import MineConfig
from mmkrl.mining.units import RunUnits

InputKind: TypeAlias = Literal["corpus", "duplicates", "statements", "features"]
"""Images with their texts; which of them show the same picture, and their perceptual hashes; what
sentences of the texts state; and the images' feature vectors."""


class TrainedSpace(Protocol):
    """A trained space, as far as it judges images."""

    def text(self, named: tuple[str, str, str]) -> Float32Array | None:
        """The unit vector of a relationship; None if it does not know it."""

    def images(self, feature_NF: Float32Array) -> Float32Array:
        """Unit vectors of images, shape (N, D)."""


@dataclass(frozen=True)
class MiningInputs:
    """What relationships are mined from.

    Attributes:
        datasets: What the miner needs, by kind.
        cache: Folder on the local disk for what is computed once a machine.
        space: What a former round has learned, if there was one.
    """

    datasets: Mapping[InputKind, Dataset]
    cache: Path
    space: TrainedSpace | None = None


@dataclass(frozen=True)
class MinedDataset:
    """What was mined, and is written.

    Attributes:
        units: All units of the dataset.
        leaks: Every leak check of the split with its number of violations.
        statistics: Counts to report.
    """

    units: list[UnitRecord]
    leaks: Sequence[LeakCheck]
    statistics: Mapping[str, float]


class Miner(ABC):
    """Finds relationships in a corpus, with images that show them, and splits them.

    Most miners read the texts of one image at a time:
    :class:`mmkrl.mining.text_miner.TextMiner` does the rest for them.

    Attributes:
        needs: What it reads.
    """

    needs: ClassVar[tuple[InputKind, ...]] = ("corpus", "duplicates")

    @classmethod
    @abstractmethod
    def mine(
        cls, location: Location, inputs: MiningInputs, config: MineConfig, run_units: RunUnits
    ) -> MinedDataset:
        """Write tables relationships, instances and dead_letters, and what else the miner has.

        Args:
            location: The dataset.
            inputs: What to mine.
            config: Thresholds and split.
            run_units: What runs the work.

        Raises:
            UserError: nothing is found, or the split is empty or leaks.
        """
