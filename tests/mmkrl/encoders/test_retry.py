"""A piece whose dead letters are done again is the piece that never had them."""

import itertools

import numpy as np
import pytest

from mmkrl.data.dataset import write_unit
from mmkrl.encoders.extractor import feature_tables
from mmkrl.encoders.retry import Former, keep, merge
from mmkrl.io.storage import locate

URIS = [f"web/{n}" for n in range(6)]
OUTCOMES = ("alive", "timeout", "truncated")


def tables(ids, uris, outcomes, places):
    """What extraction makes of the rows at some places, and where they stand."""
    alive = [p for p in places if outcomes[p] == "alive"]
    lost = [p for p in places if outcomes[p] != "alive"]
    vector_ND = np.array([[p, -p] for p in alive], np.float16).reshape(-1, 2)
    letters = [
        {"stage": "extract", "record": uris[p], "reason": outcomes[p], "detail": str(p)}
        for p in lost
    ]
    made = feature_tables([ids[p] for p in alive], {"resnet50": vector_ND}, letters)
    return made, {"features": alive, "dead_letters": lost}


def retried(folder, ids, uris, before, after, reasons):
    """The merged tables, and the places that were done again."""
    location = locate(folder)
    former_tables, _ = tables(ids, uris, before, range(len(ids)))
    alive = former_tables["features"].num_rows
    record = write_unit(location, 0, former_tables, rows_in=len(ids), rows_out=alive)
    former = Former(location, record, frozenset(reasons))
    assert former.concerned == bool(set(reasons) & set(before))
    if not former.concerned:
        return former_tables, []
    kept = keep(former, ids, uris)
    made, places = tables(ids, uris, after, kept.again)
    return merge(kept, made, places), kept.again


@pytest.mark.parametrize("reasons", [{"timeout"}, {"timeout", "truncated"}, {"other"}])
def test_every_pattern_of_four_rows(tmp_path, reasons):
    ids, uris = list("abcd"), URIS[:4]
    for n, before in enumerate(itertools.product(OUTCOMES, repeat=4)):
        after = ["alive" if outcome in reasons else outcome for outcome in before]
        found, again = retried(tmp_path / str(n), ids, uris, before, after, reasons)
        assert again == [p for p in range(4) if before[p] in reasons]
        expected, _ = tables(ids, uris, after, range(4))
        assert all(found[name].equals(expected[name]) for name in expected)


def test_a_row_that_fails_again_stays_a_dead_letter_in_its_place(tmp_path):
    before = ["timeout", "alive", "timeout", "truncated", "alive", "timeout"]
    after = ["alive", "alive", "truncated", "truncated", "alive", "alive"]
    found, again = retried(tmp_path, list("abcdef"), URIS, before, after, {"timeout"})
    assert again == [0, 2, 5]
    expected, _ = tables(list("abcdef"), URIS, after, range(6))
    assert all(found[name].equals(expected[name]) for name in expected)


def test_the_same_picture_at_two_addresses_is_not_mixed_up(tmp_path):
    ids = ["same", "same", "same", "x"]
    for n, before in enumerate(itertools.product(("alive", "timeout"), repeat=4)):
        found, again = retried(tmp_path / str(n), ids, URIS[:4], before, ["alive"] * 4, {"timeout"})
        assert again == [p for p in range(4) if before[p] == "timeout"]
        expected, _ = tables(ids, URIS, ["alive"] * 4, range(4))
        assert found["features"].equals(expected["features"])
