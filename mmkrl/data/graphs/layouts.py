"""Readers of knowledge graphs: public layouts and mined relationships, checked while read.

A graph fits into memory, so there are no units of work: a layout names its files and reads them
whole. Every row of them is in use afterwards or a dead letter with its file and line.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mmkrl.data.digest import content_id
from mmkrl.data.graphs.config import LAYOUTS, GraphConfig
from mmkrl.data.graphs.rows import Account
from mmkrl.data.graphs.stated import Stated
from mmkrl.io.storage import Location


@dataclass(frozen=True)
class GraphReader:
    """How a layout is read.

    Attributes:
        files: The files that are the input.
        read: What they state; rows that cannot be read are recorded.
        takes_lists: Whether lists of entities and relations can be named beside the triples
            (``graph.entities``, ``graph.relations``, ``graph.columns``).
        lists_images: Whether the layout has a list of the entities' images.
    """

    files: Callable[[GraphConfig], list[Location]]
    read: Callable[[GraphConfig, Account], Stated]
    takes_lists: bool = False
    lists_images: bool = False


def read_graph(config: GraphConfig, account: Account) -> Stated:
    """What the files of a graph state.

    Args:
        config: Where they are, and their layout.
        account: Where rows that cannot be read are recorded.

    Raises:
        UserError: a file is missing or has not the layout's form.
    """
    return _reader(config).read(config, account)


def graph_listing(config: GraphConfig) -> list[tuple[str, str]]:
    """Name and hash of every file of a graph: the identity of the input.

    Raises:
        UserError: a file is missing.
    """
    files = _reader(config).files(config)
    return [(file.name, content_id(file.read_bytes())) for file in files]


def _reader(config: GraphConfig) -> GraphReader:
    found: GraphReader = LAYOUTS.get(config.layout)
    return found
