"""The options that only ``jobs.extract`` has."""

from __future__ import annotations

import re
from typing import Annotated

import typer

_REASONS = re.compile(r"reason=(\w+(?:,\w+)*)")


def _reasons(text: str) -> frozenset[str]:
    found = _REASONS.fullmatch(text)
    if not found:
        raise typer.BadParameter(f"{text!r}: expected reason=A or reason=A,B")
    return frozenset(found[1].split(","))


RetryOption = Annotated[
    frozenset[str] | None,
    typer.Option(
        "--retry",
        metavar="reason=A,B",
        parser=_reasons,
        help="Make a new version in which the dead letters of these reasons are done again.",
    ),
]
DryRunOption = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Measure a few pictures, estimate time, size and cost of the whole, write nothing.",
    ),
]
PriceOption = Annotated[
    float, typer.Option("--hourly-price", help="Of one worker (GPU or core), for --dry-run.", min=0)
]
