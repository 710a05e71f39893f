"""Units of work on a real Ray: done once, kept when others fail."""

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
def location(tmp_path):
    return locate(tmp_path / "dataset")


@pytest.fixture
def calls(tmp_path):
    """A folder that gets a file a call, from whichever process it comes."""
    folder = tmp_path / "calls"
    folder.mkdir()
    return folder


def worker(location, calls, fails=()):
    """Publishes a unit that stands for as many rows as its unit says."""

    def work(number, unit):
        (calls / f"{number}-{len(list(calls.iterdir()))}").touch()
        if number in fails:
            raise ValueError(f"unit {number} is broken")
        return write_unit(location, number, {}, rows_in=unit, rows_out=unit)

    return work


def called(calls):
    return sorted(int(file.name.partition("-")[0]) for file in calls.iterdir())


def test_every_unit_is_done_once_and_records_come_in_order(location, calls):
    units = [5, 3, 8, 1, 13]
    records = run_units(location, units, worker(location, calls), label="test")
    assert [record.unit for record in records] == [0, 1, 2, 3, 4]
    assert [record.rows_in for record in records] == units
    assert called(calls) == [0, 1, 2, 3, 4]
    assert finished_units(location) == {record.unit: record for record in records}


def test_published_units_are_not_called_again(location, calls):
    for number in (1, 3):
        write_unit(location, number, {}, rows_in=7, rows_out=7)
    records = run_units(location, [2, 2, 2, 2], worker(location, calls), label="test")
    assert called(calls) == [0, 2]
    assert [record.rows_in for record in records] == [2, 7, 2, 7]


def test_when_all_is_published_nothing_is_called(location, calls):
    first = run_units(location, [1, 2], worker(location, calls), label="test")
    again = run_units(location, [1, 2], worker(location, calls), label="test")
    assert again == first
    assert called(calls) == [0, 1]


def test_no_units_give_no_records(location, calls):
    assert run_units(location, [], worker(location, calls), label="test") == []


def test_a_failing_unit_tells_its_cause_and_the_finished_ones_stay(location, calls):
    units = [1, 1, 1, 1, 1, 1]
    with pytest.raises(Exception, match="unit 5 is broken"):
        run_units(location, units, worker(location, calls, fails=(5,)), label="test")
    kept = finished_units(location)
    assert kept
    assert 5 not in kept
    before = set(called(calls))
    for file in calls.iterdir():
        file.unlink()
    records = run_units(location, units, worker(location, calls), label="test")
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
