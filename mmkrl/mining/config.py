"""How relationships are mined and divided."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from mmkrl.config import Section, known_to
from mmkrl.data.splits.zero_shot import SplitConfig
from mmkrl.mining.captions.config import CaptionMining
from mmkrl.plugins import Registry

MINERS: Registry[type[Any]] = Registry(
    "miner",
    "mmkrl.miners",
    {
        "emoji": "mmkrl.mining.emoji.miner:EmojiMiner",
        "captions": "mmkrl.mining.captions.workflow:CaptionMiner",
    },
)
"""Subclasses of :class:`mmkrl.mining.miner.Miner`."""


class MineConfig(Section):
    """How relationships are mined and divided."""

    miner: Annotated[str, known_to(MINERS)] = "emoji"
    """What reads the texts. ``emoji``: composed emoji. ``captions``: what sentences state, several
    relationships an image. Or a miner of an installed package, or ``python:MODULE:CLASS``."""
    duplicates: Literal["keep", "one"] = "keep"
    """``one`` uses a single image of each group of duplicates, ``keep`` all."""
    min_images: int = Field(default=1, ge=1)
    """Relationships with fewer usable images are dropped."""
    split: SplitConfig = SplitConfig()
    """The zero-shot split."""
    captions: CaptionMining = CaptionMining()
    """What statements of captions become."""
