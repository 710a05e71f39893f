"""A new version of a dataset of features in which chosen dead letters are done again."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from cluster.decoding import CorpusUnit
from cluster.extraction import CHOICE_FILE
from mmkrl.data.dataset import Dataset, copy_unit, finished_units
from mmkrl.encoders.report import dead_letters
from mmkrl.encoders.retry import Former
from mmkrl.errors import UserError
from mmkrl.io.storage import Location

_COPIES_AT_A_TIME = 16


def prepare_retry(
    location: Location, former: Dataset, units: Sequence[CorpusUnit], reasons: frozenset[str]
) -> list[CorpusUnit]:
    """Take over every unit that has no such dead letter, and mark the others to be merged.

    Args:
        location: Folder of the new version.
        former: The finished version.
        units: The corpus, cut as it was for the finished version.
        reasons: Reasons of the dead letters to do again.

    Raises:
        UserError: no dead letter has such a reason.
    """
    records = finished_units(former.location)
    marked = [
        replace(unit, former=Former(former.location, records[number], reasons))
        for number, unit in enumerate(units)
    ]
    with ThreadPoolExecutor(_COPIES_AT_A_TIME) as pool:
        concerned = list(pool.map(_concerned, marked))
    if not any(concerned):
        counts = dead_letters(former.location, list(records.values()))
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
            copy_unit(former.location, location, records[number])

    with ThreadPoolExecutor(_COPIES_AT_A_TIME) as pool:
        list(pool.map(take_over, range(len(marked))))
    return marked


def _concerned(unit: CorpusUnit) -> bool:
    assert unit.former is not None
    return unit.former.concerned
