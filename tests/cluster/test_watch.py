"""What ends a plan that stands still, and what is done then; plans here are plain iterators."""

from __future__ import annotations

import pytest
from ray.data import DataContext

from cluster.watch import StandstillError, Watch, ended_by, until_done
from mmkrl.data.dataset import finished_units, write_unit
from mmkrl.errors import UserError
from mmkrl.io.storage import locate

_STALL_S = 60.0


class Cluster:
    """Nodes that come and go as time passes, by a plan of (second, nodes) in order of time."""

    def __init__(self, *changes):
        self.now = 0.0
        self._changes = changes

    def nodes(self):
        return [there for since, there in self._changes if since <= self.now][-1]

    def watch(self, needs="CPU"):
        return Watch(_STALL_S, needs, nodes=self.nodes, clock=lambda: self.now)

    def units(self, watch, *finished_at, until):
        """An iterator as Ray Data's, whose loop has the watch look while a unit is awaited."""
        for unit, moment in enumerate([*finished_at, until]):
            while self.now < moment:
                self.now += 1.0
                watch.check()
            if moment is not until:
                yield unit


def stands_still_at(cluster, *finished_at, until=10_000.0, needs="CPU"):
    """When a plan was ended, and how many units it had finished; None if it was not ended."""
    watch = cluster.watch(needs)
    count = 0
    try:
        for _ in watch.over(cluster.units(watch, *finished_at, until=until)):
            count += 1
    except StandstillError:
        return cluster.now, count
    return None


CPU, GPU = {"CPU": 8.0}, {"CPU": 8.0, "GPU": 1.0}
BOTH, ONE = {"a": CPU, "b": CPU}, {"a": CPU}


def test_without_a_lost_node_nothing_is_slow():
    assert stands_still_at(Cluster((0, BOTH)), 3000.0, 9000.0) is None


def test_a_plan_that_stalls_after_a_loss_is_ended():
    moment, count = stands_still_at(Cluster((0, BOTH), (20, ONE)), 10.0, 15.0)
    assert count == 2
    assert 20 + _STALL_S < moment <= 20 + _STALL_S + 11


def test_a_plan_that_goes_on_after_a_loss_is_left_alone():
    finished_at = [10.0 + 50 * n for n in range(100)]
    assert stands_still_at(Cluster((0, BOTH), (20, ONE)), *finished_at, until=5000.0) is None


def test_the_time_counts_from_the_last_unit_or_change_of_the_nodes():
    three = BOTH | {"c": CPU}
    moment, _ = stands_still_at(Cluster((0, three), (20, BOTH), (70, ONE)), 10.0, 40.0)
    assert 70 + _STALL_S < moment <= 70 + _STALL_S + 11
    moment, _ = stands_still_at(Cluster((0, three), (20, ONE), (70, BOTH)), 10.0, 40.0)
    assert 70 + _STALL_S < moment <= 70 + _STALL_S + 11
    moment, _ = stands_still_at(Cluster((0, BOTH), (20, ONE)), 10.0, 75.0)
    assert 75 + _STALL_S < moment <= 75 + _STALL_S + 11


def test_slow_units_get_twice_the_time_of_the_first():
    moment, _ = stands_still_at(Cluster((0, BOTH), (450, ONE)), 400.0)
    assert 450 + 800 < moment <= 450 + 800 + 11


def test_a_node_that_joined_later_can_be_lost():
    moment, _ = stands_still_at(Cluster((0, ONE), (20, BOTH), (40, ONE)), 10.0)
    assert 40 + _STALL_S < moment <= 40 + _STALL_S + 11


@pytest.mark.parametrize("left", [{}, {"a": CPU}])
def test_where_no_worker_has_a_place_the_plan_waits_for_a_new_node(left):
    before = {"a": CPU, "g": GPU}
    assert stands_still_at(Cluster((0, before), (20, left)), 10.0, needs="GPU") is None
    back = Cluster((0, before), (20, left), (500, {"a": CPU, "h": GPU}))
    moment, _ = stands_still_at(back, 10.0, needs="GPU")
    assert 500 + _STALL_S < moment <= 500 + _STALL_S + 11


@pytest.fixture
def location(tmp_path):
    return locate(tmp_path / "dataset")


def publishing(location, at_a_time, plans):
    """A plan that publishes some units and then stands still, unless all are done."""

    def plan(done):
        plans.append(sorted(done))
        left = [number for number in range(5) if number not in done]
        records = {n: write_unit(location, n, {}, rows_in=1, rows_out=1) for n in left[:at_a_time]}
        if len(left) > at_a_time:
            raise StandstillError("nothing moves")
        return records

    return plan


def test_a_plan_that_stands_still_is_made_anew_for_what_is_left(location, caplog):
    plans = []
    done = until_done(location, 5, publishing(location, 2, plans), label="test")
    assert plans == [[], [0, 1], [0, 1, 2, 3]]
    assert done == finished_units(location)
    assert len(done) == 5
    first, second = (record.getMessage() for record in caplog.records)
    assert first == ("test: nothing moves; 2 of 5 units are done, the others are planned anew")
    assert "4 of 5 units" in second


def test_attempts_without_a_unit_end_in_one_line(location):
    plans = []
    write_unit(location, 3, {}, rows_in=1, rows_out=1)
    message = "3 attempts in a row finished no unit of 5, 1 are done"
    with pytest.raises(UserError, match=message) as e:
        until_done(location, 5, publishing(location, 0, plans), label="test")
    assert plans == [[3]] * 3
    assert "\n" not in str(e.value)


def test_other_errors_end_the_work_at_once(location):
    plans = []

    def plan(done):
        plans.append(done)
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        until_done(location, 5, plan, label="test")
    assert len(plans) == 1


def test_what_is_done_is_not_planned(location):
    for number in range(5):
        write_unit(location, number, {}, rows_in=1, rows_out=1)
    plans = []
    assert until_done(location, 5, publishing(location, 5, plans), label="test") == finished_units(
        location
    )
    assert plans == []


def test_a_plan_of_slow_units_is_given_longer_by_ray_data_itself():
    context = DataContext.get_current()
    before = context.execution_no_progress_timeout_s
    for stall_s, expected in ((1.0, before), (before, 5 * before)):
        with ended_by(Watch(stall_s, nodes=dict)):
            assert context.execution_no_progress_timeout_s == expected
        assert context.execution_no_progress_timeout_s == before
