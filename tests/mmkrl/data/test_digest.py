"""A table's digest is a function of its rows alone."""

from __future__ import annotations

import random

import numpy as np
import pyarrow as pa
import pytest

from mmkrl.data.digest import combine, content_id, fingerprint, table_digest
from mmkrl.data.schemas import CANDIDATES, DEAD_LETTERS, IMAGES, RELATIONSHIPS, TEXTS, features

ROWS = 23
SCHEMAS = [IMAGES, TEXTS, CANDIDATES, RELATIONSHIPS, DEAD_LETTERS, features({"resnet50": 5})]


def cells(kind: pa.DataType, count: int, source: random.Random) -> list:
    """Values that differ from row to row; some texts and bytes are empty."""
    if pa.types.is_string(kind):
        return ["".join(source.choices("aé😀 ", k=i % 7)) + "x" * (i % 2) for i in range(count)]
    if pa.types.is_fixed_size_binary(kind):
        return [source.randbytes(kind.byte_width) for _ in range(count)]
    if pa.types.is_binary(kind):
        return [source.randbytes(i % 5) for i in range(count)]
    if pa.types.is_fixed_size_list(kind):
        return list(np.array([[source.random()] * kind.list_size] * count, np.float16))
    return [source.randrange(1000) for _ in range(count)]


def made(schema, count: int = ROWS, seed: int = 0) -> pa.Table:
    source = random.Random(seed)
    fields = schema.arrow
    arrays = [pa.array(cells(field.type, count, source), field.type) for field in fields]
    return pa.Table.from_arrays(arrays, schema=fields)


@pytest.fixture(params=SCHEMAS, ids=lambda schema: schema.name)
def schema(request):
    return request.param


def test_order_of_rows_and_columns_does_not_matter(schema):
    table = made(schema)
    order = random.Random(1).sample(range(ROWS), ROWS)
    assert table_digest(table.take(order)) == table_digest(table)
    assert table_digest(table.select(table.column_names[::-1])) == table_digest(table)


def test_cuts_do_not_matter(schema):
    """Slices keep the parent's buffers with an offset; concatenations keep chunks."""
    table = made(schema)
    for first, second in ((1, 2), (7, 19), (0, ROWS)):
        parts = [table[:first], table[first:second], table[second:]]
        assert combine(table_digest(part) for part in parts) == table_digest(table)
        assert table_digest(pa.concat_tables(parts)) == table_digest(table)
        assert table_digest(pa.concat_tables(parts).combine_chunks()) == table_digest(table)


def test_every_cell_matters(schema):
    table, other = made(schema), made(schema, seed=1)
    digests = {table_digest(table)}
    changes = 0
    for column, name in enumerate(table.column_names):
        for row in (0, ROWS // 2, ROWS - 1):
            values = table.column(name).to_pylist()
            replacement = other.column(name)[row].as_py()
            if replacement == values[row]:
                continue
            values[row] = replacement
            field = table.schema.field(column)
            digests.add(table_digest(table.set_column(column, field, pa.array(values, field.type))))
            changes += 1
    assert changes >= len(table.column_names)
    assert len(digests) == changes + 1


def test_repeated_rows_count():
    table = made(TEXTS)
    assert table_digest(pa.concat_tables([table, table])) != table_digest(table)
    assert table_digest(pa.concat_tables([table, table[:1]])) != table_digest(table)


def test_text_may_not_wander_between_cells():
    def two(subject, object_):
        return table_digest(pa.table({"object": [object_], "subject": [subject]}))

    assert len({two("ab", "c"), two("a", "bc"), two("abc", ""), two("", "abc")}) == 4


def test_no_rows_add_nothing():
    assert table_digest(TEXTS.arrow.empty_table()) == combine([])


def test_ids_and_fingerprints():
    assert content_id(b"") == "e3b0c44298fc1c149afbf4c8996fb924"  # SHA-256 of nothing, halved
    assert fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": "1"})
