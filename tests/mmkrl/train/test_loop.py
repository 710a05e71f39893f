"""The loop learns, repeats itself, goes on after interruptions, and says what is wrong."""

import math
import random

import numpy as np
import pytest
import torch

from mmkrl.errors import UserError
from mmkrl.train.config import LoopConfig
from mmkrl.train.context import LocalContext
from mmkrl.train.learner import Phase
from mmkrl.train.loop import fit


class InterruptedRunError(Exception):
    pass


class FragileContext(LocalContext):
    """Dies at the n-th report, before or after the checkpoint is kept, or at a logged step."""

    def __init__(self, folder, *, at_report=None, keeps=True, at_step=None):
        super().__init__(folder)
        self.at_report, self.keeps, self.at_step, self.reports = at_report, keeps, at_step, 0

    def report(self, metrics, checkpoint):
        self.reports += 1
        if self.reports == self.at_report and not self.keeps:
            raise InterruptedRunError
        super().report(metrics, checkpoint)
        if self.reports == self.at_report:
            raise InterruptedRunError

    def log(self, measurements):
        if self.at_step is not None and measurements[0].step == self.at_step:
            raise InterruptedRunError
        super().log(measurements)


def assert_same_weights(left, right):
    assert left.keys() == right.keys()
    for name, value in left.items():
        assert torch.equal(value, right[name]), name


def outcome(learner, config, context, seed=0):
    state, best = fit(learner, config, context, seed=seed)
    return state, best, learner.module.state_dict()


def assert_same_outcome(left, right):
    assert left[0] == right[0]
    assert_same_weights(left[1], right[1])
    assert_same_weights(left[2], right[2])


@pytest.mark.parametrize(
    ("asked", "steps", "logged"), [(None, 60, 10), (None, 60_000, 300), (7, 60_000, 7)]
)
def test_a_long_phase_logs_no_more_points_than_a_curve_shows(asked, steps, logged):
    assert LoopConfig(log_steps=asked).log_steps_of(steps) == logged


@pytest.fixture
def trained(make_learner, tmp_path):
    """A realistic run, shared shape: enough steps to generalise."""
    learner = make_learner(
        text_steps=60, image_steps=150, text_learning_rate=2e-3, image_learning_rate=4e-3
    )
    context = LocalContext(tmp_path / "run")
    state, best = fit(learner, LoopConfig(log_steps=1), context, seed=0)
    return learner, context, state, best


def test_losses_fall_and_unseen_relationships_are_found(trained, make_learner, knowledge):
    learner, context, state, best = trained
    for name in ("loss_image_regression", "loss_text_relationship"):
        values = [m.value for m in context.measurements if m.name == name]
        assert np.mean(values[-10:]) < 0.6 * np.mean(values[:10]), name
    chance = make_learner().validate()["text_to_image_map"]
    assert state.best_metric > 0.6
    assert state.best_metric > chance + 0.25
    assert state.best_metric == max(entry["text_to_image_map"] for entry in state.history)
    assert state.best_phase in {entry["phase"] for entry in state.history}
    learner.module.load_state_dict(best)
    learner.module.eval()
    assert learner.validate()["text_to_image_map"] == pytest.approx(state.best_metric)


def test_state_counts_every_step_and_progress_ends_at_one(make_learner, loop_config, tmp_path):
    learner = make_learner()
    context = LocalContext(tmp_path)
    state, _ = fit(learner, loop_config, context, seed=0)
    total = sum(phase.steps for phase in learner.phases())
    assert state.global_step == total
    assert [entry["phase"] for entry in state.history] == [p.name for p in learner.phases()]
    progress = [m.value for m in context.measurements if m.name == "progress"]
    assert progress == pytest.approx([i / total for i in range(1, total + 1)])


def test_logged_total_is_the_sum_of_the_named_losses(make_learner, loop_config, tmp_path):
    context = LocalContext(tmp_path)
    fit(make_learner(), loop_config, context, seed=0)
    by_step = {}
    for m in context.measurements:
        if m.name.startswith("loss_"):
            by_step.setdefault(m.step, {})[m.name.split("_", 2)[2]] = m.value
    assert len(by_step) == 76
    for losses in by_step.values():
        total = losses.pop("total")
        assert total == pytest.approx(sum(losses.values()), rel=1e-5)


def test_same_seed_same_run_other_seed_other_run(make_learner, loop_config, tmp_path):
    first = outcome(make_learner(), loop_config, LocalContext(tmp_path / "a"))
    second = outcome(make_learner(), loop_config, LocalContext(tmp_path / "b"))
    other = outcome(make_learner(), loop_config, LocalContext(tmp_path / "c"), seed=1)
    assert_same_outcome(first, second)
    assert not torch.equal(first[2]["text.linear.weight"], other[2]["text.linear.weight"])
    assert not torch.equal(first[2]["image.output.weight"], other[2]["image.output.weight"])


@pytest.fixture(scope="module")
def uninterrupted(make_learner, loop_config, tmp_path_factory):
    return outcome(make_learner(), loop_config, LocalContext(tmp_path_factory.mktemp("whole")))


# Phases of 12, 20, 12, 20 and 12 steps with a checkpoint every 5: 3, 4, 3, 4 and 3 reports.
CUTS = [(report, keeps) for report in (1, 2, 3, 5, 7, 10, 14, 17) for keeps in (True, False)]


@pytest.mark.parametrize(
    ("at_report", "keeps"), CUTS[:1] + CUTS[2:]
)  # without any, nothing resumes
def test_interrupted_at_a_checkpoint(
    make_learner, loop_config, tmp_path, uninterrupted, at_report, keeps
):
    folder = tmp_path / "cut"
    fragile = FragileContext(folder, at_report=at_report, keeps=keeps)
    with pytest.raises(InterruptedRunError):
        fit(make_learner(), loop_config, fragile, seed=0)
    learner = make_learner(seed=99)  # what it starts from must not matter
    resumed = outcome(learner, loop_config, LocalContext(folder))
    assert_same_outcome(resumed, uninterrupted)


def test_interrupted_again_and_again_at_random_steps(
    make_learner, loop_config, tmp_path, uninterrupted
):
    folder, steps = tmp_path / "cut", sorted(random.Random(4).sample(range(6, 76), 6))
    for step in steps:
        with pytest.raises(InterruptedRunError):
            fit(make_learner(), loop_config, FragileContext(folder, at_step=step), seed=0)
    resumed = outcome(make_learner(), loop_config, LocalContext(folder))
    assert_same_outcome(resumed, uninterrupted)


def test_a_finished_run_stays_finished(make_learner, loop_config, tmp_path):
    first = outcome(make_learner(), loop_config, LocalContext(tmp_path))
    context = LocalContext(tmp_path)
    assert_same_outcome(outcome(make_learner(seed=3), loop_config, context), first)
    assert context.measurements == []


@pytest.mark.parametrize("variant", ["full", "text_to_image", "text_only", "image_only"])
def test_only_the_phase_s_branch_changes(make_learner, loop_config, tmp_path, variant):
    learner = make_learner(variant)
    parameters = dict(learner.module.named_parameters())
    snapshots = [{name: p.detach().clone() for name, p in parameters.items()}]

    class Watching(LocalContext):
        def report(self, metrics, checkpoint):
            super().report(metrics, checkpoint)
            if "text_to_image_map" in metrics:  # the end of a phase
                snapshots.append({name: p.detach().clone() for name, p in parameters.items()})

    fit(learner, loop_config, Watching(tmp_path), seed=0)
    phases = learner.phases()
    assert len(snapshots) == len(phases) + 1
    for phase, before, after in zip(phases, snapshots, snapshots[1:], strict=False):
        changed = {name for name in before if not torch.equal(before[name], after[name])}
        assert changed == {name for name in before if name.split(".")[0] == phase.branch}
    learned = {"full": {"text", "image"}, "text_to_image": {"text", "image"}}
    learned |= {"text_only": {"text"}, "image_only": {"image"}}
    assert {phase.branch for phase in phases} == learned[variant]


def test_variants_with_both_branches_get_the_same_number_of_steps(make_learner):
    def steps(variant, branch):
        return sum(p.steps for p in make_learner(variant).phases() if p.branch == branch)

    for branch, variants in (
        ("text", ("full", "text_to_image", "text_only")),
        ("image", ("full", "text_to_image", "image_only")),
    ):
        assert len({steps(variant, branch) for variant in variants}) == 1


@pytest.mark.parametrize("strategy", ["graded", "triplet", "translation"])
def test_every_strategy_learns_something(make_learner, loop_config, tmp_path, strategy):
    learner = make_learner("text_only", strategy=strategy)
    before = {k: v.detach().clone() for k, v in learner.module.text.named_parameters()}
    fit(learner, loop_config, LocalContext(tmp_path), seed=0)
    after = dict(learner.module.text.named_parameters())
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    if strategy == "translation":
        assert changed == {"parts", "predicates"}
    else:
        assert changed == {"linear", "hidden", "correction", "parts", "predicates"}


def test_gradients_of_a_finished_phase_do_not_reach_the_next(make_learner, loop_config, tmp_path):
    learner = make_learner()
    fit(learner, loop_config, LocalContext(tmp_path), seed=0)
    assert all(p.grad is None for p in learner.module.parameters())


def test_nan_loss_names_phase_and_step(make_learner, loop_config, tmp_path):
    learner = make_learner()

    class Poisoning(LocalContext):
        def log(self, measurements):
            super().log(measurements)
            if measurements[0].step == 12 + 3:  # three steps into image_1
                with torch.no_grad():
                    learner.module.image.output.bias[0] = math.nan

    with pytest.raises(UserError, match="'image_1' at step 3") as error:
        fit(learner, loop_config, Poisoning(tmp_path), seed=0)
    assert "learning rate" in str(error.value)


def test_gradient_without_limit_never_reaches_the_weights(make_learner, loop_config, tmp_path):
    learner = make_learner("text_only")
    learner.module.text.linear.weight.register_hook(lambda gradient: gradient * math.inf)
    with pytest.raises(UserError, match="'text' at step 0"):
        fit(learner, loop_config, LocalContext(tmp_path), seed=0)
    assert all(bool(p.isfinite().all()) for p in learner.module.parameters())


def test_batch_must_be_divisible(make_learner, loop_config, tmp_path):
    class Three(LocalContext):
        world_size = 3

    with pytest.raises(
        UserError, match=r"16 rows .* 3 workers; make train[.]batch_size a multiple"
    ):
        fit(make_learner(batch_size=16), loop_config, Three(tmp_path), seed=0)


def test_learning_rate_rises_then_falls_to_nearly_zero():
    from mmkrl.train.loop import _set_learning_rate

    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=9.0)
    phase, rates = Phase("p", 100, 0.5, "text"), []
    for step in range(100):
        _set_learning_rate(optimizer, phase, step, 0.1)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates[:10] == pytest.approx([0.05 * i for i in range(1, 11)])
    assert rates[10:] == pytest.approx([0.5 * (100 - i) / 90 for i in range(10, 100)])
    _set_learning_rate(optimizer, Phase("p", 1, 0.5, "text"), 0, 0.0)
    assert optimizer.param_groups[0]["lr"] == 0.5


@pytest.mark.gpu
def test_a_gpu_trains_to_the_losses_of_the_cpu(make_learner, loop_config, tmp_path):
    if not torch.cuda.is_available():
        pytest.skip("there is no GPU")

    class OnGPU(LocalContext):
        device = torch.device("cuda")

    cpu, gpu = LocalContext(tmp_path / "cpu"), OnGPU(tmp_path / "gpu")
    fit(make_learner(), loop_config, cpu, seed=0)
    fit(make_learner(), loop_config, gpu, seed=0)
    assert [m.name for m in gpu.measurements] == [m.name for m in cpu.measurements]
    for left, right in zip(gpu.measurements, cpu.measurements, strict=True):
        if left.name.startswith("loss_"):
            assert left.value == pytest.approx(right.value, rel=1e-3, abs=1e-5), left


@pytest.mark.parametrize(("every", "steps"), [(5, [5, 10, 15, 20, 24]), (8, [8, 16, 24])])
def test_each_validation_of_a_phase_is_reported_once(make_learner, tmp_path, every, steps):
    """Of the text's 24 steps the last is always validated; the best only grows."""
    reported = []

    class Watching(LocalContext):
        def report(self, metrics, checkpoint):
            super().report(metrics, checkpoint)
            reported.append(metrics)

    config = LoopConfig(validate_steps=every, checkpoint_steps=500)
    state, _ = fit(make_learner("text_only", rounds=1), config, Watching(tmp_path), seed=0)
    assert [entry["step"] for entry in state.history] == steps
    assert [metrics["global_step"] for metrics in reported] == steps
    assert [metrics["progress"] for metrics in reported] == [step / 24 for step in steps]
    values = [metrics["text_to_image_map"] for metrics in reported]
    assert [metrics["best"] for metrics in reported] == [
        max(values[: place + 1]) for place in range(len(values))
    ]
