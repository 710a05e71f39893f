"""What a user says about the corpus: what to read, and how pictures are fitted."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import Field

from mmkrl.config import Section
from mmkrl.data.readers.config import SourceConfig

Fit: TypeAlias = Literal["squeeze", "centre"]


class IngestConfig(Section):
    """What to read, and how large a picture may be."""

    sources: list[SourceConfig]
    """Where images and texts come from; read in this order."""
    unit_rows: int = Field(default=1000, ge=1)
    """Most rows of a unit, where the format can be cut (a tar cannot)."""
    unit_mb: int = Field(default=64, ge=1)
    """Most MiB of pictures of a unit, where the format can be cut; smaller units make a kill
    cheaper."""
    max_bytes: int = Field(default=32 << 20, ge=1)
    """Largest encoded picture, in bytes; larger ones become dead letters."""
    max_pixels: int = Field(default=64_000_000, ge=1)
    """Largest picture, width times height; larger ones become dead letters undecoded."""
