"""Miners that read the texts of one image at a time: each image shows one relationship."""

from __future__ import annotations

from abc import abstractmethod
from typing import Self

import pyarrow as pa

from mmkrl.data.manifest import FileEntry, UnitRecord
from mmkrl.io.storage import Location
from mmkrl.mining.candidates import CorpusPart, Finding, Texts, mine_part
from mmkrl.mining.config import MineConfig
from mmkrl.mining.miner import MinedDataset, Miner, MiningInputs
from mmkrl.mining.publish import read_parts, write_mined
from mmkrl.mining.relationships import assemble
from mmkrl.mining.units import RunUnits


class TextMiner(Miner):
    """Finds what the texts of one image state.

    It travels to the processes that read parts of the corpus, so it pickles, and what it finds
    depends on the texts alone.
    """

    @classmethod
    @abstractmethod
    def from_texts(cls, texts: pa.Table) -> Self:
        """A miner for a corpus.

        Args:
            texts: All texts of the corpus, columns uri, kind and text, to learn names from.
        """

    @abstractmethod
    def __call__(self, texts: Texts) -> Finding:
        """The relationship, or the isolated entity, that an image shows.

        Args:
            texts: The texts of the image by kind.

        Raises:
            NotUsable: the texts state nothing that can be mined.
        """

    @classmethod
    def mine(
        cls, location: Location, inputs: MiningInputs, config: MineConfig, run_units: RunUnits
    ) -> MinedDataset:
        """Read each part of the corpus; relationships and their split are then made of all."""
        corpus, deduped = inputs.datasets["corpus"], inputs.datasets["duplicates"]
        miner = cls.from_texts(corpus.table("texts", ["uri", "kind", "text"]))
        folder, kept_only = location / "_candidates", config.duplicates == "one"

        def read(number: int, _: FileEntry) -> UnitRecord:
            part = CorpusPart(number, corpus, deduped)
            return mine_part(folder, part, miner, kept_only=kept_only)

        parts = run_units(folder, corpus.files("images"), read, label="mine")
        mined = assemble(read_parts(folder, parts, "candidates"), config)
        unit = write_mined(location, folder, parts, mined)
        return MinedDataset([unit], mined.leaks, mined.statistics)
