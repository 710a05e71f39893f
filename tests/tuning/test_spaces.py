"""Search ranges beside fields become domains that draw valid values."""

from ray.tune.search.sample import Categorical, Float

from mmkrl.models.bcdnn import BCDNNConfig
from mmkrl.models.triple_config import TripleConfig
from tuning.spaces import search_space


def test_every_hint_becomes_a_domain_whose_draws_the_section_accepts():
    space = search_space(BCDNNConfig)
    assert {"margin", "dimension", "text_rate"} <= space.keys()
    assert "rounds" not in space
    for _ in range(20):
        BCDNNConfig(**{name: domain.sample() for name, domain in space.items()})


def test_scale_follows_the_width_of_the_range():
    space = search_space(BCDNNConfig)
    assert isinstance(space["dimension"], Categorical)
    for name, sampler in (("text_rate", "LogUniform"), ("dropout", "Uniform")):
        assert isinstance(space[name], Float)
        assert sampler in type(space[name].get_sampler()).__name__


def test_draws_for_models_of_triples_are_accepted():
    space = search_space(TripleConfig)
    assert {"dimension", "margin", "learning_rate"} <= space.keys()
    for model in ("transe", "distmult", "complex", "rotate", "ikrl"):
        for _ in range(5):
            TripleConfig(model=model, **{name: d.sample() for name, d in space.items()})
