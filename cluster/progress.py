"""Progress for people: count, rate and time left, on stderr."""

from __future__ import annotations

import sys
from typing import NoReturn

from tqdm import tqdm

_LOG_INTERVAL_S = 10.0  # between lines where nobody watches a terminal
_TERMINAL_INTERVAL_S = 0.2


def progress(total: int, label: str, unit: str) -> tqdm[NoReturn]:
    """A progress display.

    Args:
        total: How much there is to do, in units.
        label: What is being done.
        unit: What is counted, such as ``rows`` or ``steps``.
    """
    watched = sys.stderr.isatty()
    return tqdm(
        total=total,
        desc=label,
        unit=f" {unit}",
        file=sys.stderr,
        disable=False,
        dynamic_ncols=watched,
        mininterval=_TERMINAL_INTERVAL_S if watched else _LOG_INTERVAL_S,
        maxinterval=_TERMINAL_INTERVAL_S if watched else _LOG_INTERVAL_S,
    )
