"""Readers of knowledge graphs: public layouts and mined relationships, checked while read.

A graph fits into memory, so there are no units of work: a layout names its files and reads them
whole. Every row of them is in use afterwards or a dead letter with its file and line.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mmkrl.data.digest import content_id
from mmkrl.data.graphs.config import GraphConfig
from mmkrl.data.graphs.openke import openke_files, read_openke
from mmkrl.data.graphs.parquet import parquet_files, read_parquet
from mmkrl.data.graphs.rows import Account
from mmkrl.data.graphs.stated import Stated
from mmkrl.data.graphs.tsv import ikrl_files, read_ikrl, read_tsv, tsv_files
from mmkrl.io.storage import Location


@dataclass(frozen=True)
class GraphReader:
    """How a layout is read.

    Attributes:
        files: The files that are the input.
        read: What they state; rows that cannot be read are recorded.
    """

    files: Callable[[GraphConfig], list[Location]]
    read: Callable[[GraphConfig, Account], Stated]


LAYOUTS = {
    "ikrl": GraphReader(ikrl_files, read_ikrl),
    "openke": GraphReader(openke_files, read_openke),
    "parquet": GraphReader(parquet_files, read_parquet),
    "tsv": GraphReader(tsv_files, read_tsv),
}


def read_graph(config: GraphConfig, account: Account) -> Stated:
    """What the files of a graph state.

    Args:
        config: Where they are, and their layout.
        account: Where rows that cannot be read are recorded.

    Raises:
        UserError: a file is missing or has not the layout's form.
    """
    return LAYOUTS[config.layout].read(config, account)


def graph_listing(config: GraphConfig) -> list[tuple[str, str]]:
    """Name and hash of every file of a graph: the identity of the input.

    Raises:
        UserError: a file is missing.
    """
    files = LAYOUTS[config.layout].files(config)
    return [(file.name, content_id(file.read_bytes())) for file in files]
