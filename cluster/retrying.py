"""A new version of a dataset of features in which chosen dead letters are done again."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from cluster.decoding import CorpusPiece
from cluster.extraction import CHOICE_FILE
from mmkrl.data.dataset import Dataset, copy_unit, finished_units
from mmkrl.encoders.report import dead_letters
from mmkrl.encoders.retry import Former
from mmkrl.errors import UserError
from mmkrl.io.storage import Location

_COPIES_AT_A_TIME = 16


def prepare_retry(
    location: Location, former: Dataset, pieces: Sequence[CorpusPiece], reasons: frozenset[str]
) -> list[CorpusPiece]:
    """Take over every piece that has no such dead letter, and mark the others to be merged.

    Args:
        location: Folder of the new version.
        former: The finished version.
        pieces: The corpus, cut as it was for the finished version.
        reasons: Reasons of the dead letters to do again.

    Raises:
        UserError: no dead letter has such a reason.
    """
    units = finished_units(former.location)
    marked = [
        replace(piece, former=Former(former.location, units[number], reasons))
        for number, piece in enumerate(pieces)
    ]
    with ThreadPoolExecutor(_COPIES_AT_A_TIME) as pool:
        concerned = list(pool.map(_concerned, marked))
    if not any(concerned):
        counts = dead_letters(former.location, list(units.values()))
        there = ", ".join(f"{reason} ({n})" for reason, n in sorted(counts.items())) or "none"
        raise UserError(
            f"--retry: {former.location} has no dead letters with the reason "
            f"{' or '.join(sorted(reasons))}; there are: {there}"
        )
    done = finished_units(location)
    engines = former.location / CHOICE_FILE
    if engines.is_file():
        (location / CHOICE_FILE).write_bytes(engines.read_bytes())

    def take_over(number: int) -> None:
        if number not in done and not concerned[number]:
            copy_unit(former.location, location, units[number])

    with ThreadPoolExecutor(_COPIES_AT_A_TIME) as pool:
        list(pool.map(take_over, range(len(marked))))
    return marked


def _concerned(piece: CorpusPiece) -> bool:
    assert piece.former is not None
    return piece.former.concerned
