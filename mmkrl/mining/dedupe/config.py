"""What counts as the same picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from mmkrl.config import Section


class DedupeConfig(Section):
    """What counts as the same picture."""

    renamed: ClassVar[Mapping[str, str]] = {"slice_rows": "dedupe.unit_rows"}

    distance: int = Field(default=24, ge=0, le=64)
    """Images whose perceptual hashes differ in at most this many of 256 bits are near duplicates;
    0 takes identical hashes only. docs/platform.md says what each distance finds."""
    unit_rows: int = Field(default=4_000_000, ge=1)
    """Hashes that a grouping task holds, some 100 bytes each; more means fewer tasks, each of
    which reads the whole table of hashes."""
