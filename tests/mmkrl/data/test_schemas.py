"""A table that does not fit its schema is refused with the reason."""

from __future__ import annotations

import pyarrow as pa
import pytest

from mmkrl.data.schemas import ENTITIES, RELATIONSHIPS, VERSIONS, features, schema_of
from mmkrl.errors import UserError


def entities(**columns) -> pa.Table:
    return pa.table({"entity": ["a"], "image_id": ["i"], "source": ["s"]} | columns)


def test_columns_are_put_in_order_and_cast():
    table = entities(source=pa.array(["s"], pa.large_string()))
    checked = ENTITIES.check(table.select(["source", "entity", "image_id"]))
    assert checked.schema.equals(ENTITIES.arrow)


@pytest.mark.parametrize(
    ("table", "told"),
    [
        (entities().drop_columns("source"), "expected columns"),
        (entities(more=[1]), "expected columns"),
        (entities(source=pa.array([None], pa.string())), "'source' with null values"),
        (entities(source=[[1]]), "cast"),
    ],
)
def test_what_does_not_fit_is_refused(table, told):
    with pytest.raises(UserError, match="table 'entities'") as caught:
        ENTITIES.check(table)
    assert told in str(caught.value)


def test_a_number_too_large_for_its_column_is_refused():
    row = dict.fromkeys(RELATIONSHIPS.arrow.names, "x") | {"images": 1 << 40, "sources": 1}
    with pytest.raises(UserError, match="table 'relationships'"):
        RELATIONSHIPS.check(pa.Table.from_pylist([row]))


def test_an_unknown_table_lists_the_known():
    with pytest.raises(UserError, match=r"unknown table 'image'; known: .*images"):
        schema_of("image")


def test_every_table_has_a_version():
    assert VERSIONS.keys() >= {"images", "features", features({"resnet50": 3}).name}
