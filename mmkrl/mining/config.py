"""How relationships are mined and divided."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mmkrl.config import Section
from mmkrl.data.splits.zero_shot import SplitConfig
from mmkrl.mining.captions.config import CaptionMining


class MineConfig(Section):
    """How relationships are mined and divided."""

    miner: str = "emoji"
    """What reads the texts; see ``mmkrl.mining.registry``. ``captions`` takes what ``jobs.parse``
    found in sentences, several relationships an image."""
    duplicates: Literal["keep", "one"] = "keep"
    """``one`` uses a single image of each group that ``jobs.dedupe`` found, ``keep`` all."""
    min_images: int = Field(default=1, ge=1)
    """Relationships with fewer usable images are dropped."""
    split: SplitConfig = SplitConfig()
    """The zero-shot split."""
    captions: CaptionMining = CaptionMining()
    """What statements of captions become."""
