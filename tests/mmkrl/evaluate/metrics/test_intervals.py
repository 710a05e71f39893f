"""Bootstrap intervals against plain loops and known sampling errors."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from mmkrl.errors import UserError
from mmkrl.evaluate.metrics import intervals
from mmkrl.evaluate.metrics.intervals import (
    Interval,
    bootstrap_mean,
    bootstrap_median,
    over_seeds,
    paired_difference,
    paired_test,
)

Bootstrap = Callable[..., Interval]

VALUES = [1.0, 2.0, 6.0, 3.0, 9.0, 4.0]
GROUPS = ["a", "a", "a", "b", "b", "c"]


def drawn_values(names: tuple[str, ...]) -> list[float]:
    return [v for name in names for v, g in zip(VALUES, GROUPS, strict=True) if g == name]


@pytest.mark.parametrize(
    ("bootstrap", "statistic"), [(bootstrap_mean, np.mean), (bootstrap_median, np.median)]
)
def test_interval_matches_every_possible_resample(
    bootstrap: Bootstrap, statistic: Callable[[list[float]], float]
) -> None:
    every = [statistic(drawn_values(names)) for names in itertools.product("abc", repeat=3)]
    found = bootstrap(VALUES, GROUPS, resamples=20_000)
    assert found.mean == pytest.approx(statistic(VALUES))
    low, high = np.percentile(every, [2.5, 97.5], method="inverted_cdf")
    assert [found.low, found.high] == pytest.approx([low, high])
    assert (found.n_groups, found.n_queries) == (3, 6)


def test_interval_has_the_width_of_the_sampling_error() -> None:
    values = np.random.default_rng(0).normal(size=2000)
    found = bootstrap_mean(values, np.arange(2000))
    assert found.high - found.low == pytest.approx(2 * 1.96 * values.std() / 2000**0.5, rel=0.05)


def test_copies_within_a_group_do_not_narrow_the_interval() -> None:
    values = np.random.default_rng(1).normal(size=50)
    single = bootstrap_mean(values, np.arange(50))
    copied = bootstrap_mean(np.repeat(values, 30), np.repeat(np.arange(50), 30))
    assert [copied.low, copied.high] == pytest.approx([single.low, single.high])


@pytest.mark.parametrize("bootstrap", [bootstrap_mean, bootstrap_median])
def test_memory_bound_does_not_change_the_result(
    bootstrap: Bootstrap, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = bootstrap(VALUES, GROUPS)
    monkeypatch.setattr(intervals, "_CELLS", 1)
    assert bootstrap(VALUES, GROUPS) == whole


@pytest.mark.parametrize("bootstrap", [bootstrap_mean, bootstrap_median])
def test_seed_decides_the_resamples(bootstrap: Bootstrap) -> None:
    values = np.random.default_rng(2).normal(size=300)
    groups = np.arange(300) // 3
    first = bootstrap(values, groups, seed=1)
    assert bootstrap(values, groups, seed=1) == first
    assert bootstrap(values, groups, seed=2) != first


@pytest.mark.parametrize("bootstrap", [bootstrap_mean, bootstrap_median])
def test_single_group_has_no_bounds(bootstrap: Bootstrap) -> None:
    found = bootstrap([1.0, 2.0, 3.0], [7, 7, 7])
    assert found.mean == 2.0
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert found.n_groups == 1


def test_paired_difference_is_the_interval_of_the_differences() -> None:
    noise: NDArray[np.float64] = np.random.default_rng(3).normal(size=200)
    groups = np.arange(200) // 4
    found = paired_difference(noise + 0.1, noise, groups)
    assert found.mean == pytest.approx(0.1)
    assert [found.low, found.high] == pytest.approx([0.1, 0.1])


def test_over_seeds_averages_queries_and_keeps_the_means() -> None:
    found = over_seeds([[1.0, 3.0, 5.0], [2.0, 2.0, 8.0]], [0, 0, 1])
    averaged = bootstrap_mean([1.5, 2.5, 6.5], [0, 0, 1])
    assert found.seed_values == (3.0, 4.0)
    assert (found.mean, found.low, found.high) == (averaged.mean, averaged.low, averaged.high)


def test_unusable_values_are_refused() -> None:
    with pytest.raises(UserError, match="no query"):
        bootstrap_mean([], [])
    with pytest.raises(UserError, match="one of each per query"):
        bootstrap_mean([1.0, 2.0], [0])
    with pytest.raises(UserError, match="1 of 2 values are not finite"):
        bootstrap_median([1.0, math.nan], [0, 1])
    with pytest.raises(UserError, match="resamples is 0"):
        bootstrap_mean([1.0, 2.0], [0, 1], resamples=0)
    with pytest.raises(UserError, match="all on the same queries"):
        paired_difference([1.0, 2.0], [1.0], [0, 1])
    with pytest.raises(UserError, match="at least one array"):
        over_seeds([], [])


def test_the_p_value_is_the_share_of_resamples_on_the_other_side_of_zero() -> None:
    shifted = [value - 3.2 for value in VALUES]
    zeros = [0.0] * len(VALUES)
    every = [
        np.mean([value - 3.2 for value in drawn_values(names)])
        for names in itertools.product("abc", repeat=3)
    ]
    expected = 2 * min(np.mean([m <= 0 for m in every]), np.mean([m >= 0 for m in every]))
    interval, p = paired_test(shifted, zeros, GROUPS, resamples=20_000)
    assert interval == paired_difference(shifted, zeros, GROUPS, resamples=20_000)
    assert p == pytest.approx(expected, abs=0.02)


def test_no_difference_is_no_surprise_and_a_clear_one_is_one() -> None:
    noise = np.random.default_rng(2).normal(size=(2, 300))
    groups = np.arange(300)
    assert paired_test(noise[0], noise[0], groups)[1] == 1
    assert paired_test(noise[0], noise[1], groups)[1] > 0.05
    assert paired_test(noise[0] + 1, noise[1], groups)[1] == pytest.approx(2 / 2001)


def test_a_single_group_tells_nothing_about_surprise() -> None:
    interval, p = paired_test([1, 2], [0, 0], ["a", "a"])
    assert (interval.mean, p) == (1.5, 1.0)
    assert math.isnan(interval.low)
