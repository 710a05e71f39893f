"""What is kept of queries comes back as it was, by method, task and seed."""

import numpy as np
import pyarrow as pa
import pytest

from mmkrl.errors import UserError
from mmkrl.evaluate.report.query_values import (
    QueryNames,
    headlines,
    query_table,
    query_values,
    value_table,
)
from mmkrl.evaluate.tasks.values import TaskValues

NAMES = ["one", "two", "three"]
GROUPS = np.array([7, 7, 2])


def task(*values, metric="mAP"):
    return TaskValues({metric: np.array(values, float)}, GROUPS, "right", 3, 9, asked=GROUPS)


@pytest.fixture(scope="module")
def tables():
    methods = {
        "ours": [{"find": task(0.1, 0.2, 0.3)}, {"find": task(0.5, 0.6, 0.7)}],
        "other": [{"find": task(0, 1, np.nan), "more": task(1, 1, 1, metric="top-1")}],
    }
    columns = [("find", "mAP"), ("more", "top-1"), ("find", "nothing")]
    named = QueryNames(NAMES, ["a", "b", "a"])
    return {
        "queries": query_table("test", "find", named, GROUPS),
        "values": value_table("test", methods, columns),
    }


def test_values_come_back_by_seed_with_their_queries(tables):
    found = query_values(tables, "test", "ours", ("find", "mAP"))
    np.testing.assert_array_equal(found.value_SQ, [[0.1, 0.2, 0.3], [0.5, 0.6, 0.7]])
    np.testing.assert_allclose(found.mean_Q, [0.3, 0.4, 0.5])
    np.testing.assert_array_equal(found.group_Q, GROUPS)
    assert (found.queries.names, found.queries.relations) == (NAMES, ["a", "b", "a"])


def test_a_value_that_is_none_stays_none(tables):
    assert np.isnan(query_values(tables, "test", "other", ("find", "mAP")).mean_Q[2])


def test_some_of_the_queries_in_another_order(tables):
    found = query_values(tables, "test", "ours", ("find", "mAP")).subset([2, 0])
    assert (found.queries.names, found.group_Q.tolist()) == (["three", "one"], [2, 7])
    np.testing.assert_allclose(found.mean_Q, [0.5, 0.3])


def test_only_what_a_method_has_is_kept(tables):
    assert headlines(tables, "test", "ours") == [("find", "mAP")]
    assert headlines(tables, "test", "other") == [("find", "mAP"), ("more", "top-1")]
    with pytest.raises(UserError, match="no values of 'ours' on the validation queries"):
        query_values(tables, "validation", "ours", ("find", "mAP"))


def test_the_tables_have_no_more_rows_than_queries_and_numbers(tables):
    assert isinstance(tables["values"], pa.Table)
    assert (tables["queries"].num_rows, tables["values"].num_rows) == (3, 4)
