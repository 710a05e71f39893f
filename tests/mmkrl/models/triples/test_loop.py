"""Models of triples in the loop: validation within a phase, early ends, exact resumption."""

import pytest
import torch

from mmkrl.models.triples.config import TripleConfig
from mmkrl.models.triples.learner import TripleLearner
from mmkrl.train.config import LoopConfig
from mmkrl.train.context import LocalContext
from mmkrl.train.learner import Phase
from mmkrl.train.loop import _set_learning_rate, fit
from tests.support.graphs import row_graph, some_images

LOOP = LoopConfig(clip_norm=0.02, checkpoint_steps=5, log_steps=1)
MODELS = {
    "transe-sgd": {"model": "transe", "optimizer": "sgd", "learning_rate": 0.01},
    "transe-adagrad": {"model": "transe", "score": "l2", "bound": "sphere"},
    "transe-adam": {"model": "transe", "optimizer": "adam", "learning_rate": 0.01},
    "complex-against-all": {"model": "complex", "loss": "one_vs_all", "n3": 0.01},
    "distmult-shared": {"model": "distmult", "negatives": {"entities": 3, "shared_by": 2}},
    "rotate": {"model": "rotate", "loss": "self_adversarial"},
    "ikrl": {"model": "ikrl", "ikrl": {"warmup_epochs": 2, "objective": "each"}},
}


class InterruptedRunError(Exception):
    pass


class FragileContext(LocalContext):
    """Dies at a logged step."""

    def __init__(self, folder, at_step):
        super().__init__(folder)
        self.at_step = at_step

    def log(self, measurements):
        if measurements[0].step == self.at_step:
            raise InterruptedRunError
        super().log(measurements)


class Scripted(TripleLearner):
    """Says that its validation metric was what the test wants."""

    def __init__(self, *args, values, **fields):
        super().__init__(*args, **fields)
        self.values = iter(values)

    def validate(self):
        return {"mrr": next(self.values)}


def learner(seed=0, **fields):
    torch.manual_seed(seed)
    sizes = {"dimension": 8, "batch_size": 6, "epochs": 4, "validations": 3}
    config = TripleConfig(**(sizes | fields))
    return TripleLearner(row_graph(), config, images=some_images(), seed=0)


def scripted(values, **fields):
    torch.manual_seed(0)
    config = TripleConfig(dimension=8, batch_size=6, epochs=6, validations=6, **fields)
    return Scripted(row_graph(), config, images=some_images(), seed=0, values=values)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("cuts", [(7,), (9, 10, 17), (13, 14, 26)])
def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(name, cuts, tmp_path):
    whole = learner(**MODELS[name])
    expected = *fit(whole, LOOP, LocalContext(tmp_path / "whole"), seed=0), whole
    for cut in cuts:
        with pytest.raises(InterruptedRunError):
            fit(learner(**MODELS[name]), LOOP, FragileContext(tmp_path / "cut", cut), seed=0)
    resumed = learner(seed=9, **MODELS[name])  # what it starts from must not matter
    found = *fit(resumed, LOOP, LocalContext(tmp_path / "cut"), seed=0), resumed
    assert found[0] == expected[0]
    for left, right in (
        (found[1], expected[1]),
        (found[2].module.state_dict(), expected[2].module.state_dict()),
    ):
        assert left.keys() == right.keys()
        assert all(torch.equal(value, right[key]) for key, value in left.items())


def test_validates_within_a_phase_and_keeps_the_best_weights(tmp_path):
    weights = {}

    class Watching(LocalContext):
        def report(self, metrics, checkpoint):
            super().report(metrics, checkpoint)
            if "mrr" in metrics:
                weights[metrics["global_step"]] = one.module.entity.weight.detach().clone()

    one = scripted([0.1, 0.5, 0.3, 0.4, 0.2, 0.45], model="transe")
    state, best = fit(one, LOOP, Watching(tmp_path), seed=0)
    assert [entry["step"] for entry in state.history] == [7, 14, 21, 28, 35, 38]
    assert [entry["mrr"] for entry in state.history] == [0.1, 0.5, 0.3, 0.4, 0.2, 0.45]
    assert (state.best_metric, state.best_phase) == (0.5, "train")
    assert torch.equal(best["entity.weight"], weights[14])
    assert state.global_step == 38


@pytest.mark.parametrize(("patience", "last"), [(1, 21), (2, 28), (3, 38), (None, 38)])
def test_a_plateau_ends_the_phase(patience, last, tmp_path):
    values = [0.1, 0.5, 0.3, 0.4, 0.6, 0.55]
    one = scripted(values, model="transe", patience=patience)
    context = LocalContext(tmp_path)
    state, _ = fit(one, LOOP, context, seed=0)
    assert state.global_step == last
    assert state.history[-1]["step"] == last
    assert state.phase == 1
    done = fit(scripted([]), LOOP, context, seed=0) if patience is None else None
    assert done is None or done[0] == state  # a finished run is not validated again


def test_the_projection_learns_alone_between_structure_and_both(tmp_path):
    fields = {"model": "ikrl", "ikrl": {"warmup_epochs": 1, "projection_epochs": 1}}
    kept = {}
    one = scripted([0.1] * 99, **fields)
    begin = one.begin

    def note(phase):
        kept[phase.name] = {k: v.clone() for k, v in one.module.state_dict().items()}
        begin(phase)

    one.begin = note
    fit(one, LOOP, LocalContext(tmp_path), seed=0)
    before, after = kept["projection"], kept["joint"]
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"projection.weight"}


def test_the_phase_after_a_plateau_has_its_own_patience(tmp_path):
    fields = {"model": "ikrl", "patience": 1, "ikrl": {"warmup_epochs": 6}}
    values = [0.9, 0.5, 0.1, 0.2, 0.15]  # the first phase is better; the second still goes on
    one = scripted(values, **fields)
    context = LocalContext(tmp_path)
    state, _ = fit(one, LOOP, context, seed=0)
    assert [entry["phase"] for entry in state.history] == ["structure"] * 2 + ["joint"] * 3
    progress = [m.value for m in context.measurements if m.name == "progress"]
    assert progress[14] == pytest.approx((38 + 1) / 76)  # steps that were left out count as done


def test_the_warm_start_leaves_the_images_alone(tmp_path):
    one = learner(**MODELS["ikrl"])
    matrix, seen = one.module.projection.weight.detach().clone(), []

    class Watching(LocalContext):
        def report(self, metrics, checkpoint):
            super().report(metrics, checkpoint)
            seen.append((metrics["global_step"], torch.equal(one.module.projection.weight, matrix)))

    fit(one, LOOP, Watching(tmp_path), seed=0)
    assert {step for step, same in seen if same} == {step for step, _ in seen if step <= 13}


@pytest.mark.parametrize("name", ["transe-sgd", "transe-adagrad", "transe-adam", "ikrl"])
def test_bounds_hold_at_the_end(name, tmp_path):
    one = learner(**MODELS[name])
    fit(one, LOOP, LocalContext(tmp_path), seed=0)
    for key, bound in one.module.bounds().items():
        length_N = one.module.get_parameter(key).detach().norm(dim=1)
        if bound == "sphere":
            torch.testing.assert_close(length_N, torch.ones_like(length_N))
        elif bound == "ball":
            assert (length_N <= 1 + 1e-6).all()


def test_losses_are_named_after_the_phase_or_its_branch(tmp_path):
    context = LocalContext(tmp_path)
    fit(learner(**MODELS["ikrl"]), LOOP, context, seed=0)
    names = {m.name for m in context.measurements if m.name.startswith("loss_")}
    expected = {f"loss_{phase}_{what}" for phase in ("structure", "joint") for what in ("margin",)}
    assert names == expected | {"loss_structure_total", "loss_joint_total"}


@pytest.mark.parametrize(("warmup", "final"), [(0.0, 0.2), (0.1, 1.0), (None, 0.0)])
def test_learning_rates_fall_to_their_share(warmup, final):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=9.0)
    phase, rates = Phase("p", 100, 0.5, "", warmup=warmup, final=final), []
    for step in range(100):
        _set_learning_rate(optimizer, phase, step, 0.2)
        rates.append(optimizer.param_groups[0]["lr"])
    rising = round(100 * (0.2 if warmup is None else warmup))
    assert rates[:rising] == pytest.approx([0.5 * (i + 1) / rising for i in range(rising)])
    left = [min(1.0, (100 - i) / (100 - max(1, rising))) for i in range(rising, 100)]
    expected = [0.5 * final + 0.5 * (1 - final) * share for share in left]
    assert rates[rising:] == pytest.approx(expected)
    assert rates[-1] == pytest.approx(0.5 * final, abs=0.0065)
