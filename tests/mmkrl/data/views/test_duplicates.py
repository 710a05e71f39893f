"""Which rows another image stands for."""

from __future__ import annotations

import pyarrow as pa

from mmkrl.data.dataset import Origin, open_dataset, publish, write_unit
from mmkrl.data.schemas import DUPLICATES
from mmkrl.data.views.duplicates import superseded


def published(folder, *parts):
    """A dataset whose units hold these (image id, uri)."""
    shared = {"kept_id": "k", "kept_uri": "kept", "kind": "near", "distance": 3}
    units = []
    for number, part in enumerate(parts):
        rows = [{"image_id": image_id, "uri": uri} | shared for image_id, uri in part]
        tables = {"duplicates": pa.Table.from_pylist(rows, DUPLICATES.arrow)}
        units.append(write_unit(folder, number, tables, rows_in=0, rows_out=0))
    publish(folder, Origin("dedupe", "key", {}, {}, ""), units)
    return open_dataset(folder)


def asked(*rows):
    image_ids, uris = zip(*rows, strict=True)
    return pa.table({"uri": uris, "image_id": image_ids, "source": ["s"] * len(rows)})


def test_a_row_is_superseded_if_its_id_and_uri_are_in_the_table(folder):
    found = superseded(published(folder, [("a", "1"), ("a", "2")], [("b", "1")]))
    rows = asked(("a", "1"), ("a", "3"), ("b", "1"), ("b", "2"), ("1", "a"), ("a", "2"))
    assert found.among(rows).tolist() == [True, False, True, False, False, True]
    assert found.keys.tolist() == sorted(found.keys.tolist())
    assert len(found.keys) == 3


def test_without_duplicates_nothing_is_superseded(folder):
    found = superseded(published(folder))
    assert found.among(asked(("a", "1"))).tolist() == [False]
    assert found.among(asked(("a", "1")).slice(0, 0)).tolist() == []


def test_another_dataset_is_read_anew(folder):
    first = superseded(published(folder / "one", [("a", "1")]))
    second = superseded(published(folder / "two", [("b", "1")]))
    assert first.among(asked(("a", "1"), ("b", "1"))).tolist() == [True, False]
    assert second.among(asked(("a", "1"), ("b", "1"))).tolist() == [False, True]
