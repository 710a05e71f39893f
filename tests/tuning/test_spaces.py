"""Search ranges beside fields become spaces whose draws the configuration accepts."""

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from mmkrl.errors import UsageError
from mmkrl.models.bcdnn.config import BCDNNConfig
from mmkrl.models.captions.config import CaptionConfig
from mmkrl.models.config import TrainConfig
from mmkrl.models.triples.config import TripleConfig
from tuning.spaces import grid, model_key, search_space, sweep_space, with_settings

_TRIPLES = {
    "ikrl": TripleConfig(model="ikrl", dimension=20),
    "transe": TripleConfig(model="transe"),
}


def drawn(space, count):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [study.ask(space).params for _ in range(count)]


def test_every_range_beside_a_field_becomes_a_distribution_whose_draws_are_accepted():
    space = search_space(BCDNNConfig(), "")
    assert {"margin", "dimension", "text_learning_rate"} <= space.keys()
    assert "rounds" not in space
    for settings in drawn(space, 20):
        BCDNNConfig(**settings)


def test_scale_follows_the_width_of_the_range():
    space = search_space(BCDNNConfig(), "")
    assert isinstance(space["dimension"], CategoricalDistribution)
    assert space["text_learning_rate"] == FloatDistribution(1e-4, 2e-3, log=True)
    assert space["dropout"] == FloatDistribution(0.1, 0.6)


def test_a_range_from_zero_is_no_logarithm():
    model = TripleConfig(model="complex_text", dimension=20, loss="one_vs_all")
    train = TrainConfig(models={"d": model})
    assert search_space(train, "")["models.d.complex_text.dropout"] == FloatDistribution(0.0, 0.5)


@pytest.mark.parametrize("kind", ["bcdnn", "triples", "captions"])
def test_the_space_of_a_sweep_is_that_of_the_first_model(kind):
    models = {
        "bcdnn": {"a": BCDNNConfig()},
        "triples": _TRIPLES,
        "captions": {"c": CaptionConfig()},
    }
    train = TrainConfig(models=models[kind])
    space = sweep_space(train, {})
    assert all(key.startswith(f"{model_key(train)}.") for key in space)
    margin = "loss.margin" if kind == "captions" else "margin"
    assert {f"{model_key(train)}.{margin}", f"{model_key(train)}.dimension"} <= space.keys()
    for settings in drawn(space, 10):
        changed = with_settings(train, settings)
        assert changed != train
        assert changed.members == train.members


def test_ranges_of_sections_within_sections_have_dotted_keys():
    train = TrainConfig(models=_TRIPLES)
    assert "models.ikrl.negatives.entities" in sweep_space(train, {})


def test_own_ranges_choices_and_those_beside_the_field():
    own = {
        "models.bcdnn.margin": None,
        "models.bcdnn.rounds": [1, 3],
        "loop.weight_decay": [0.001, 0.1],
    }
    assert sweep_space(TrainConfig(), own) == {
        "models.bcdnn.margin": FloatDistribution(0.05, 0.5, log=True),
        "models.bcdnn.rounds": CategoricalDistribution((1, 3)),
        "loop.weight_decay": FloatDistribution(0.001, 0.1, log=True),
    }


@pytest.mark.parametrize(
    ("own", "says"),
    [
        ({"models.bcdnn.margn": None}, "did you mean 'models.bcdnn.margin'"),
        ({"models.bcdnn.margn": [0.1, 0.2]}, "did you mean 'margin'"),
        ({"models.bcdnn.margin": [0.1, 3.0]}, "models.bcdnn.margin = 3.0"),
        ({"models.bcdnn.strategy": ["graded", "wild"]}, "models.bcdnn.strategy = 'wild'"),
        ({"loop": [1, 2]}, "loop"),
    ],
)
def test_a_key_or_a_value_that_does_not_fit_is_one_line(own, says):
    with pytest.raises(UsageError) as caught:
        sweep_space(TrainConfig(), own)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_grid_has_every_combination_once():
    space = {
        "a": CategoricalDistribution((1, 2)),
        "b": FloatDistribution(0.01, 1.0, log=True),
        "c": FloatDistribution(0.0, 1.0),
    }
    settings = grid(space, 3)
    assert len({tuple(one.items()) for one in settings}) == 2 * 3 * 3
    assert sorted({one["b"] for one in settings}) == pytest.approx([0.01, 0.1, 1.0])
    assert sorted({one["c"] for one in settings}) == pytest.approx([0.0, 0.5, 1.0])
