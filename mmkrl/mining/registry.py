"""The miners by name."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from mmkrl.errors import UsageError
from mmkrl.mining.candidates import Miner
from mmkrl.mining.emoji.miner import EmojiMiner

MINERS: dict[str, Callable[[pa.Table], Miner]] = {"emoji": EmojiMiner.from_texts}


def make_miner(name: str, texts: pa.Table) -> Miner:
    """A miner, given the corpus's texts to learn names from.

    Raises:
        UsageError: there is no such miner.
    """
    if name not in MINERS:
        raise UsageError(f"mine.miner = {name!r}: known miners: {', '.join(sorted(MINERS))}")
    return MINERS[name](texts)
