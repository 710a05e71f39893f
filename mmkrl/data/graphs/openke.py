"""Layout ``openke``: names with numbers in two lists, and triples as numbers.

As OpenKE (Han et al. 2018) reads them: ``entity2id.txt`` and ``relation2id.txt`` have a name and
its number a line; ``train2id.txt``, ``valid2id.txt`` and ``test2id.txt`` have the numbers of head,
*tail*, relation. The first line of each is the number of rows that follow.
"""

from __future__ import annotations

from mmkrl.data.graphs.config import GraphConfig
from mmkrl.data.graphs.files import folder_of
from mmkrl.data.graphs.layouts import GraphReader
from mmkrl.data.graphs.lines import (
    SPACES,
    counted,
    decoded,
    fields,
    numbered,
    raw_lines,
    trimmed,
)
from mmkrl.data.graphs.rows import Account, Rows
from mmkrl.data.graphs.stated import Stated, listing
from mmkrl.data.splits.names import TEST, TRAIN, VALIDATION
from mmkrl.io.storage import Location

_ENTITIES, _RELATIONS = "entity2id.txt", "relation2id.txt"
_SPLITS = {TRAIN: "train2id.txt", VALIDATION: "valid2id.txt", TEST: "test2id.txt"}
_ORDER = ("head", "tail", "relation")


def openke_files(config: GraphConfig) -> list[Location]:
    """The five files of the layout."""
    folder = folder_of(config)
    return [folder / name for name in (_ENTITIES, _RELATIONS, *_SPLITS.values())]


def read_openke(config: GraphConfig, account: Account) -> Stated:
    """A graph in layout ``openke``.

    Raises:
        UserError: a file is missing, or the count in its first line is wrong.
    """
    folder = folder_of(config)
    return Stated(
        {split: _triples(folder / name, account) for split, name in _SPLITS.items()},
        entities=_list(folder / _ENTITIES, account),
        relations=_list(folder / _RELATIONS, account),
    )


def _list(file: Location, account: Account) -> Rows:
    rows = numbered(decoded(counted(raw_lines(file)), account), account)
    return listing(rows.holding(rows.values.rename_columns({"id": "key"})), account)


def _triples(file: Location, account: Account) -> Rows:
    lines = trimmed(decoded(counted(raw_lines(file)), account))
    return fields(lines, _ORDER, account, SPACES)


OPENKE = GraphReader(openke_files, read_openke)
