"""Pieces of work on a real Ray: done once, kept when others fail."""

from __future__ import annotations

import time

import pytest
import ray

from cluster.units import run_units
from cluster.watch import StandstillError, Watch, ended_by
from mmkrl.data.dataset import finished_units, write_unit
from mmkrl.io.storage import locate

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300), pytest.mark.usefixtures("one_ray")]


@pytest.fixture
def place(tmp_path):
    return locate(tmp_path / "dataset")


@pytest.fixture
def calls(tmp_path):
    """A folder that gets a file a call, from whichever process it comes."""
    folder = tmp_path / "calls"
    folder.mkdir()
    return folder


def worker(place, calls, fails=()):
    """Publishes a unit that stands for as many rows as its piece says."""

    def work(number, piece):
        (calls / f"{number}-{len(list(calls.iterdir()))}").touch()
        if number in fails:
            raise ValueError(f"piece {number} is broken")
        return write_unit(place, number, {}, rows_in=piece, rows_out=piece)

    return work


def called(calls):
    return sorted(int(file.name.partition("-")[0]) for file in calls.iterdir())


def test_every_piece_is_done_once_and_records_come_in_order(place, calls):
    pieces = [5, 3, 8, 1, 13]
    records = run_units(place, pieces, worker(place, calls), label="test")
    assert [record.unit for record in records] == [0, 1, 2, 3, 4]
    assert [record.rows_in for record in records] == pieces
    assert called(calls) == [0, 1, 2, 3, 4]
    assert finished_units(place) == {record.unit: record for record in records}


def test_published_pieces_are_not_called_again(place, calls):
    for number in (1, 3):
        write_unit(place, number, {}, rows_in=7, rows_out=7)
    records = run_units(place, [2, 2, 2, 2], worker(place, calls), label="test")
    assert called(calls) == [0, 2]
    assert [record.rows_in for record in records] == [2, 7, 2, 7]


def test_when_all_is_published_nothing_is_called(place, calls):
    first = run_units(place, [1, 2], worker(place, calls), label="test")
    again = run_units(place, [1, 2], worker(place, calls), label="test")
    assert again == first
    assert called(calls) == [0, 1]


def test_no_pieces_give_no_records(place, calls):
    assert run_units(place, [], worker(place, calls), label="test") == []


def test_a_failing_piece_tells_its_cause_and_the_finished_ones_stay(place, calls):
    pieces = [1, 1, 1, 1, 1, 1]
    with pytest.raises(Exception, match="piece 5 is broken"):
        run_units(place, pieces, worker(place, calls, fails=(5,)), label="test")
    kept = finished_units(place)
    assert kept
    assert 5 not in kept
    before = set(called(calls))
    for file in calls.iterdir():
        file.unlink()
    records = run_units(place, pieces, worker(place, calls), label="test")
    assert len(records) == 6
    assert called(calls) == sorted(set(range(6)) - set(kept))
    assert set(kept) <= before


def test_a_plan_ends_with_what_its_watch_raises():
    def never(row):
        time.sleep(3600)
        return row

    there = {"a": {"CPU": 8.0}}
    before = [there | {"b": {"CPU": 8.0}}]
    watch = Watch(1.0, nodes=lambda: before.pop() if before else there)
    context = ray.data.DataContext.get_current().copy()
    with ended_by(watch), pytest.raises(StandstillError, match="1 lost, 1 left"):
        list(watch.over(ray.data.from_items([{"n": 1}]).map(never).iter_rows()))
    assert ray.data.DataContext.get_current() == context
