"""Layouts ``tsv`` and ``ikrl``: a text file a split, one triple a line, names between tabs.

``tsv`` is how FB15k-237, WN18RR and most later sets are given: head, relation, tail in train,
valid and test, ending in .tsv or .txt. ``entity2text.txt`` and ``entity2textlong.txt`` beside them
name and describe entities, as KG-BERT (Yao et al. 2019) gives these sets.

``ikrl`` is how the authors of IKRL (Xie et al. 2017) give WN9-IMG: head, *tail*, relation in .txt
files. ``entity2id.txt`` and ``relation2id.txt`` list what there is, without a count, and
``image_list.txt`` the pictures, whose names start with their entity and ``_``; the three may be
absent.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from mmkrl.data.graphs.config import GraphConfig
from mmkrl.data.graphs.files import SPLIT_NAMES, folder_of, one_of, present
from mmkrl.data.graphs.layouts import GraphReader
from mmkrl.data.graphs.lines import decoded, fields, numbered, raw_lines
from mmkrl.data.graphs.rows import Account, Rows
from mmkrl.data.graphs.stated import PARTS, Stated, listing
from mmkrl.io.storage import Location

_TEXTS = {"entity2text.txt": "name", "entity2textlong.txt": "description"}
_ENTITIES, _RELATIONS, _PICTURES = _LISTS = ("entity2id.txt", "relation2id.txt", "image_list.txt")
_TSV, _IKRL = (".tsv", ".txt"), (".txt",)


def tsv_files(config: GraphConfig) -> list[Location]:
    """The files of layout ``tsv``: those of the splits, then the texts that are there.

    Raises:
        UserError: the file of a split is missing, or there are two.
    """
    folder = folder_of(config)
    return [*_split_files(folder, _TSV).values(), *present(folder, _TEXTS)]


def ikrl_files(config: GraphConfig) -> list[Location]:
    """The files of layout ``ikrl``: those of the splits, then the lists that are there.

    Raises:
        UserError: the file of a split is missing, or there are two.
    """
    folder = folder_of(config)
    return [*_split_files(folder, _IKRL).values(), *present(folder, _LISTS)]


def read_tsv(config: GraphConfig, account: Account) -> Stated:
    """A graph in layout ``tsv``."""
    folder = folder_of(config)
    triples = {
        split: _read(file, PARTS, account) for split, file in _split_files(folder, _TSV).items()
    }
    texts = tuple(_texts(file, account) for file in present(folder, _TEXTS))
    return Stated(triples, texts=texts)


def read_ikrl(config: GraphConfig, account: Account) -> Stated:
    """A graph in layout ``ikrl``."""
    folder = folder_of(config)
    order = ("head", "tail", "relation")
    triples = {
        split: _read(file, order, account) for split, file in _split_files(folder, _IKRL).items()
    }
    lists = {file.name: file for file in present(folder, _LISTS)}
    return Stated(
        triples,
        entities=_names(lists[_ENTITIES], account) if _ENTITIES in lists else None,
        relations=_names(lists[_RELATIONS], account) if _RELATIONS in lists else None,
        pictures=_pictures(lists[_PICTURES], account) if _PICTURES in lists else None,
    )


def _split_files(folder: Location, endings: Sequence[str]) -> dict[str, Location]:
    return {
        split: one_of(folder, [s + e for s in stems for e in endings], f"the {split} triples")
        for split, stems in SPLIT_NAMES.items()
    }


def _read(file: Location, columns: Sequence[str], account: Account) -> Rows:
    return fields(decoded(raw_lines(file), account), columns, account)


def _texts(file: Location, account: Account) -> Rows:
    rows = _read(file, ("entity", "text"), account)
    kinds = pa.array([_TEXTS[file.name]] * len(rows), pa.string())
    return rows.holding(rows.values.append_column("kind", kinds))


def _names(file: Location, account: Account) -> Rows:
    """A list of what triples call by name; the numbers in it are of no use here."""
    rows = numbered(decoded(raw_lines(file), account), account)
    name = rows.values["name"]
    return listing(rows.holding(pa.table({"key": name, "name": name})), account)


def _pictures(file: Location, account: Account) -> Rows:
    rows = _read(file, ("picture",), account)
    entity = pc.replace_substring_regex(rows.values["picture"], pattern="_.*$", replacement="")
    return rows.holding(rows.values.append_column("entity", entity))


TSV = GraphReader(tsv_files, read_tsv)
IKRL = GraphReader(ikrl_files, read_ikrl, lists_images=True)
