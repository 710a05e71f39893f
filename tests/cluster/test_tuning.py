"""Trials under a real Ray Tune: ended where they are behind, taken up again where they died."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import ray
from optuna.distributions import CategoricalDistribution, FloatDistribution

from cluster.config import ClusterConfig, TrainingResources
from cluster.session import session
from cluster.sweep_config import SweepConfig
from cluster.tune_hooks import Population
from cluster.tuning import tune_trials
from mmkrl.io.storage import locate
from mmkrl.train.learner import Measurement
from tuning.trials import OptunaStudy

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300), pytest.mark.usefixtures("one_ray")]

PARTS = 9
GRID = tuple(range(8))
SPACE = {"quality": CategoricalDistribution(GRID)}


@dataclass
class Heard:
    """What the driver was told."""

    begun: list[int] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)
    values: dict[int, list[float]] = field(default_factory=dict)

    def listener(self):
        heard = self

        class Listener:
            def begun(self, number, settings):
                heard.begun.append(number)

            def measured(self, number, measurements):
                heard.values.setdefault(number, []).extend(m.value for m in measurements)

            def ended(self, number):
                heard.ended.append(number)

        return Listener()


def work_in(folder: Path, *, dies: int | None = None, errs: int | None = None, grows=True, s=0.02):
    """Training of nothing: its metric grows with the setting; it may die once, or err."""

    def work(settings, context):
        quality = settings["quality"]
        with (folder / f"{quality}.log").open("a") as log:
            source = context.resume_from()
            done = json.loads((source / "state.json").read_text())["part"] if source else 0
            for part in range(done + 1, PARTS + 1):
                time.sleep(s)
                if errs == quality and part == 3:
                    raise ValueError("the loss is not finite")
                if dies == quality and part == 6 and not (folder / "died").exists():
                    (folder / "died").touch()
                    os._exit(1)
                log.write(f"{part}\n")
                log.flush()
                context.log([Measurement(part, "metric", quality * part)])
                state = folder / f"state-{quality}"
                state.mkdir(exist_ok=True)
                (state / "state.json").write_text(json.dumps({"part": part}))
                share = part / PARTS
                best = quality * (share if grows else 1)
                metrics = {"global_step": 100 * part, "progress": share, "best": best}
                context.report(metrics, state)

    return work


def parts(folder, quality):
    path = folder / f"{quality}.log"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def swept(tmp_path, work, **fields):
    config = SweepConfig(sampler="grid", trials=len(GRID), **fields)
    trials = OptunaStudy(locate(tmp_path / "sweep" / "study.jsonl"), SPACE, config)
    heard = Heard()
    resources = TrainingResources(concurrent_runs=2, retries=2)
    tune_trials(locate(tmp_path / "sweep"), trials, work, resources, heard.listener())
    assert trials.complete()
    return trials, heard


def test_the_hopeless_are_ended_and_the_best_is_not(tmp_path):
    trials, heard = swept(tmp_path, work_in(tmp_path))
    tried = trials.records()
    assert sorted(trial.settings["quality"] for trial in tried) == list(GRID)
    assert trials.best().settings == {"quality": GRID[-1]}
    assert trials.best().outcome == "done"
    assert trials.steps() <= 0.5 * len(GRID) * 100 * PARTS
    assert sorted(heard.begun) == sorted(heard.ended) == list(range(len(GRID)))
    for trial in tried:
        done = parts(tmp_path, trial.settings["quality"])
        assert done[: len(trial.curve)] == list(range(1, len(trial.curve) + 1))
        assert len(done) <= len(trial.curve) + 1
        assert len(heard.values[trial.number]) >= len(trial.curve)


def test_a_trial_that_dies_goes_on_and_one_that_errs_is_kept(tmp_path):
    """The others do not notice."""
    trials, heard = swept(tmp_path, work_in(tmp_path, dies=4, errs=7), scheduler="none")
    of = {trial.settings["quality"]: trial for trial in trials.records()}
    assert (of[7].outcome, of[7].error) == ("failed", "the loss is not finite")
    assert {of[quality].outcome for quality in GRID if quality != 7} == {"done"}
    assert parts(tmp_path, 4) == list(range(1, PARTS + 1))
    assert sorted(heard.ended) == list(range(len(GRID)))


def killed_in(folder: Path) -> None:
    """What a process does that is killed in the middle of a sweep's first trials."""

    class Killing:
        begun = ended = staticmethod(lambda *_: None)

        def measured(self, number, measurements):
            if any(measurement.step >= PARTS - 2 for measurement in measurements):
                os._exit(9)

    with session(ClusterConfig()):
        config = SweepConfig(sampler="grid", scheduler="none", trials=3)
        trials = OptunaStudy(locate(folder / "sweep" / "study.jsonl"), SPACE, config)
        resources = TrainingResources(concurrent_runs=1)
        work = work_in(folder, s=0.4)
        tune_trials(locate(folder / "sweep"), trials, work, resources, Killing())


def test_after_a_kill_trials_go_on_from_their_checkpoints(tmp_path):
    """Tune's own state is unpickled, and finds the searcher, scheduler and callback that live."""
    code = f"from pathlib import Path\nfrom {__name__} import *\nkilled_in(Path({str(tmp_path)!r}))"
    address = {"RAY_ADDRESS": ray.get_runtime_context().gcs_address}
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | address, check=False)
    assert done.returncode == 9
    trials = OptunaStudy(
        locate(tmp_path / "sweep" / "study.jsonl"),
        SPACE,
        SweepConfig(sampler="grid", scheduler="none", trials=3),
    )
    (begun,) = trials.records()
    assert begun.outcome == "running"
    heard = Heard()
    tune_trials(
        locate(tmp_path / "sweep"),
        trials,
        work_in(tmp_path),
        TrainingResources(concurrent_runs=1),
        heard.listener(),
    )
    assert trials.complete()
    assert {trial.outcome for trial in trials.records()} == {"done"}
    assert sorted(heard.begun) == sorted(heard.ended) == [0, 1, 2]
    for trial in trials.records():
        done = parts(tmp_path, trial.settings["quality"])
        assert done.count(1) == 1
        assert sorted(set(done)) == list(range(1, PARTS + 1))


def test_those_behind_go_on_from_a_better_one_with_changed_settings(tmp_path):
    """Settings stay within their range, and the trials are still the book's."""
    space = {"quality": FloatDistribution(0.0, 1.0)}
    config = SweepConfig(sampler="random", scheduler="pbt", trials=4, grace=0.1)
    trials = OptunaStudy(locate(tmp_path / "sweep" / "study.jsonl"), space, config)
    begun = [trials.ask() for _ in range(4)]
    trials = OptunaStudy(locate(tmp_path / "sweep" / "study.jsonl"), space, config)
    heard = Heard()
    resources = TrainingResources(concurrent_runs=2, retries=0)
    population = Population(4, {"quality": (0.0, 1.0, False)}, 0.1)
    work = work_in(tmp_path, grows=False)
    tune_trials(locate(tmp_path / "sweep"), trials, work, resources, heard.listener(), population)
    assert trials.complete()
    tried = trials.records()
    assert {one.outcome for one in tried} == {"done"}
    assert [one.settings for one in tried] != [settings for _, settings in begun]
    assert all(0 <= one.settings["quality"] <= 1 for one in tried)
    assert set(heard.ended) == set(range(4))
