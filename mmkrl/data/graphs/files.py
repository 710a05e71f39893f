"""The files of a graph's folder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mmkrl.data.graphs.config import GraphConfig
from mmkrl.data.splits.names import TEST, TRAIN, VALIDATION
from mmkrl.errors import UserError
from mmkrl.io.storage import Location, locate

SPLIT_NAMES = {TRAIN: ("train",), VALIDATION: ("valid", "validation", "dev"), TEST: ("test",)}
"""What public data sets call the splits."""


def graph_path(config: GraphConfig) -> Location:
    """Where a graph's files are."""
    assert config.path is not None  # GraphConfig asks for it
    return locate(config.path)


def folder_of(config: GraphConfig) -> Location:
    """The folder of a graph's files.

    Raises:
        UserError: it does not exist.
    """
    folder = graph_path(config)
    if not folder.is_dir():
        raise UserError(f"graph.path {folder}: no such folder; layout {config.layout!r} needs one")
    return folder


def present(folder: Location, names: Iterable[str]) -> list[Location]:
    """Those of some files that a folder has."""
    return [folder / name for name in names if (folder / name).is_file()]


def one_of(folder: Location, names: Sequence[str], what: str) -> Location:
    """The file that has one of some names.

    Args:
        folder: Where to look.
        names: What it may be called.
        what: What it holds, for the message.

    Raises:
        UserError: there is none, or several.
    """
    there = present(folder, names)
    if len(there) != 1:
        given = " and ".join(file.name for file in there) or "none"
        raise UserError(
            f"graph.path {folder}: expected one of {', '.join(names)} with {what}, found {given}"
        )
    return there[0]
