"""A graph as its files state it, whatever the layout.

Triples still hold texts and nothing has been compared yet: :mod:`mmkrl.data.graphs.settle` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mmkrl.data.graphs.rows import Account, Rows

PARTS = ("head", "relation", "tail")


@dataclass(frozen=True)
class Stated:
    """What the files of a graph say.

    Attributes:
        triples: Rows by split; columns head, relation, tail.
        entities: The entities that are listed, None if the layout lists none; columns key (what
            a triple holds) and name.
        relations: The relations that are listed; columns as above.
        texts: Rows that say something of entities; columns entity, kind, text.
        pictures: The list of pictures, None if there is none; columns entity, picture (the name of
            a file without its ending).
    """

    triples: Mapping[str, Rows]
    entities: Rows | None = None
    relations: Rows | None = None
    texts: tuple[Rows, ...] = ()
    pictures: Rows | None = None


def listing(rows: Rows, account: Account) -> Rows:
    """A list without the rows whose key or name an earlier row has.

    Args:
        rows: Columns key and name.
        account: Where the others are recorded.
    """
    frame = rows.values.to_pandas()
    fine = ~(frame["key"].duplicated() | frame["name"].duplicated()).to_numpy()

    def detail(position: int) -> str:
        return f"{rows.values['name'][position]}: an earlier row has this key or name"

    return account.keep(rows, fine, "duplicate", detail)
