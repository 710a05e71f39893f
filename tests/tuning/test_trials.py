"""Trials survive any kill: the same set, the same decisions, the same budget."""

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from cluster.sweep_config import SweepConfig
from mmkrl.io.storage import locate
from tuning.trials import OptunaStudy

SPACE = {
    "margin": FloatDistribution(0.05, 0.5, log=True),
    "dimension": CategoricalDistribution((64, 128)),
}
TOTAL = 900  # steps of a schedule


@pytest.fixture
def file(tmp_path):
    return locate(tmp_path / "study.jsonl")


def opened(file, **fields):
    return OptunaStudy(file, SPACE, SweepConfig(**fields))


def metric(settings):
    """Better for one margin and dimension than for all others."""
    return 1 - abs(settings["margin"] - 0.2) - (0.1 if settings["dimension"] == 64 else 0)


def train(trials, number, settings, *, shares=9):
    """A trial that is validated so many times; whether it came to its end."""
    for at in range(1, shares + 1):
        share = at / shares
        best = metric(settings) * share
        if trials.report(number, progress=share, steps=round(TOTAL * share), best=best):
            break
    trials.finish(number)
    return share == 1


def everything(trials):
    while asked := trials.ask():
        train(trials, *asked)
    return trials.records()


@pytest.mark.parametrize("sampler", ["tpe", "random", "grid"])
def test_a_sweep_tries_so_many_different_settings(file, sampler):
    trials = opened(file, sampler=sampler, scheduler="none", trials=5)
    tried = everything(trials)
    assert [trial.number for trial in tried] == list(range(5))
    assert len({tuple(trial.settings.items()) for trial in tried}) == 5
    assert {trial.outcome for trial in tried} == {"done"}
    assert {trial.steps for trial in tried} == {TOTAL}
    assert trials.best() == max(tried, key=lambda trial: metric(trial.settings))
    assert trials.complete()


def test_a_grid_ends_with_its_last_point(file):
    trials = opened(file, sampler="grid", scheduler="none", trials=99, points=4)
    tried = everything(trials)
    assert len({tuple(trial.settings.items()) for trial in tried}) == 8
    assert trials.complete()


def test_successive_halving_ends_those_behind_at_the_rungs(file):
    """Rungs at a ninth, a third and the whole; a plain list of values beside each."""
    trials = opened(file, sampler="random", trials=20)
    rungs = {share: [] for share in (1, 3)}
    while asked := trials.ask():
        number, settings = asked
        expected = 9
        for share, values in rungs.items():
            value = metric(settings) * (share / 9)
            values.append(value)
            better = sorted(values, reverse=True)[: max(1, len(values) // 3)]
            if value not in better:
                expected = share
                break
        train(trials, number, settings)
        assert round(trials.records()[number].steps * 9 / TOTAL) == expected
    tried = trials.records()
    assert {trial.outcome for trial in tried} == {"done", "pruned"}
    assert trials.best().outcome == "done"
    assert trials.steps() == sum(trial.steps for trial in tried) < 0.5 * len(tried) * TOTAL


@pytest.mark.parametrize("sampler", ["tpe", "random", "grid"])
def test_killed_anywhere_the_trials_are_the_same(file, tmp_path, sampler):
    """Each process dies at another point: when asked, in a trial, before its end is noted."""
    fields = {"sampler": sampler, "trials": 6, "points": 3}
    undisturbed = everything(opened(locate(tmp_path / "other.jsonl"), **fields))
    opened(file, **fields).ask()
    trials = opened(file, **fields)
    number, settings = trials.ask()
    trials.report(number, progress=1 / 9, steps=100, best=metric(settings) * (1 / 9))
    trials = opened(file, **fields)
    number, settings = trials.ask()
    assert number == 0
    for at in range(1, 10):
        trials.report(number, progress=at / 9, steps=100 * at, best=metric(settings) * (at / 9))
    trials = opened(file, **fields)
    assert trials.records()[0].outcome == "done"
    train(trials, *trials.ask())
    assert everything(opened(file, **fields)) == undisturbed


def test_a_trial_that_goes_on_elsewhere_is_not_begun_again(file):
    first = opened(file)
    number, _ = first.ask()
    second = opened(file)
    second.resume([number])
    assert second.ask()[0] == number + 1


def test_a_decision_stands_after_a_kill(file):
    trials = opened(file, sampler="random")
    train(trials, *trials.ask())
    number = 0
    while trials.records()[-1].outcome != "pruned":
        number, settings = trials.ask()
        train(trials, number, settings)
    again = opened(file, sampler="random")
    assert again.report(number, progress=1.0, steps=TOTAL, best=1.0)
    assert again.records() == trials.records()


def test_the_rungs_are_there_after_a_kill(file):
    """A poor trial that begins after it is ended at once, not let through as the first."""
    trials = opened(file, sampler="random")
    number, _ = trials.ask()
    assert not trials.report(number, progress=1 / 9, steps=100, best=0.9)
    again = opened(file, sampler="random")
    again.resume([number])
    later, _ = again.ask()
    assert again.report(later, progress=1 / 9, steps=100, best=0.1)


def test_a_failed_trial_is_kept_with_its_error(file):
    trials = opened(file, scheduler="none", trials=2)
    number, _ = trials.ask()
    trials.finish(number, "the loss is not finite")
    number, settings = trials.ask()
    train(trials, number, settings)
    failed, done = trials.records()
    assert (failed.outcome, failed.error, failed.value) == (
        "failed",
        "the loss is not finite",
        None,
    )
    assert trials.best() == done
    assert trials.complete()


def test_a_trial_without_progress_ends(file):
    trials = opened(file, scheduler="none", patience=2)
    number, _ = trials.ask()
    ends = [
        trials.report(number, progress=at / 9, steps=100 * at, best=min(at, 3))
        for at in range(1, 7)
    ]
    assert ends == [False, False, False, False, True, True]
    trials.finish(number)
    assert trials.records()[0].outcome == "plateau"


def test_a_budget_of_steps_ends_the_running_and_begins_no_other(file):
    trials = opened(file, scheduler="none", steps=1000)
    train(trials, *trials.ask())
    number, settings = trials.ask()
    assert not train(trials, number, settings)
    assert trials.records()[number].outcome == "budget"
    assert trials.ask() is None
    assert 1000 <= trials.steps() <= 1100
    assert opened(file, scheduler="none", steps=1000).ask() is None
    assert trials.complete()


def test_a_budget_of_hours_counts_those_before_a_kill(file, monkeypatch):
    seconds = 0.0
    monkeypatch.setattr("time.monotonic", lambda: seconds)
    trials = opened(file, scheduler="none", hours=1)
    seconds = 3000.0
    train(trials, *trials.ask())
    again = opened(file, scheduler="none", hours=1)
    assert again.ask() is not None
    seconds += 601
    assert again.ask() is None
